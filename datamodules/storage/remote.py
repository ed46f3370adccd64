"""Remote stores: a clip store at any fsspec address (https://, s3://, gs://), read by byte ranges."""

import json
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import numpy as np
from jaxtyping import Int64

_SMALLEST_GAP = 1 << 16
"""Bytes: two ranges with a smaller gap are requested as one."""


def is_remote(path: str) -> bool:
    """Whether this is an address, not a local path."""
    return "://" in path


class RemoteFolder:
    """The files of a store at an address.

    Args:
        address: of the store's folder, such as https://example.org/data/kth-64px-1ch.

    Raises:
        OSError: if it cannot be reached.
        ImportError: if a package for such addresses is not installed; the message names the extra.
    """

    def __init__(self, address: str) -> None:
        try:
            import fsspec

            self._files, root = fsspec.core.url_to_fs(address)
        except ImportError as error:
            raise ImportError(f"{address} is read with fsspec: pip install 'chronoreel[remote]' ({error}).") from error
        self.address = address
        self._root = root.rstrip("/")

    def json(self, name: str) -> Any:
        """A small file's content."""
        return json.loads(self._files.cat_file(f"{self._root}/{name}"))

    def whole(self, name: str) -> bytes:
        """The whole content of a file."""
        content: bytes = self._files.cat_file(f"{self._root}/{name}")
        return content

    def size(self, name: str) -> int | None:
        """Its length in bytes; None where the server does not say."""
        return self._files.info(f"{self._root}/{name}").get("size")

    def ranges(self, name: str, spans: list[tuple[int, int]]) -> list[bytes]:
        """The bytes of each span (start, end), end not included, requested concurrently.

        Raises:
            OSError: if a request fails, or the server sends another length because it does not support ranges.
        """
        path = f"{self._root}/{name}"
        starts, ends = zip(*spans, strict=True)
        found: list[bytes] = self._files.cat_ranges([path] * len(spans), list(starts), list(ends), on_error="raise")
        for (start, end), content in zip(spans, found, strict=True):
            if len(content) != end - start:
                raise OSError(
                    f"{self.address}/{name}: bytes {start} to {end} were requested and {len(content)} received. The "
                    "server must support ranges; if it does not, copy the store to this machine."
                )
        return found


class RemoteFrames:
    """The frames of a remote store, by index."""

    def __init__(self, folder: RemoteFolder, name: str, dtype: np.dtype[Any], shape: tuple[int, ...]) -> None:
        self._folder, self._name = folder, name
        self._dtype, self.shape = dtype, shape
        self._bytes = int(np.prod(shape[1:])) * dtype.itemsize

    def take(self, rows: Int64[np.ndarray, "..."]) -> np.ndarray:
        """The frames with these indices; neighbours are requested as one range, each frame once."""
        wanted = np.unique(rows)
        frames = np.empty((len(wanted), *self.shape[1:]), dtype=self._dtype)
        runs = list(_runs(wanted, max(1, _SMALLEST_GAP // max(self._bytes, 1))))
        spans = [(int(wanted[a]) * self._bytes, (int(wanted[b - 1]) + 1) * self._bytes) for a, b in runs]
        for (a, b), content in zip(runs, self._folder.ranges(self._name, spans) if spans else [], strict=True):
            run = np.frombuffer(content, dtype=self._dtype).reshape(-1, *self.shape[1:])
            frames[a:b] = run[wanted[a:b] - wanted[a]]
        return frames[np.searchsorted(wanted, rows)]


def _runs(sorted_rows: Int64[np.ndarray, " rows"], gap: int) -> Iterator[tuple[int, int]]:
    """The (start, end) of each run of indices whose neighbours are at most `gap` apart; end is not included."""
    cuts = np.flatnonzero(np.diff(sorted_rows) > gap) + 1
    edges = [0, *cuts.tolist(), len(sorted_rows)]
    yield from ((a, b) for a, b in pairwise(edges) if a < b)
