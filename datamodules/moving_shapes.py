"""Moving shapes: a disc or a square that crosses the frame along a smooth curve, rendered on the fly at any time.

Our simulation of MoCoGAN's data (Tulyakov et al., 2018): 64x64 colour, black background, one disc or square, 8 to 14
pixels wide, of one random colour, on a cubic Bézier curve. Class 0 moves from bottom to top, class 1 from right to left
(2 and 3 in the opposite directions). The curve's end points lie on two opposite borders, its inner points anywhere. One
crossing takes 31/16 s, which is 32 frames at 16 frames per second; then the shape moves back along the same curve.
Position is an exact function of time: 4 times the frame rate shows the same motion at intermediate times too. A pixel's
brightness is its covered share (exact for squares; for discs from the distance of its centre to the rim). Nothing is
downloaded.
"""

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
from jaxtyping import Float32, Float64, Int64, UInt8

from datamodules.base.clip_source import Indices, Positions
from datamodules.base.module import Split
from datamodules.base.rng import SCENE, uniforms
from datamodules.base.simulated import SimulatedDataModule, SimulatedSource
from datamodules.errors import UserError

CROSSING = 31 / 16
"""Seconds from one border to the other."""
WIDTHS = 8, 14
"""The minimum and maximum width of a shape, in 64ths of the frame."""
_VERSION = 1
_PATCH = 16


class MovingShapesSource(SimulatedSource):
    """The clips of these seeds.

    Args:
        seeds: one for each clip; all that a clip depends on.
        num_frames: frames of each clip.
        frame_rate: frames per second.
        size: side of the square frames in pixels.
        classes: 2, or 4 with both directions.
    """

    channels = 3

    def __init__(self, seeds: range, num_frames: int, frame_rate: float, size: int = 64, classes: int = 2) -> None:
        times = np.arange(num_frames) / frame_rate
        super().__init__(_VERSION, seeds, times, (size, size), (frame_rate, size, classes))
        numbers = uniforms(SCENE, 0, 0, np.arange(seeds.start, seeds.stop, dtype=np.int64), 14)
        self._classes = (numbers[:, 0] * classes).astype(np.int64)
        self._square = numbers[:, 1] < 0.5
        self._widths = (WIDTHS[0] + numbers[:, 2] * (WIDTHS[1] - WIDTHS[0])) * size / 64
        self._colours = (64 + 191 * numbers[:, 3:6]).astype(np.float32)
        self._points = _curve(numbers[:, 6:14].reshape(-1, 4, 2), self._classes, self._widths, size)

    def labels(self) -> Int64[np.ndarray, " clips"]:
        """The class of motion."""
        return self._classes

    def read(self, clips: Indices, frames: Positions) -> UInt8[np.ndarray, "batch time channel height width"]:
        """The frames at these positions, rendered on the fly, 0 to 255."""
        return self.render(clips, self._times[frames])

    def centres(self, clips: Indices, times: Float64[np.ndarray, "batch time"]) -> Float64[np.ndarray, "batch time 2"]:
        """The positions of the shapes at any times: x then y in pixels, 0 at the left or upper border of the frame."""
        # there and back again: 0 .. 1 .. 0
        u = (1 - np.abs(1 - (times / CROSSING) % 2))[..., None, None]
        weights = np.concatenate([(1 - u) ** 3, 3 * u * (1 - u) ** 2, 3 * u**2 * (1 - u), u**3], axis=-2)
        return (weights * self._points[clips][:, None]).sum(axis=-2)

    def render(
        self, clips: Indices, times: Float64[np.ndarray, "batch time"]
    ) -> UInt8[np.ndarray, "batch time channel height width"]:
        """The frames at any times (seconds since the first frame), 0 to 255."""
        size = self.size[0]
        patch = min(size, -(-_PATCH * size // 64))
        centres = self.centres(clips, times)
        corners = np.clip(np.floor(centres - patch / 2).astype(np.int64), 0, size - patch)
        offsets = np.abs(np.arange(0.5, patch) - (centres - corners)[..., None]).astype(np.float32)
        light = self._cover(clips, offsets[..., 0, None, :], offsets[..., 1, :, None])
        patches = (light[:, :, None] * self._colours[clips][:, None, :, None, None] + np.float32(0.5)).astype(np.uint8)
        pictures = np.zeros((*times.shape, 3, size, size), dtype=np.uint8)
        flat = pictures.reshape(-1, 3, size, size)
        places = zip(corners.reshape(-1, 2).tolist(), patches.reshape(-1, 3, patch, patch), strict=True)
        for number, ((left, top), small) in enumerate(places):
            flat[number, :, top : top + patch, left : left + patch] = small
        return pictures

    def _cover(
        self, clips: Indices, x: Float32[np.ndarray, "batch time 1 patch"], y: Float32[np.ndarray, "batch time patch 1"]
    ) -> Float32[np.ndarray, "batch time patch patch"]:
        """The covered share of each pixel, from the distance between its centre and the shape's."""
        radius = (self._widths[clips] / 2).astype(np.float32)[:, None, None, None]
        square = self._square[clips]
        light = np.clip(radius + np.float32(0.5) - x, 0, 1) * np.clip(radius + np.float32(0.5) - y, 0, 1)
        round_ones = ~square
        rim = radius[round_ones] + np.float32(0.5)
        light[round_ones] = np.clip(rim - np.sqrt(x[round_ones] ** 2 + y[round_ones] ** 2), 0, 1)
        return light


class MovingShapes(SimulatedDataModule):
    """Discs and squares that cross the frame; see the module's docstring.

    Args:
        train_clips: number of training clips.
        val_clips: number of validation clips, whose seeds no other split has.
        test_clips: number of test clips.
        length: frames of each clip.
        frame_rate: frames per second; 64 (with a length of 125) shows the same motion at four times the rate.
        size: side of the frames in pixels, at least 16.
        classes: number of classes of motion: 2, or 4 with both directions.
        loading: see `ClipDataModule`.
    """

    name = "moving-shapes"
    channels = 3
    first_seeds: ClassVar[Mapping[Split, int]] = {"train": 0, "val": 1 << 30, "test": 1 << 31}

    def __init__(
        self,
        train_clips: int = 2000,
        val_clips: int = 100,
        test_clips: int = 256,
        length: int = 32,
        frame_rate: float = 16.0,
        size: int = 64,
        classes: int = 2,
        **loading: Any,
    ) -> None:
        if classes not in (2, 4):
            raise UserError(f"classes must be 2, or 4 for both directions; got {classes}.")
        if size < 16:
            raise UserError(f"size must be at least 16 pixels; got {size}.")
        super().__init__(clips=(train_clips, val_clips, test_clips), length=length, size=(size, size), **loading)
        self.frame_rate = frame_rate
        self.classes = classes

    def open(self, split: Split) -> MovingShapesSource:
        """The shapes of a split's seeds."""
        return MovingShapesSource(self.seeds(split), self.length, self.frame_rate, self.size[0], self.classes)


def _curve(
    numbers: Float64[np.ndarray, "clips 4 2"],
    classes: Int64[np.ndarray, " clips"],
    widths: Float64[np.ndarray, " clips"],
    size: int,
) -> Float64[np.ndarray, "clips 4 2"]:
    """The four control points of each Bézier curve, such that the shape never leaves the frame."""
    points = numbers.copy()
    along = 1 - classes % 2  # class 0 moves along y, class 1 along x
    rows = np.arange(len(points))
    forth = classes < 2
    points[rows, 0, along] = forth
    points[rows, 3, along] = ~forth
    margin = widths[:, None, None] / 2
    return margin + points * (size - 2 * margin)
