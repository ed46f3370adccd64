"""Frames: all frames of a store by index, in one file or in shards, on this machine or at an address."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Int64

from datamodules.storage.remote import RemoteFolder, RemoteFrames


@runtime_checkable
class Rows(Protocol):
    """Frames by index."""

    def take(self, rows: Int64[np.ndarray, "*any"]) -> np.ndarray:
        """The frames with these indices, in the shape of `rows`."""


class MappedFrames:
    """The frames of a local file, memory-mapped."""

    def __init__(self, path: Path, dtype: np.dtype[Any], shape: tuple[int, ...]) -> None:
        self._frames = np.memmap(path, dtype, "r", shape=shape)

    def take(self, rows: Int64[np.ndarray, "*any"]) -> np.ndarray:
        """The frames with these indices."""
        return np.take(self._frames, rows, axis=0)


class ShardedFrames:
    """The frames of several files, one after another.

    Args:
        parts: the files' frames.
        counts: how many each has.
    """

    def __init__(self, parts: Sequence[Rows], counts: Sequence[int]) -> None:
        self._parts = parts
        self._ends = np.cumsum(counts)
        self._starts = self._ends - np.array(counts)

    def take(self, rows: Int64[np.ndarray, "*any"]) -> np.ndarray:
        """The frames with these indices; only the files that hold some of them are read."""
        flat = rows.ravel()
        owner = np.searchsorted(self._ends, flat, side="right")
        taken = [self._parts[part].take(flat[owner == part] - self._starts[part]) for part in np.unique(owner)]
        frames = np.empty((len(flat), *taken[0].shape[1:]), dtype=taken[0].dtype)
        for part, found in zip(np.unique(owner), taken, strict=True):
            frames[owner == part] = found
        return frames.reshape(*rows.shape, *frames.shape[1:])


def shard_names(name: str, shards: Sequence[int] | None) -> list[str]:
    """The names of a store's frame files: `frames.u8`, or `frames-00000.u8`, `frames-00001.u8`, ..."""
    stem, _, ending = name.partition(".")
    return [name] if shards is None else [f"{stem}-{number:05}.{ending}" for number in range(len(shards))]


def open_frames(
    path: Path | RemoteFolder,
    names: Sequence[str],
    counts: Sequence[int],
    dtype: np.dtype[Any],
    shape: tuple[int, ...],
) -> Rows:
    """The frames of a store; `shape` is that of one frame."""
    parts: list[Rows] = []
    for name, count in zip(names, counts, strict=True):
        whole = (count, *shape)
        if isinstance(path, Path):
            parts.append(MappedFrames(path / name, dtype, whole))
        else:
            parts.append(RemoteFrames(path, name, dtype, whole))
    return parts[0] if len(parts) == 1 else ShardedFrames(parts, counts)
