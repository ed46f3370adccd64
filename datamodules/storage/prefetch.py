"""Prefetching: several streams are read ahead in threads, on all cores, and yielded one after another."""

import os
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from queue import Full, Queue
from threading import Event
from typing import Any

Stream = Callable[[], Iterable[Any]]
"""Returns the items of one stream; called, and read to its end, in a thread."""

BUFFER_BYTES = 2**29
"""About how many bytes all streams together read ahead."""


def cores() -> int:
    """The processor cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def prefetch_streams(
    streams: Sequence[Stream], *, item_bytes: int, workers: int | None = None
) -> Generator[Iterator[Any], None, None]:
    """An iterator over the items of each stream, in order, while the following streams are read in threads.

    Items that an iterator has not yielded when the next iterator is requested are discarded. To end the threads before
    the generator is exhausted, close it.

    Args:
        streams: an error in one is raised where its items are read; the next stream can still be read.
        item_bytes: the size of an item in bytes, which limits how many are read ahead (see `BUFFER_BYTES`).
        workers: number of threads; None is one for each core.
    """
    workers = workers or cores()
    room = max(8, BUFFER_BYTES // (2 * workers * item_bytes))
    left = iter(streams)
    waiting: deque[_Read] = deque()
    pool = ThreadPoolExecutor(workers)

    def start(count: int) -> None:
        for stream in islice(left, count):
            waiting.append(_Read(stream, room))
            pool.submit(waiting[-1].fill)

    try:
        start(2 * workers)
        while waiting:
            # threads take the streams in order, so the first one is always being read: no deadlock
            yield iter(waiting[0])
            waiting.popleft().given_up.set()
            start(1)
    finally:
        for read in waiting:
            read.given_up.set()
        pool.shutdown(cancel_futures=True)


class _Read:
    """A stream between the thread that reads it and the one that takes its items."""

    def __init__(self, stream: Stream, room: int) -> None:
        self._stream = stream
        self._queue: Queue[tuple[bool, Any]] = Queue(room)
        self.given_up = Event()

    def fill(self) -> None:
        """Read the stream until its end, an error, or until it is given up."""
        end: BaseException | None = None
        try:
            for item in self._stream():
                if not self._put((True, item)):
                    return
        except BaseException as error:
            end = error
        self._put((False, end))

    def __iter__(self) -> Iterator[Any]:
        while True:
            goes_on, item = self._queue.get()
            if goes_on:
                yield item
            elif item is not None:
                raise item
            else:
                return

    def _put(self, entry: tuple[bool, Any]) -> bool:
        while not self.given_up.is_set():
            try:
                self._queue.put(entry, timeout=0.1)
            except Full:
                continue
            return True
        return False
