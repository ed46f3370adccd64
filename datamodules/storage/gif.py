"""GIFs, read by Pillow as browsers show them."""

import os
from collections.abc import Iterator
from itertools import count, pairwise

from datamodules.storage.pictures import Colour, composed

SHORTEST = 0.02
"""The shortest delay of a GIF's frame that browsers keep, in seconds."""

UNTOLD = 0.1
"""The delay that browsers give a shorter one, or none: ten frames a second."""


def is_gif(path: str | os.PathLike[str]) -> bool:
    """Whether the file starts as a GIF does."""
    with open(path, "rb") as file:
        return file.read(4) == b"GIF8"


def check_whole(path: str | os.PathLike[str]) -> None:
    """Refuse a GIF that ends within a picture; one whose end mark alone is missing, or is followed by more, is whole.

    Raises:
        EOFError: if it was cut off.
    """
    with open(path, "rb") as file:
        data = file.read()
    try:
        pictures = _walk(data)
    except IndexError:
        raise EOFError("it was cut off within a picture") from None
    if not pictures:
        raise EOFError("it has no pictures")


def gif_frames(path: str | os.PathLike[str]) -> Iterator[tuple[Colour, float, float]]:
    """The frames of a GIF, composed on white, each with the times at which it appears and goes, in seconds.

    A delay below 0.02 s, or none, is 0.1 s, as in browsers. Times within a hundredth of a second (the unit of a GIF) of
    a constant rate are those of that rate. FFmpeg, which decodes all other videos, merges frames that have no delay.

    Raises:
        OSError: or another of `DAMAGED`, for a damaged file.
    """
    from PIL import Image

    times = _times(path)
    with Image.open(path) as gif:
        for number, (time, end) in enumerate(pairwise(times)):
            gif.seek(number)
            yield composed(gif), time, end


def _times(path: str | os.PathLike[str]) -> list[float]:
    """When each frame appears, and when the last one goes."""
    delays = _delays(path)
    rate, times = len(delays) / sum(delays), [0.0]
    for delay in delays:
        times.append(times[-1] + delay)
    even = [number / rate for number in range(len(times))]
    return [there if rate < 10 and abs(time - there) < 0.01 else time for time, there in zip(times, even, strict=True)]


def _delays(path: str | os.PathLike[str]) -> list[float]:
    """The delay after each frame, in seconds."""
    from PIL import Image

    delays: list[float] = []
    with Image.open(path) as gif:
        for number in count():
            try:
                gif.seek(number)
            except EOFError:
                return delays
            told = gif.info.get("duration", 0) / 1000
            delays.append(UNTOLD if told < SHORTEST - 1e-6 else told)
    return delays


def _walk(data: bytes) -> int:
    """The number of whole pictures in a GIF (89a): header, screen, then blocks, each a chain of sub-blocks.

    Raises:
        IndexError: if the data end within a block.
    """
    place, pictures = 13 + _colours(data[10]), 0
    while place < len(data) and (kind := data[place : place + 1]) in (b",", b"!"):
        place += 2 if kind == b"!" else 11 + _colours(data[place + 9])
        while size := data[place]:
            place += 1 + size
        place += 1
        pictures += kind == b","
    return pictures


def _colours(flags: int) -> int:
    """The bytes of the table of colours that follows, if `flags` announce one."""
    return 3 * 2 ** (1 + (flags & 7)) if flags & 0x80 else 0
