"""Pictures and GIFs, read by Pillow; what is transparent shows white, in every file that is read."""

import os
import struct
from collections.abc import Iterator
from itertools import count

import numpy as np
from jaxtyping import UInt8

Colour = UInt8[np.ndarray, "height width 3"]

DAMAGED = (OSError, SyntaxError, ValueError, EOFError, IndexError, struct.error)
"""What Pillow raises for a damaged file (SyntaxError: a PNG)."""

SHORTEST = 0.02
"""The shortest delay of a GIF's frame that browsers keep, in seconds."""

UNTOLD = 0.1
"""The delay that browsers give a shorter one, or none: ten frames a second."""


def on_white(pixels: UInt8[np.ndarray, "*shape 4"]) -> UInt8[np.ndarray, "*shape 3"]:
    """Red, green and blue of pixels with alpha (not premultiplied) in front of white; opaque ones are unchanged."""
    alpha = pixels[..., 3:].astype(np.uint32)
    mixed = (pixels[..., :3] * alpha + 255 * (255 - alpha) + 127) // 255
    return mixed.astype(np.uint8)


def read_picture(path: str | os.PathLike[str]) -> Colour:
    """The pixels of a picture file, composed on white.

    Raises:
        OSError: or another of `DAMAGED`, for a file that is no picture.
    """
    from PIL import Image

    with Image.open(path) as picture:
        return _composed(picture)


def is_gif(path: str | os.PathLike[str]) -> bool:
    """Whether the file starts as a GIF does."""
    with open(path, "rb") as file:
        return file.read(4) == b"GIF8"


def gif_frames(path: str | os.PathLike[str]) -> Iterator[tuple[Colour, float]]:
    """The frames of a GIF, composed on white, each with its time in seconds since the first.

    A delay below 0.02 s, or none, is 0.1 s, as in browsers. Times within a hundredth of a second (the unit of a GIF) of
    a constant rate are those of that rate. FFmpeg, which decodes all other videos, merges frames that have no delay.

    Raises:
        OSError: or another of `DAMAGED`, for a damaged file.
    """
    from PIL import Image

    delays = _delays(path)
    rate, time = len(delays) / sum(delays), 0.0
    with Image.open(path) as gif:
        for number, delay in enumerate(delays):
            gif.seek(number)
            even = number / rate
            yield _composed(gif), even if rate < 10 and abs(time - even) < 0.01 else time
            time += delay


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


def _composed(picture: object) -> Colour:
    """The pixels of a Pillow image as they are seen in front of white."""
    from PIL import Image

    assert isinstance(picture, Image.Image)
    if "transparency" in picture.info or picture.mode in ("RGBA", "RGBa", "LA", "La", "PA"):
        return on_white(np.asarray(picture.convert("RGBA")))
    return np.array(picture.convert("RGB"))
