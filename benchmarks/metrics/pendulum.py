"""Physical plausibility of motions: roughness, and the residual of a pendulum's equation of motion."""

from abc import abstractmethod
from math import inf
from typing import Any, ClassVar, Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor

from benchmarks.metrics.gathered import GatheredMetric
from benchmarks.records.clip_scores import PerClip
from benchmarks.records.parts import Measurement
from benchmarks.utils.by_source import mean_interval
from benchmarks.utils.errors import UserError
from datamodules.clip import Sample, Trajectory

PerMotion = Float[Tensor, " batch"]


class _OfMotion(GatheredMetric):
    """The mean over clips of a quantity of single motions.

    Args:
        of: which motion to score: the system's "sample", or the data's "target", whose name is then `data_...`.
        kwargs: settings of `torchmetrics.Metric`.
    """

    higher_is_better: bool = False
    accepts: ClassVar[tuple[type[Sample], type[Sample]]] = (Trajectory, Trajectory)
    quantity: ClassVar[str]

    def __init__(self, of: Literal["sample", "target"] = "sample", **kwargs: Any) -> None:
        super().__init__("values", **kwargs)
        self.of = of

    @property
    def name(self) -> str:
        """The quantity, with the prefix data_ for the data's own motions."""
        return self.quantity if self.of == "sample" else f"data_{self.quantity}"

    @abstractmethod
    def measure(self, motion: Trajectory) -> PerMotion:
        """The value of each motion, float64."""

    def update(self, sample: Sample, target: Sample, ids: Int[Tensor, " batch"]) -> None:
        """Measure a batch and keep the values."""
        motion = sample if self.of == "sample" else target
        if not isinstance(motion, Trajectory):
            raise UserError(f"{type(self).__name__} needs a Trajectory; got a {type(motion).__name__}.")
        self.keep("values", ids, self.measure(motion)[:, None])

    def compute(self) -> Float[Tensor, ""]:
        """The mean over all motions of all processes."""
        return self.kept("values")[1].mean()

    def measurement(self) -> Measurement:
        """The mean with its interval over sources. Every process must call it."""
        with self.gathered():
            ids, values = self.kept("values")
            origins, sources = self.origins_of(ids), self.sources_of(ids)
        interval = mean_interval(values.double().numpy(), origins.numpy())
        return self._measured(float(values.mean()), len(ids), interval, sources=sources)

    def per_clip(self) -> PerClip:
        """The value of each motion alone."""
        with self.gathered():
            ids, values = self.kept("values")
            origins = self.origins_of(ids)
        return PerClip(ids.numpy(), origins.numpy(), values[:, 0].double().numpy())


class Roughness(_OfMotion):
    """The mean squared second difference of a trajectory's values, in their own units.

    To be compared with the data's own at the same frame rate (`of: target`): a motion as smooth as the data has about
    the same roughness, jitter increases it, and a static motion has none.
    """

    quantity: ClassVar[str] = "roughness"
    value_range: ClassVar[tuple[float, float]] = (0.0, inf)

    def measure(self, motion: Trajectory) -> PerMotion:
        """The mean over all inner time steps and all values."""
        if motion.values.shape[1] < 3:
            raise UserError(f"A second difference needs at least 3 time steps; got {motion.values.shape[1]}.")
        return motion.values.double().diff(n=2, dim=1).square().mean((1, 2))


class PendulumResidual(_OfMotion):
    """The relative residual of the best-fitting pendulum: 0 for a pendulum, about 1 for noise.

    For each motion, B / M >= 0 and g / L >= 0 of theta'' + (B / M) theta' + (g / L) sin theta = 0 (MODE-GAN, eq. 8) are
    fitted by least squares. The equation is used in integral form on each interval between samples: the changes of
    angle and velocity equal the integrals of velocity and acceleration, which are computed from values and slopes at
    both ends (Hermite's rule, fourth order), so that a coarse grid adds little error: 1,000 simulated pendulums at
    0.1 s have a mean below 1e-4. The result is the residual sum of squares relative to that of both sides of the
    equations; the angle's half is at most 2 (an angle that moves against its velocity), the velocity's at most 1.
    """

    quantity: ClassVar[str] = "pendulum_residual"
    value_range: ClassVar[tuple[float, float]] = (0.0, 2.0)

    def measure(self, motion: Trajectory) -> PerMotion:
        """The residual fraction of the best-fitting pendulum."""
        if motion.values.shape[-1] != 2:
            raise UserError(
                f"A pendulum's state is its angle and angular velocity; these trajectories have "
                f"{motion.values.shape[-1]} values."
            )
        return fit_pendulum(motion.values, motion.times)[1]


def fit_pendulum(
    values: Float[Tensor, "batch time 2"], times: Float[Tensor, "batch time"]
) -> tuple[Float[Tensor, "batch 2"], PerMotion]:
    """B / M and g / L of the best-fitting pendulum for each motion, and the residual fraction.

    Both equations are linear in the two parameters. Non-negative least squares in two dimensions is the best of four
    cases: both free, either at 0, both at 0.
    """
    angle, speed = values.double().unbind(-1)
    step = times.double().diff(dim=1)

    def integral(value: Tensor, slope: Tensor) -> Tensor:
        return step / 2 * (value[:, 1:] + value[:, :-1]) + step.square() / 12 * (slope[:, :-1] - slope[:, 1:])

    still = torch.zeros_like(angle)
    turned, gained = angle.diff(dim=1), speed.diff(dim=1)
    # the contributions of unit friction and unit gravity to the right-hand side of either equation
    friction = torch.stack([integral(still, -speed), -turned], dim=1)
    gravity = torch.stack([integral(still, -angle.sin()), -integral(angle.sin(), angle.cos() * speed)], dim=1)
    carried = torch.stack([integral(speed, still), still[:, 1:]], dim=1)
    changes = torch.stack([turned, gained], dim=1).square() + carried.square()
    scale = (2 * changes.sum(-1, keepdim=True)).sqrt().clamp(min=1e-12)
    wanted = torch.stack([turned, gained], dim=1) - carried
    design = (torch.stack([friction, gravity], dim=-1) / scale[..., None]).flatten(1, 2)
    left = (wanted / scale).flatten(1)
    best = left.new_zeros(len(left), 2)
    fraction = left.square().sum(-1)
    for free in ([0], [1], [0, 1]):
        solution = torch.zeros_like(best)
        columns = design[:, :, free]
        gram = columns.mT @ columns + 1e-12 * torch.eye(len(free), dtype=left.dtype, device=left.device)
        solution[:, free] = torch.linalg.solve(gram, (columns.mT @ left[..., None])[..., 0])
        error = (left - (design @ solution[..., None])[..., 0]).square().sum(-1)
        better = (error < fraction) & (solution >= 0).all(-1)
        best, fraction = torch.where(better[:, None], solution, best), torch.where(better, error, fraction)
    return best, fraction
