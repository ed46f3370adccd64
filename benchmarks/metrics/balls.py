"""Ball-position error: the distance between predicted and true ball centres, in pixels."""

from math import inf
from typing import Any, ClassVar, NamedTuple

import torch
from jaxtyping import Float
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from benchmarks.metrics.reference import PerFrame, ReferenceMetric
from benchmarks.utils.errors import UserError
from datamodules.clip import KeypointClip, Sample, VideoClip

Images = Float[Tensor, "frame height width"]
Centres = Float[Tensor, "frame ball 2"]

_CELLS, _CELLS_CPU = 1 << 22, 1 << 15
"""Pixels processed at once; on a CPU as many as its cache holds."""
_ITERATIONS = 10
_CLOSE = 1e-3
"""The refinement of a frame stops when no ball moves further than this, in pixels."""
_REACH = 1.5
"""The largest distance, in pixels, between a refined centre and the pixel where the ball was found."""


class BallPositionError(ReferenceMetric):
    """The mean distance, in pixels, between predicted and true ball centres, matched one to one.

    Balls are found one after another by template matching with the profile exp(-(d / radius)^8) at distance d from the
    centre; all centres of a frame are then refined jointly to subpixel accuracy by least squares. The matching
    minimises the sum of distances. An invisible ball is placed at the centre of the frame, so that a black video gets
    the error of that uninformed guess.

    Args:
        radius: of a ball in pixels; 1.2 in a box of width 10 that is rendered at 32 pixels.
        visible: the fraction of a full ball's brightness below which a ball counts as invisible.
        kwargs: settings of `torchmetrics.Metric`.
    """

    name: ClassVar[str] = "ball_position_error"
    value_range: ClassVar[tuple[float, float]] = (0.0, inf)
    higher_is_better: bool = False
    accepts: ClassVar[tuple[type[Sample], type[Sample]]] = (VideoClip, KeypointClip)

    def __init__(self, radius: float = 1.2 / 10 * 32, visible: float = 1 / 3, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if not (radius > 0 and 0 < visible < 1):
            raise UserError(f"radius must be positive and visible between 0 and 1; got {radius} and {visible}.")
        self.radius = radius
        self.visible = visible

    @property
    def protocol(self) -> dict[str, str | float]:
        """The ball template."""
        return {"radius": self.radius, "visible": self.visible}

    def measure(self, sample: Sample, target: Sample) -> PerFrame:
        """The mean over balls for each frame."""
        if not isinstance(target, KeypointClip):
            raise UserError(
                f"{self.name} needs the true centres: a KeypointClip as target; got a {type(target).__name__}."
            )
        images = ((sample.frames.double() + 1) / 2).mean(-3).flatten(0, 1)  # type: ignore[union-attr]
        height, width = images.shape[-2:]
        span = torch.tensor([width - 1, height - 1], dtype=torch.float64, device=images.device)
        reference = (target.keypoints.double().flatten(0, 1) + 1) / 2 * span  # -1 and 1 are centres of pixels
        if not bool(reference.isfinite().all()):
            raise UserError("The true centres of the balls must be finite; some are NaN or infinite.")
        chunks = images.split(max(1, (_CELLS_CPU if images.device.type == "cpu" else _CELLS) // (height * width)))
        found = [find_balls(chunk, reference.shape[1], self.radius) for chunk in chunks]
        centres = torch.cat([balls.centres for balls in found])
        seen = torch.cat([balls.brightness for balls in found]) >= self.visible
        centres = torch.where(seen[..., None], centres, span / 2)
        return _matched_distance(centres, reference).reshape(target.frames.shape[:2])


class Balls(NamedTuple):
    """Centres of the balls found (x, then y, in pixels) and their brightness: 1 for a full ball."""

    centres: Centres
    brightness: Float[Tensor, "frame ball"]


def find_balls(images: Images, count: int, radius: float) -> Balls:
    """The `count` most ball-like spots of each image with intensities in [0, 1], brightest first.

    Matching pursuit: find the maximum of the cross-correlation with a ball, normalised by the ball's energy, subtract
    that ball with its brightness, and repeat. `_refine` then fits all centres and brightnesses jointly.
    """
    height, width = images.shape[-2:]
    y, x = (torch.arange(n, dtype=images.dtype, device=images.device) for n in (height, width))
    reach = int(1.5 * radius) + 1  # a ball's brightness is 1e-11 there
    shape = (height + 2 * reach, width + 2 * reach)  # padded, so that the periodic transform does not wrap around
    offsets = [torch.fft.fftfreq(n, 1 / n, dtype=images.dtype, device=images.device) for n in shape]
    ball = _profile(offsets[1] ** 2 + offsets[0][:, None] ** 2, radius)
    energy = ball.square().sum()
    spectrum = torch.fft.rfft2(ball).conj()
    left, centres, brightness = images, [], []
    for _ in range(count):
        response = torch.fft.irfft2(torch.fft.rfft2(left, s=shape) * spectrum, s=shape)[:, :height, :width] / energy
        highest, index = response.flatten(1).max(1)
        row, column = index // width, index % width
        centres.append(torch.stack([column, row], -1).to(images.dtype))
        brightness.append(highest)
        distance = (x - column[:, None])[:, None, :] ** 2 + (y - row[:, None])[:, :, None] ** 2
        left = left - highest[:, None, None] * _profile(distance, radius)
    return Balls(
        _refine(images, torch.stack(centres, 1), torch.stack(brightness, 1), radius), torch.stack(brightness, 1)
    )


def _refine(images: Images, start: Centres, brightness: Float[Tensor, "frame ball"], radius: float) -> Centres:
    """Damped least squares, jointly for all balls of a frame, so that touching balls do not bias each other."""
    frames, count = brightness.shape
    height, width = images.shape[-2:]
    y, x = (torch.arange(n, dtype=images.dtype, device=images.device) for n in (height, width))
    damping = 0.1 * torch.eye(3 * count, dtype=images.dtype, device=images.device)
    centres, best = start.clone(), start.clone()
    moving = torch.ones(frames, dtype=torch.bool, device=images.device)
    lowest = torch.full((frames,), torch.inf, dtype=images.dtype, device=images.device)
    for _ in range(_ITERATIONS):
        to_x = (x - centres[..., :1])[..., None, :].expand(-1, -1, height, -1)
        to_y = (y - centres[..., 1:])[..., :, None].expand(-1, -1, -1, width)
        square = (to_x**2 + to_y**2) / radius**2
        cube = square * square * square
        ball = (cube * square).neg_().exp_()
        model = brightness[..., None, None] * ball
        slope = model * cube * (8 / radius**2)  # derivative of the model with respect to the centre, without the offset
        error = images - model.sum(1)
        loss = error.square().sum((1, 2))
        better = loss < lowest
        lowest, best = torch.where(better, loss, lowest), torch.where(better[:, None, None], centres, best)
        jacobian = torch.stack([ball, slope * to_x, slope * to_y], 2).flatten(1, 2).flatten(2)
        normal = jacobian @ jacobian.mT + damping
        step = torch.linalg.solve(normal, (jacobian @ error.flatten(1)[..., None])[..., 0]).reshape(frames, count, 3)
        moving = moving & (step[..., 1:].abs().amax((1, 2)) >= _CLOSE)  # a frame's result depends on no other frame
        if not bool(moving.any()):
            break
        step = torch.where(moving[:, None, None], step, 0.0)
        brightness = (brightness + step[..., 0]).clamp(0, 2)
        centres = (centres + step[..., 1:].clamp(-0.5, 0.5)).clamp(start - _REACH, start + _REACH)
    return best


def _profile(squared_distance: Tensor, radius: float) -> Tensor:
    fourth = (squared_distance / radius**2).square_().square_()
    return fourth.neg_().exp_()


def _matched_distance(found: Centres, reference: Centres) -> Float[Tensor, " frame"]:
    """The mean distance under the best one-to-one matching (Hungarian method)."""
    distances = torch.cdist(reference, found).cpu()
    means = [float(frame[linear_sum_assignment(frame)].mean()) for frame in distances.numpy()]
    return torch.tensor(means, dtype=torch.float64, device=reference.device)
