"""Checking: whether the files of a store are what was written, remembered by size and time; the form of its index."""

import hashlib
import json
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO

from datamodules.files import write_text

_CHUNK = 1 << 22
_known: dict[str, Any] = {}
"""The states of files that were found whole, in this process."""


def fault_in_index(index: Any) -> str | None:
    """What is wrong with the form of an index, in words; None if nothing is."""
    if not isinstance(index, dict):
        return f"it is a {type(index).__name__}, no mapping"
    forms: dict[str, Any] = {"channels": int, "size": list, "about": dict, "skipped": list, "clips": list}
    for key, form in forms.items():
        if not isinstance(index.get(key), form):
            return f"`{key}` is no {form.__name__}"
    if not _counts([index["channels"], *index["size"]]) or len(index["size"]) != 2:
        return f"{index['channels']} channels of {index['size']} pixels are none"
    if index.get("dtype", "uint8") not in ("uint8", "float32"):
        return f"`dtype` is {str(index['dtype'])[:40]!r}"
    for number, clip in enumerate(index["clips"]):
        if not isinstance(clip, dict) or not isinstance(clip.get("split"), str) or not _counts([clip.get("length")]):
            return f"clip {number} has no split or no length"
        origin, label = clip.get("origin"), clip.get("label")
        texts = isinstance(origin, list) and 2 <= len(origin) <= 3 and all(isinstance(part, str) for part in origin)
        if not texts or not isinstance(label, int) or not isinstance(clip.get("sha256"), str):
            return f"clip {number} has no origin, label or sha256"
    shards = index.get("shards")
    frames = sum(clip["length"] for clip in index["clips"])
    if shards is not None and (not isinstance(shards, list) or not _counts(shards) or sum(shards) != frames):
        return f"`shards` do not hold the {frames} frames of its clips"
    return None


def changed_clips(
    clips: Iterable[Mapping[str, Any]], folder: Path, frame_files: Iterable[str], times: str, frame: int
) -> Iterator[str]:
    """The names of clips whose pixels or times are not those that were written; reads every byte once.

    Args:
        clips: entries of the index.
        folder: of the store.
        frame_files: their names, in order.
        times: the name of the file of times.
        frame: bytes of a frame.
    """
    pixels = _Joined([folder / name for name in frame_files])
    with (folder / times).open("rb") as stamps:
        for clip in clips:
            digest = hashlib.sha256()
            for part in pixels.parts(clip["length"] * frame):
                digest.update(part)
            digest.update(stamps.read(8 * clip["length"]))
            if digest.hexdigest() != clip["sha256"]:
                yield str(clip["origin"][0])


def remembered(files: list[Path]) -> bool:
    """Whether these files were found whole when they had the sizes and times that they have now."""
    key, state = _state(files)
    if _known.get(key) == state:
        return True
    try:
        found = json.loads(_note(key).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return bool(found == state)


def remember(files: list[Path]) -> None:
    """Note that these files are whole as they are now; where the cache cannot be written, for this process only."""
    key, state = _state(files)
    _known[key] = state
    with suppress(OSError):
        write_text(_note(key), json.dumps(state))


def _state(files: list[Path]) -> tuple[str, Any]:
    stats = [file.stat() for file in files]
    key = hashlib.sha256(str(files[0].parent.resolve()).encode()).hexdigest()[:32]
    return key, [[file.name, stat.st_size, stat.st_mtime_ns] for file, stat in zip(files, stats, strict=True)]


def _note(key: str) -> Path:
    """Beside the caches, not in the store: what a downloaded store says of itself proves nothing."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return cache / "chronoreel" / "checked" / f"{key}.json"


def _counts(values: list[Any]) -> bool:
    return all(isinstance(value, int) and not isinstance(value, bool) and value > 0 for value in values)


class _Joined:
    """Several files as one stream."""

    def __init__(self, paths: list[Path]) -> None:
        self._paths = paths
        self._file: BinaryIO | None = None

    def parts(self, length: int) -> Iterator[bytes]:
        """The next `length` bytes, in pieces."""
        while length:
            if self._file is None:
                if not self._paths:
                    return
                self._file = self._paths.pop(0).open("rb")
            piece = self._file.read(min(length, _CHUNK))
            if not piece:
                self._file.close()
                self._file = None
            length -= len(piece)
            yield piece
