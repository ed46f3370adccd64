"""ClipStore: decoded clips and an index, written atomically and read by memory-mapped random access."""

import errno
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack
from glob import escape
from pathlib import Path
from types import MappingProxyType
from typing import Any, BinaryIO, Literal, NamedTuple

import numpy as np
from jaxtyping import Float64, Int64

from datamodules.base.clip_source import Indices, Origin, Pixels, Positions
from datamodules.errors import UserError
from datamodules.storage.checking import changed_clips, fault_in_index, remember, remembered
from datamodules.storage.frames import open_frames, shard_names
from datamodules.storage.remote import RemoteFolder, is_remote

FORMAT = 1
ALL = "all"
"""The split that has all clips of a store; also the split of each clip in a store without splits."""
_INDEX, _TIMES = "index.json", "times.f64"
_FRAMES = {"uint8": "frames.u8", "float32": "frames.f32"}
PixelType = Literal["uint8", "float32"]


class StoreError(UserError):
    """A store is missing, incomplete or of another format; the message names the folder, the reason and the way out."""


class DamagedStoreError(StoreError):
    """A store's pixels or times are not those that were written."""


class StoredClip(NamedTuple):
    """A clip to be written into a store."""

    timed_frames: Iterable[tuple[Any, float]]
    """Frames (channel, height, width) and their times in seconds since the first; iterated over once."""
    split: str
    origin: Origin
    """An empty digest is replaced by the sha256 of the clip's pixels."""
    label: int = -1
    about: Mapping[str, Any] = MappingProxyType({})
    """Further entries of the clip in the index, as plain data."""


class ClipStore:
    """A folder of decoded clips. Read it with `open`, create it with `write` or `prepare`; its splits are sources.

    `index.json` holds the size, `about` (decoder, settings), and for each clip its split, label, origin (name, digest,
    source), number of frames and the sha256 of its pixels; `frames.u8` holds all frames one after another, `times.f64`
    their times. Measured fields (winds, pressure) are float32 in `frames.f32`, in their own units, NaN without a value.
    """

    def __init__(self, path: Path, index: dict[str, Any], remote: RemoteFolder | None = None) -> None:
        self.path = path
        self.remote = remote
        self.index = index
        self.channels: int = index["channels"]
        height, width = index["size"]
        self.size: tuple[int, int] = (height, width)
        self.dtype = np.dtype(index.get("dtype", "uint8"))
        self.about: dict[str, Any] = index["about"]
        self.skipped: list[dict[str, str]] = index["skipped"]

    @property
    def address(self) -> str:
        """The folder or fsspec address, from which `open` opens the store again."""
        return self.remote.address if self.remote else str(self.path)

    @property
    def counts(self) -> list[int]:
        """The number of frames in each frame file."""
        shards: list[int] | None = self.index.get("shards")
        return shards if shards is not None else [sum(clip["length"] for clip in self.index["clips"])]

    @property
    def frame_files(self) -> list[str]:
        """The names of the frame files."""
        return shard_names(_FRAMES[self.dtype.name], self.index.get("shards"))

    @property
    def local_files(self) -> list[Path]:
        """Every file of a store on this machine; none of one at an address."""
        return [] if self.remote else [self.path / name for name in (_INDEX, _TIMES, *self.frame_files)]

    def length_of(self, name: str) -> int | None:
        """The size of a file in bytes; 0 if it does not exist, None if a server does not report it."""
        if self.remote:
            return self.remote.size(name)
        return (self.path / name).stat().st_size if (self.path / name).exists() else 0

    def whole(self, name: str) -> bytes:
        """The content of a file."""
        return self.remote.whole(name) if self.remote else (self.path / name).read_bytes()

    @classmethod
    def open(cls, path: str | os.PathLike[str], *, check: bool = True) -> "ClipStore":
        """The store in this folder, or at this fsspec address (https://, s3://, ...), which is read by byte ranges.

        Args:
            path: folder or address.
            check: whether a local store whose files have changed since they were last found whole is read once, and
                every clip compared with the sha256 that was taken when it was written.

        Raises:
            StoreError: if there is none, it has another format, or the size of a file does not match the index.
            DamagedStoreError: if a clip's pixels or times are not those that were written.
        """
        address, remedy = str(path), "Delete the folder and prepare the data again."
        path, remote = Path(path), RemoteFolder(address) if is_remote(address) else None
        try:
            index = remote.json(_INDEX) if remote else json.loads((path / _INDEX).read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise StoreError(f"{address} is not a clip store: it has no {_INDEX}. Prepare the data first.") from None
        except (ValueError, RecursionError) as error:
            raise StoreError(f"{address}: {_INDEX} is not JSON ({error}). {remedy}") from error
        if not isinstance(index, dict):
            raise StoreError(f"{address}: {_INDEX} holds a {type(index).__name__}, no index. {remedy}")
        if index.get("format") != FORMAT:
            raise StoreError(
                f"{address} is a store of format {index.get('format')}; this code reads {FORMAT}. {remedy}"
            )
        if fault := fault_in_index(index):
            raise StoreError(f"{address}: {_INDEX} has a wrong form: {fault}. {remedy}")
        store = cls(path, index, remote)
        frame = index["channels"] * store.size[0] * store.size[1] * store.dtype.itemsize
        lengths = {_TIMES: 8 * sum(store.counts)}
        lengths |= {name: count * frame for name, count in zip(store.frame_files, store.counts, strict=True)}
        for name, length in lengths.items():
            there = store.length_of(name)
            if there not in (None, length):
                raise StoreError(f"{address}: {name} has {there} bytes, but the index requires {length}. {remedy}")
        files = store.local_files
        if check and files and not remembered(files):
            bad = list(changed_clips(index["clips"], path, store.frame_files, _TIMES, frame))
            if bad:
                raise DamagedStoreError(
                    f"{address}: {len(bad)} of {len(index['clips'])} clips are not what was written, the first "
                    f"{bad[0]}. {remedy}"
                )
            remember(files)
        return store

    @classmethod
    def write(
        cls,
        path: str | os.PathLike[str],
        clips: Iterable[StoredClip],
        *,
        channels: int,
        size: tuple[int, int],
        about: dict[str, Any],
        skip: type[Exception] | None = None,
        dtype: PixelType = "uint8",
        shard_bytes: int | None = None,
    ) -> "ClipStore":
        """Write clips one by one into a temporary folder, which is renamed to `path` when it is complete.

        Args:
            path: the store's folder; an existing one is replaced.
            clips: of any lengths; only one frame is in memory at a time.
            channels: 1 for grey, 3 for colour.
            size: height and width in pixels.
            about: the sources and settings of the store, as plain data.
            skip: a clip that raises this error is left out and listed in the index; None raises every error.
            dtype: uint8 for frames, float32 for measured fields.
            shard_bytes: start a new frame file after a clip with which the current one reaches this size; None writes
                one file.

        Raises:
            UserError: if a frame has another shape or type, times do not increase, or there is no clip at all.
        """
        path = Path(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        unfinished = Path(tempfile.mkdtemp(dir=path.parent, prefix=f".{path.name}-unfinished-"))
        try:
            entries: list[dict[str, Any]] = []
            skipped: list[dict[str, str]] = []
            shards: list[int] | None = None if shard_bytes is None else []
            with (unfinished / _TIMES).open("wb") as times, ExitStack() as files:
                frames = files.enter_context((unfinished / _first_file(dtype, shards)).open("wb"))
                for clip in clips:
                    if shards is not None and shard_bytes is not None and frames.tell() >= shard_bytes:
                        _sync_to_disk(frames)
                        shards.append(0)
                        name = shard_names(_FRAMES[dtype], shards)[-1]
                        frames = files.enter_context((unfinished / name).open("wb"))
                    offsets = frames.tell(), times.tell()
                    try:
                        entries.append(_append(clip, frames, times, (channels, *size), dtype))
                        if shards is not None:
                            shards[-1] += entries[-1]["length"]
                    except Exception as error:
                        if skip is None or not isinstance(error, skip):
                            raise
                        skipped.append({"name": clip.origin.name, "reason": str(error)})
                        for file, offset in zip((frames, times), offsets, strict=True):
                            file.seek(offset)
                            file.truncate()
                _sync_to_disk(frames)
                _sync_to_disk(times)
            if not entries:
                reasons = "".join(f"\n  {item['reason']}" for item in skipped)
                raise UserError(f"There is no clip to write to {path}.{reasons}")
            index = {
                "format": FORMAT,
                "channels": channels,
                "size": list(size),
                "dtype": dtype,
                "about": about,
                "skipped": skipped,
                **({} if shards is None else {"shards": shards}),
                "clips": entries,
            }
            (unfinished / _INDEX).write_text(json.dumps(index, indent=1), encoding="utf-8")
            _replace(unfinished, path)
        except OSError as error:
            if error.errno not in (errno.ENOSPC, errno.EDQUOT):
                raise
            raise _no_space(path, unfinished, channels * size[0] * size[1] * np.dtype(dtype).itemsize) from error
        finally:
            shutil.rmtree(unfinished, ignore_errors=True)
        remember(cls.open(path, check=False).local_files)
        return cls.open(path)

    @classmethod
    def prepare(
        cls, path: str | os.PathLike[str], about: dict[str, Any], make: Callable[[], "ClipStore"]
    ) -> "ClipStore":
        """The store in this folder if its `about` is the same; otherwise the one that `make` writes there.

        Of several processes one calls `make`; the others wait and open its store. Where nothing can be written, a
        store that is there is opened without a lock.
        """
        from filelock import FileLock

        path, lock = Path(path), ExitStack()
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            lock.enter_context(FileLock(path.parent / f".{path.name}.lock"))
        except OSError:
            store = cls.open(path)
            if store.about == json.loads(json.dumps(about)):
                return store
            raise
        with lock:
            for left in path.parent.glob(f".{escape(path.name)}-unfinished-*"):  # of a killed process
                shutil.rmtree(left, ignore_errors=True)
            try:
                store = cls.open(path)
            except DamagedStoreError:
                raise
            except StoreError:
                return make()
            return store if store.about == json.loads(json.dumps(about)) else make()

    def split(self, name: str) -> "StoreSplit":
        """The clips of a split, as a source, which may be empty."""
        return StoreSplit(self, name)


class StoreSplit:
    """The clips of one split of a store: a source."""

    def __init__(self, store: ClipStore, name: str) -> None:
        self._store, self._name = store, name
        self.channels, self.size = store.channels, store.size
        entries = store.index["clips"]
        lengths = np.array([entry["length"] for entry in entries], dtype=np.int64)
        mine = np.array([name in (entry["split"], ALL) for entry in entries])
        self._entries = [entry for entry, chosen in zip(entries, mine, strict=True) if chosen]
        self._lengths = lengths[mine]
        self._starts = (np.cumsum(lengths) - lengths)[mine]
        folder = store.remote or store.path
        self._frames = open_frames(folder, store.frame_files, store.counts, store.dtype, (self.channels, *self.size))
        self._times = np.frombuffer(store.whole(_TIMES), dtype="<f8").astype(np.float64)
        contents = [[entry["sha256"], entry["label"]] for entry in self._entries]
        self.fingerprint = hashlib.sha256(json.dumps(contents).encode()).hexdigest()

    def __len__(self) -> int:
        return len(self._entries)

    def __reduce__(self) -> tuple[Any, ...]:
        # a worker process maps the files itself: pickling would copy the whole memory map
        return _open_split, (self._store.address, self._name)

    def origins(self) -> Sequence[Origin]:
        """The files (or people) that the clips come from."""
        return [_origin_of(entry) for entry in self._entries]

    def labels(self) -> Int64[np.ndarray, " clips"]:
        """The class of each clip, -1 where there is none."""
        return np.array([entry["label"] for entry in self._entries], dtype=np.int64)

    def times(self, index: int) -> Float64[np.ndarray, " length"]:
        """Seconds since the first frame of clip `index`."""
        start = self._starts[index]
        return self._times[start : start + self._lengths[index]]

    def read(self, clips: Indices, frames: Positions) -> Pixels:
        """The frames at these positions of these clips."""
        if frames.size and (frames.min() < 0 or (frames.max(axis=1) >= self._lengths[clips]).any()):
            raise IndexError(
                f"Frames {frames.min()} to {frames.max()} were requested from clips of {self._lengths[clips]} frames."
            )
        return self._frames.take(self._starts[clips][:, None] + frames)


def _origin_of(entry: Mapping[str, Any]) -> Origin:
    """A clip's origin; a store that was written before sources were kept has the person, where people act."""
    origin = Origin(*entry["origin"])
    return origin._replace(source=origin.source or str(entry.get("person", "")))


def _append(clip: StoredClip, frames: BinaryIO, times: BinaryIO, shape: tuple[int, ...], dtype: str) -> dict[str, Any]:
    digest, seconds = hashlib.sha256(), []
    for picture, time in clip.timed_frames:
        if picture.shape != shape or picture.dtype != dtype:
            raise UserError(
                f"{clip.origin.name}: frames of this store are {dtype} {shape}; got {picture.dtype} {picture.shape}."
            )
        pixels = picture.tobytes()
        frames.write(pixels)
        digest.update(pixels)
        seconds.append(time)
    if not seconds or seconds[0] != 0 or (np.diff(seconds) <= 0).any():
        raise UserError(f"{clip.origin.name}: times must begin at 0 and increase strictly; got {seconds[:5]} ...")
    origin = clip.origin._replace(digest=clip.origin.digest or digest.hexdigest())
    stamps = np.array(seconds, dtype="<f8").tobytes()
    times.write(stamps)
    digest.update(stamps)
    return {
        "split": clip.split,
        "label": clip.label,
        "origin": list(origin),
        "length": len(seconds),
        "frame_rate": round((len(seconds) - 1) / seconds[-1], 6) if len(seconds) > 1 else None,
        "sha256": digest.hexdigest(),
        **clip.about,
    }


def _first_file(dtype: PixelType, shards: list[int] | None) -> str:
    if shards is not None:
        shards.append(0)
    return shard_names(_FRAMES[dtype], shards)[0]


def _no_space(path: Path, unfinished: Path, frame: int) -> UserError:
    """What a full disk is told as; nothing of the unfinished store stays."""
    written = sum(file.stat().st_size for file in unfinished.iterdir())
    free = shutil.disk_usage(path.parent).free
    return UserError(
        f"The disk of {path} is full: {written / 1e6:,.0f} MB of the store were written, more are needed ({frame:,} "
        f"bytes a frame), and {free / 1e6:,.0f} MB are free besides. Free some space, or choose another disk "
        "(CHRONOREEL_DATA)."
    )


def _sync_to_disk(file: BinaryIO) -> None:
    file.flush()
    os.fsync(file.fileno())


def _replace(new: Path, path: Path) -> None:
    if path.exists():
        old = Path(tempfile.mkdtemp(dir=path.parent, prefix=f".{path.name}-old-"))
        os.replace(path, old / path.name)
        os.replace(new, path)
        shutil.rmtree(old, ignore_errors=True)
    else:
        os.replace(new, path)


def _open_split(path: str, name: str) -> StoreSplit:
    return ClipStore.open(path).split(name)
