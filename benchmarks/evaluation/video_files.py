"""Clips in files of any origin: folders of videos, .npy and .npz arrays, read as uint8 RGB frames."""

import re
import zipfile
import zlib
from collections import Counter
from collections.abc import Iterator, Sequence
from functools import lru_cache
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import UInt8
from torch.nn.functional import interpolate

from benchmarks.utils.errors import UserError
from datamodules.storage.container import VideoError
from datamodules.storage.download import file_sha256
from datamodules.storage.listing import files_of
from datamodules.storage.video import EXTENSIONS, decode

ARRAYS = (".npy", ".npz")
_BROKEN = (ValueError, OSError, EOFError, NotImplementedError, zipfile.BadZipFile, zlib.error)
"""What numpy raises for a truncated or damaged file."""

Colour = UInt8[np.ndarray, "time 3 height width"]
Layout = UInt8[np.ndarray, "clip time channel height width"]


class ClipFile(NamedTuple):
    """A clip in a video file, or at a position of an array file."""

    name: str
    """The path within the folder without its extension, and the position in an array; clips are paired by name."""
    path: Path
    member: str | None = None
    """The array of an .npz file."""
    position: int = 0
    """The index of the clip along the array's first axis."""


def find_clips(root: Path) -> list[ClipFile]:
    """The clips of a folder and its sub-folders, or of an .npy or .npz file, sorted by name.

    Raises:
        UserError: if there are none, or two share a name.
    """
    if root.is_file() and root.suffix.lower() in ARRAYS:
        clips = list(_in_array(root, ""))
    elif root.is_dir():
        files = files_of(root, (*EXTENSIONS, *ARRAYS))
        clips = [clip for path in files for clip in _of_file(path, path.relative_to(root).with_suffix("").as_posix())]
    else:
        raise UserError(f"There is no folder of videos and no .npy or .npz file at {root}.")
    if not clips:
        raise UserError(f"There are no videos in {root}; supported extensions: {', '.join((*EXTENSIONS, *ARRAYS))}.")
    twice = [name for name, count in Counter(clip.name for clip in clips).items() if count > 1]
    if twice:
        raise UserError(f"Two files of {root} are named '{twice[0]}' and differ only in extension. Keep one of them.")
    return sorted(clips, key=lambda clip: clip.name)


def sources_of(clips: Sequence[ClipFile], pattern: str | None) -> list[str]:
    """The source of each clip: the first group of the pattern (or its whole match) in its name; None: the clip itself.

    Raises:
        UserError: if it is no regular expression, or a name does not match.
    """
    if pattern is None:
        return [clip.name for clip in clips]
    try:
        found = [re.search(pattern, clip.name) for clip in clips]
    except re.error as error:
        raise UserError(f"--sources must be a regular expression; '{pattern}' is none ({error}).") from error
    if strange := [clip.name for clip, match in zip(clips, found, strict=True) if match is None]:
        raise UserError(
            f"--sources '{pattern}' must match the name of every reference clip; it does not match '{strange[0]}'."
        )
    return [match[1 if match.re.groups else 0] for match in found if match]


def read_clip(
    clip: ClipFile, *, frames: int | None = None, fps: float | None = None, size: int | None = None
) -> Colour:
    """The first frames of a clip; grey frames are repeated in three channels.

    Args:
        clip: from `find_clips`.
        frames: the number of frames; None: all.
        fps: the frame rate to resample a video file to; see `datamodules.storage.video.resample`.
        size: side of the square to which frames are centre-cropped and resized, with antialiasing.

    Raises:
        UserError: if the file is broken, is no array of uint8 videos, or has fewer frames.
    """
    if clip.path.suffix.lower() in ARRAYS:
        if fps is not None:
            raise UserError(f"{clip.path} is an array without a frame rate; leave --fps out.")
        array = np.array(_array(clip)[clip.position][:frames])
        array = np.broadcast_to(array, (len(array), 3, *array.shape[2:]))
        found = array if size is None else _resized(array, size)
    else:
        try:
            decoded = decode(clip.path, size=None if size is None else (size, size), frame_rate=fps)
            frames_read = [frame for frame, _ in islice(decoded, frames)]
        except VideoError as error:
            raise UserError(f"{error}.") from error
        if len({frame.shape for frame in frames_read}) > 1:
            raise UserError(f"{clip.path}: its frames differ in size; use --size to resize them.")
        found = np.stack(frames_read)
    if frames is not None and len(found) < frames:
        raise UserError(
            f"{clip.path}{f' ({clip.name})' if clip.member or clip.position else ''} has {len(found)} frames, fewer "
            f"than the {frames} to compare. Lower --frames or leave it out."
        )
    return np.ascontiguousarray(found)


def content_of(clips: Sequence[ClipFile]) -> list[list[str | int | None]]:
    """Name, file sha256, array and index of each clip: its identity, independent of the path."""
    digests = {path: file_sha256(path) for path in {clip.path for clip in clips}}
    return [[clip.name, digests[clip.path], clip.member, clip.position] for clip in clips]


def _of_file(path: Path, name: str) -> Iterator[ClipFile]:
    if path.suffix.lower() in ARRAYS:
        yield from _in_array(path, name)
    else:
        yield ClipFile(name, path)


def _in_array(path: Path, name: str) -> Iterator[ClipFile]:
    """The clips of an array file; a file with a single clip gives the clip its own name."""
    members = _members(path)
    for member in members:
        count = len(_array(ClipFile(name, path, member)))
        for index in range(count):
            parts = [part for part in (name, member if len(members) > 1 else None) if part]
            if count > 1 or not parts:
                parts.append(f"{index:06d}")
            yield ClipFile("/".join(parts), path, member, index)


def _members(path: Path) -> list[str | None]:
    if path.suffix.lower() == ".npy":
        return [None]
    try:
        archive = np.load(path, allow_pickle=False)
    except _BROKEN as error:
        raise UserError(f"{path} cannot be read as an .npz of arrays: {error}.") from error
    if isinstance(archive, np.ndarray):
        raise UserError(f"{path} is a single array, not an .npz file. Rename it {path.stem}.npy.")
    with archive:
        return list(archive.files)


def _array(clip: ClipFile) -> Layout:
    state = clip.path.stat()
    return _read_array(clip.path, clip.member, (state.st_mtime_ns, state.st_size))


@lru_cache(maxsize=2)
def _read_array(path: Path, member: str | None, _state: tuple[int, int]) -> Layout:
    """The array with channels before height and width; an .npy file is memory-mapped."""
    try:
        if member is None:
            array = np.load(path, mmap_mode="r", allow_pickle=False)
        else:
            with np.load(path, allow_pickle=False) as archive:
                array = archive[member]
    except _BROKEN as error:
        raise UserError(f"{path} cannot be read as an array of numbers: {error}.") from error
    where = f"{path}{f' ({member})' if member else ''}"
    if not isinstance(array, np.ndarray) or array.dtype != np.uint8 or array.ndim not in (4, 5):
        kind = f"{array.dtype} of shape {array.shape}" if isinstance(array, np.ndarray) else "several arrays"
        raise UserError(
            f"{where} must hold uint8 videos, (N, T, H, W, C) or (N, T, C, H, W), or one without N; it holds {kind}. "
            "Frames in [0, 1] become (255 * x).round().astype(uint8)."
        )
    array = array[None] if array.ndim == 4 else array
    if len(array) and not array.size:
        raise UserError(f"{where} has no pixels: its shape is {array.shape}. Was it written before there were frames?")
    last, third = array.shape[-1] in (1, 3), array.shape[2] in (1, 3)
    if last == third:
        which = "either" if last else "neither"
        raise UserError(
            f"{where} has shape {array.shape}: {which} its last and its third axis could be the channels, of which "
            "there are 1 or 3. Save it as (N, T, H, W, C) or (N, T, C, H, W), with frames of another size than 1 or 3."
        )
    return array.transpose(0, 1, 4, 2, 3) if last else array


def _resized(array: Colour, size: int) -> UInt8[np.ndarray, "time 3 size size"]:
    """As in `decode`: centre crop to a square, then bilinear resize with antialiasing."""
    height, width = array.shape[-2:]
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    cut = np.ascontiguousarray(array[..., top : top + side, left : left + side])
    if side == size:
        return cut
    return interpolate(torch.from_numpy(cut), size=[size, size], mode="bilinear", antialias=True).numpy()
