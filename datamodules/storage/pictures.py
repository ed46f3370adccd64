"""Picture files, read by Pillow; what is transparent shows white, in every file that is read."""

import os
import struct

import numpy as np
from jaxtyping import UInt8

Colour = UInt8[np.ndarray, "height width 3"]

DAMAGED = (OSError, SyntaxError, ValueError, EOFError, IndexError, struct.error)
"""What Pillow raises for a damaged file (SyntaxError: a PNG)."""


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
        return composed(picture)


def composed(picture: object) -> Colour:
    """The pixels of a Pillow image as they are seen in front of white."""
    from PIL import Image

    assert isinstance(picture, Image.Image)
    if "transparency" in picture.info or picture.mode in ("RGBA", "RGBa", "LA", "La", "PA"):
        return on_white(np.asarray(picture.convert("RGBA")))
    return np.array(picture.convert("RGB"))
