"""Clips in files, made by any model: folders of videos, .npy and .npz arrays of them, read as uint8 colour frames."""

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
from datamodules.storage.download import file_sha256
from datamodules.storage.video import EXTENSIONS, VideoError, decode

ARRAYS = (".npy", ".npz")
_BROKEN = (ValueError, OSError, EOFError, NotImplementedError, zipfile.BadZipFile, zlib.error)
"""What numpy says of a file that is cut off or damaged."""

Colour = UInt8[np.ndarray, "time 3 height width"]
Layout = UInt8[np.ndarray, "clip time channel height width"]


class ClipFile(NamedTuple):
    """A clip and where it is: a video file, or a place in an array."""

    name: str
    """The path within the folder without its ending, and the place in an array: what clips are paired by."""
    path: Path
    member: str | None = None
    """Which array of an .npz."""
    place: int = 0
    """Which clip of an array."""


def find_clips(place: Path) -> list[ClipFile]:
    """The clips of a folder and its sub-folders, or of an .npy or .npz file, sorted by name.

    Raises:
        UserError: if there are none, or two share a name.
    """
    if place.is_file() and place.suffix.lower() in ARRAYS:
        clips = list(_in_array(place, ""))
    elif place.is_dir():
        files = sorted(path for path in place.rglob("*") if path.suffix.lower() in (*EXTENSIONS, *ARRAYS))
        clips = [clip for path in files for clip in _of_file(path, path.relative_to(place).with_suffix("").as_posix())]
    else:
        raise UserError(f"There is no folder of videos, .npy or .npz file at {place}.")
    if not clips:
        raise UserError(f"There are no videos in {place}: a video ends in {', '.join((*EXTENSIONS, *ARRAYS))}.")
    twice = [name for name, count in Counter(clip.name for clip in clips).items() if count > 1]
    if twice:
        raise UserError(f"Two files of {place} are called '{twice[0]}' but for their endings. Keep one of them.")
    return sorted(clips, key=lambda clip: clip.name)


def read_clip(
    clip: ClipFile, *, frames: int | None = None, fps: float | None = None, size: int | None = None
) -> Colour:
    """The clip's first frames; grey ones in three equal channels.

    Args:
        clip: from `find_clips`.
        frames: how many frames; None: all.
        fps: frames per second to resample a video file to, nearest in time.
        size: side of the square that pictures are cut to about their centre and resized to, antialiased.

    Raises:
        UserError: if the file is broken, is no array of uint8 videos, or has fewer frames.
    """
    if clip.path.suffix.lower() in ARRAYS:
        if fps is not None:
            raise UserError(f"{clip.path} is an array and does not say its frame rate; leave --fps out.")
        pictures = np.array(_array(clip)[clip.place][:frames])
        pictures = np.broadcast_to(pictures, (len(pictures), 3, *pictures.shape[2:]))
        found = pictures if size is None else _fitted(pictures, size)
    else:
        try:
            moments = decode(clip.path, size=None if size is None else (size, size), frame_rate=fps)
            shots = [picture for picture, _ in islice(moments, frames)]
        except VideoError as error:
            raise UserError(f"{error}.") from error
        if len({shot.shape for shot in shots}) > 1:
            raise UserError(f"{clip.path}: its pictures change size; give --size to bring them to one.")
        found = np.stack(shots)
    if frames is not None and len(found) < frames:
        raise UserError(
            f"{clip.path}{f' ({clip.name})' if clip.member or clip.place else ''} has {len(found)} frames, fewer than "
            f"the {frames} that are compared. Lower --frames or leave it out."
        )
    return np.ascontiguousarray(found)


def content_of(clips: Sequence[ClipFile]) -> list[list[str | int | None]]:
    """Names, and the sha256 of each file that holds one: what the clips are, wherever they lie."""
    digests = {path: file_sha256(path) for path in {clip.path for clip in clips}}
    return [[clip.name, digests[clip.path], clip.member, clip.place] for clip in clips]


def _of_file(path: Path, name: str) -> Iterator[ClipFile]:
    if path.suffix.lower() in ARRAYS:
        yield from _in_array(path, name)
    else:
        yield ClipFile(name, path)


def _in_array(path: Path, name: str) -> Iterator[ClipFile]:
    """The clips of an array file; a single array of a single clip is called as its file."""
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
        raise UserError(f"{path} is one array, not an .npz of them. Call it {path.stem}.npy.")
    with archive:
        return list(archive.files)


def _array(clip: ClipFile) -> Layout:
    state = clip.path.stat()
    return _read_array(clip.path, clip.member, (state.st_mtime_ns, state.st_size))


@lru_cache(maxsize=2)
def _read_array(path: Path, member: str | None, _state: tuple[int, int]) -> Layout:
    """The array with its channels before height and width; an .npy stays on the disk."""
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


def _fitted(pictures: Colour, size: int) -> UInt8[np.ndarray, "time 3 size size"]:
    """As `decode` does it: cut to a square about the centre, then bilinear with antialiasing."""
    height, width = pictures.shape[-2:]
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    cut = np.ascontiguousarray(pictures[..., top : top + side, left : left + side])
    if side == size:
        return cut
    return interpolate(torch.from_numpy(cut), size=[size, size], mode="bilinear", antialias=True).numpy()
