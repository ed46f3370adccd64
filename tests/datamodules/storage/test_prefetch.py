"""Streams read ahead: in order, whole, bounded, and ended when nobody wants them any more."""

import threading
from collections.abc import Iterator
from contextlib import closing

import pytest

from datamodules.storage import prefetch
from datamodules.storage.prefetch import prefetch_streams


def counting(stream: int, length: int) -> Iterator[tuple[int, int]]:
    for item in range(length):
        yield stream, item


def streams(count: int, length: int) -> list[prefetch.Stream]:
    return [lambda number=number: counting(number, length) for number in range(count)]


@pytest.mark.parametrize("workers", [1, 3])
@pytest.mark.parametrize("item_bytes", [1, prefetch.BUFFER_BYTES])  # room for all, and for eight
def test_items_come_in_order_whatever_the_room(workers: int, item_bytes: int) -> None:
    read = [list(items) for items in prefetch_streams(streams(10, 50), item_bytes=item_bytes, workers=workers)]
    assert read == [[(stream, item) for item in range(50)] for stream in range(10)]
    assert list(prefetch_streams([], item_bytes=1)) == []


def test_following_streams_are_read_meanwhile_but_not_without_bound() -> None:
    taken: list[int] = []
    full = threading.Event()

    def second() -> Iterator[int]:
        for item in range(1000):
            taken.append(item)
            if len(taken) == 9:  # eight in the queue, and one that waits
                full.set()
            yield item

    with closing(prefetch_streams([lambda: iter([0]), second], item_bytes=prefetch.BUFFER_BYTES, workers=2)) as read:
        assert list(next(read)) == [0]
        assert full.wait(timeout=10)
        assert len(taken) == 9
        assert list(next(read)) == list(range(1000))


def test_an_error_is_raised_where_its_stream_is_read() -> None:
    def broken() -> Iterator[int]:
        yield 1
        raise ValueError("torn")

    read = prefetch_streams([broken, lambda: iter([2])], item_bytes=1, workers=2)
    items = next(read)
    assert next(items) == 1
    with pytest.raises(ValueError, match="torn"):
        next(items)
    assert list(next(read)) == [2]


def test_closing_ends_the_threads_of_streams_without_end() -> None:
    ended = threading.Event()

    def endless() -> Iterator[int]:
        try:
            while True:
                yield 0
        finally:
            ended.set()

    before = set(threading.enumerate())
    with closing(prefetch_streams([endless] * 4, item_bytes=prefetch.BUFFER_BYTES, workers=2)) as read:
        assert next(next(read)) == 0
    assert ended.is_set()
    assert set(threading.enumerate()) <= before


def test_a_stream_that_is_left_half_read_makes_room_for_the_next() -> None:
    read = prefetch_streams(streams(5, 10_000), item_bytes=prefetch.BUFFER_BYTES, workers=1)
    assert [next(items) for items in read] == [(stream, 0) for stream in range(5)]
