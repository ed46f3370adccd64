"""Motion histograms: features of velocity and acceleration that are independent of appearance."""

from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import avg_pool2d, interpolate, pad

from benchmarks.metrics.features.extractor import Extractor, Frames, Rows

SIZE, CELL, REACH, BINS, REGIONS = 64, 8, 5, 8, 2
_STILL = 1e-3
"""The matching cost per squared pixel of displacement, so that untextured regions count as static."""

Flow = Float[Tensor, "batch time 2 row column"]


class MotionHistograms(Extractor):
    """Histograms of block motion and of its change, after the Fréchet video motion distance (Liu et al., 2024).

    Frames are converted to grey, resized to 64 x 64 and normalised for local brightness and contrast. Each 8 x 8 cell
    is matched with the next frame within 5 pixels. The lengths of velocities, and of accelerations between steps, are
    accumulated in eight direction bins in each quadrant of the frame and averaged over time: 64 numbers. No weights.
    """

    trained: ClassVar[bool] = True  # hand-made features, which need no training
    fewest_frames: ClassVar[int] = 3

    @property
    def name(self) -> str:
        """motion_histograms."""
        return "motion_histograms"

    @property
    def protocol(self) -> dict[str, str]:
        """See `Extractor`; there are no weights to hash."""
        settings = f"cells of {CELL}, reach {REACH}, {BINS} directions, {REGIONS}x{REGIONS} regions"
        return {"extractor": f"{self.name}, {settings}", "resize": f"{SIZE}x{SIZE} bilinear antialiased"}

    def prepare(self) -> None:
        """Nothing to load."""

    def __call__(self, frames: Frames) -> Rows:
        """See `Extractor`; one clip at a time, so that memory is bounded."""
        with torch.no_grad(), torch.autocast(frames.device.type, enabled=False):
            return torch.cat([_histograms(block_motion(clip)) for clip in frames.float().split(1)])


def block_motion(frames: Frames) -> Float[Tensor, "batch step 2 row column"]:
    """The displacement (x, y) of each cell to the next frame, in whole pixels of the 64 x 64 frame."""
    batch, time = frames.shape[:2]
    grey = frames.mean(2).flatten(0, 1)[:, None]
    if grey.shape[-2:] != (SIZE, SIZE):
        grey = interpolate(grey, (SIZE, SIZE), mode="bilinear", antialias=True, align_corners=False)
    flat = grey - _local_mean(grey)
    pictures = (flat / (_local_mean(flat.square()) + 1e-2).sqrt()).unflatten(0, (batch, time))
    here, there = pictures[:, :-1].flatten(0, 1), pictures[:, 1:].flatten(0, 1)
    there = pad(there, [REACH] * 4, mode="replicate")
    # nearest first, so that the smallest displacement wins among equal matches
    shifts = sorted(
        ((x, y) for x in range(-REACH, REACH + 1) for y in range(-REACH, REACH + 1)),
        key=lambda d: d[0] ** 2 + d[1] ** 2,
    )
    costs = torch.stack(
        [
            avg_pool2d((there[..., REACH + y : REACH + y + SIZE, REACH + x : REACH + x + SIZE] - here).square(), CELL)
            + _STILL * (x * x + y * y)
            for x, y in shifts
        ],
        dim=-1,
    )[:, 0]
    found = torch.tensor(shifts, dtype=torch.float32, device=frames.device)[costs.argmin(-1)]
    return found.permute(0, 3, 1, 2).unflatten(0, (batch, time - 1))


def _histograms(velocity: Flow) -> Float[Tensor, "batch feature"]:
    return torch.cat([_directions(velocity), _directions(velocity.diff(dim=1))], dim=1)


def _directions(flow: Flow) -> Float[Tensor, "batch feature"]:
    """The mean length of the vectors in each direction bin and region."""
    angle = torch.atan2(flow[:, :, 1], flow[:, :, 0]) / (2 * torch.pi) * BINS
    index = angle.round().long() % BINS
    lengths = flow.square().sum(2).sqrt()[..., None] * torch.nn.functional.one_hot(index, BINS)
    regions = lengths.unflatten(3, (REGIONS, -1)).unflatten(2, (REGIONS, -1))
    return regions.mean((1, 3, 5)).flatten(1)


def _local_mean(pictures: Tensor) -> Tensor:
    return avg_pool2d(pictures, 9, stride=1, padding=4, count_include_pad=False)
