"""Image sequences: videos published as a folder of numbered images."""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from datamodules.storage.container import VideoError
from datamodules.storage.pictures import DAMAGED, read_picture
from datamodules.storage.video import Picture, fit

PICTURES = (".jpg", ".jpeg", ".png", ".bmp")


def read_image_sequence(
    paths: Sequence[Path], rate: float, *, size: tuple[int, int], channels: int
) -> Iterator[tuple[Picture, float]]:
    """The images in the form that `decode` returns frames, at `rate` frames per second, transparency on white.

    Raises:
        VideoError: if one of them cannot be read, or there is none.
    """
    if not paths:
        raise VideoError("a folder", "it has no images")
    for number, path in enumerate(paths):
        try:
            pixels = read_picture(path)
        except DAMAGED as error:
            raise VideoError(path, f"it is not an image ({error})") from error
        yield fit(pixels, size, channels), number / rate


def images_in(folder: Path) -> list[Path]:
    """The images of a folder, sorted by the last number in their names, so that img_10 follows img_9."""
    paths = [path for path in folder.iterdir() if path.suffix.lower() in PICTURES]
    return sorted(paths, key=lambda path: (int((re.findall(r"\d+", path.stem) or ["-1"])[-1]), path.name))
