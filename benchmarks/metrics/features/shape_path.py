"""The path of a single bright object on a dark background: the centre of brightness in every frame."""

from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from benchmarks.metrics.features.extractor import Extractor, Frames, Rows

_DARK = 1e-3
"""Brightness added at the centre of each frame, in full pixels, so that a black frame has its path there."""


class ShapePath(Extractor):
    """The centroid of squared brightness in every frame, x then y, in units in which the frame is 2 wide.

    On moving shapes it agrees with the simulated centre to an eighth of a pixel at 32 x 32, so distances of these paths
    are distances of motions, independent of colour, shape and sharpness. Squaring reduces the pull of a faint
    background towards the middle.
    """

    trained: ClassVar[bool] = True  # hand-made features, which need no training
    fewest_frames: ClassVar[int] = 1

    @property
    def name(self) -> str:
        """shape_path."""
        return "shape_path"

    @property
    def protocol(self) -> dict[str, str]:
        """See `Extractor`; there are no weights to hash."""
        return {"extractor": f"{self.name}, centre of squared brightness", "resize": "none"}

    def prepare(self) -> None:
        """Nothing to load."""

    def __call__(self, frames: Frames) -> Rows:
        """See `Extractor`: 2 numbers per frame."""
        return shape_paths(frames).flatten(1)


def shape_paths(frames: Frames) -> Float[Tensor, "batch time 2"]:
    """The centroid path of each clip; see `ShapePath`."""
    light = ((frames.float().mean(2) + 1) / 2).clamp(0, 1).square()
    height, width = light.shape[-2:]
    across, down = (
        (torch.arange(count, device=frames.device, dtype=torch.float32) + 0.5) * 2 / count - 1
        for count in (width, height)
    )
    total = light.sum((2, 3)) + _DARK
    x, y = (light.sum(2) * across).sum(-1), (light.sum(3) * down).sum(-1)
    return torch.stack([x / total, y / total], dim=-1)
