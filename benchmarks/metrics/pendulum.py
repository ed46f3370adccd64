"""How much a motion looks like physics: its roughness, and how far it is from obeying a pendulum's equation."""

from abc import abstractmethod
from typing import Any, ClassVar, Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor

from benchmarks.metrics.bootstrap import bootstrap_mean
from benchmarks.metrics.gathered import GatheredMetric
from benchmarks.records.clip_scores import PerClip
from benchmarks.records.record import Measurement
from benchmarks.utils.errors import UserError
from datamodules.clip import Sample, Trajectory, source_of

PerMotion = Float[Tensor, " batch"]


class _OfMotion(GatheredMetric):
    """The mean over clips of something that each motion has by itself.

    Args:
        of: what is measured: the system's "sample", or the "target", whose value is the data's own and stands under the
            name `data_...` beside it.
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
        """The quantity, and whose it is if not the system's."""
        return self.quantity if self.of == "sample" else f"data_{self.quantity}"

    @abstractmethod
    def measure(self, motion: Trajectory) -> PerMotion:
        """The value of each motion, float64."""

    def update(self, sample: Sample, target: Sample, ids: Int[Tensor, " batch"]) -> None:
        """Measure a batch and keep the values."""
        motion = sample if self.of == "sample" else target
        if not isinstance(motion, Trajectory):
            raise UserError(f"{type(self).__name__} measures trajectories; got a {type(motion).__name__}.")
        self.keep("values", ids, self.measure(motion)[:, None])

    def compute(self) -> Float[Tensor, ""]:
        """The mean over all motions of all processes."""
        return self.kept("values")[1].mean()

    def measurement(self) -> Measurement:
        """The mean with a bootstrap interval over motions."""
        with self.gathered():
            ids, values = self.kept("values")
        interval = bootstrap_mean(values[:, 0], source_of(ids), lambda mean: mean)
        return self._measured(float(values.mean()), len(ids), interval)

    def per_clip(self) -> PerClip:
        """The value of each motion alone."""
        with self.gathered():
            ids, values = self.kept("values")
        return PerClip(ids, values[:, 0])


class Roughness(_OfMotion):
    """The mean squared second difference of a trajectory's values, in their own units.

    It grows with whatever moves, so it reads beside that of the data at the same frame rate (`of: target`): a motion as
    smooth as the data has theirs, one that jitters has more, one that stands still has none.
    """

    quantity: ClassVar[str] = "roughness"

    def measure(self, motion: Trajectory) -> PerMotion:
        """Over all moments but the first and last, and all values."""
        if motion.values.shape[1] < 3:
            raise UserError(f"A second difference needs 3 moments; got {motion.values.shape[1]}.")
        return motion.values.double().diff(n=2, dim=1).square().mean((1, 2))


class PendulumResidual(_OfMotion):
    """What no pendulum explains of a motion of angle and angular velocity: 0 for a pendulum, about 1 for noise.

    For each motion those B / M >= 0 and g / L >= 0 are found that fit theta'' + (B / M) theta' + (g / L) sin theta = 0
    best (MODE-GAN, eq. 8). The equation is taken as what it says of each interval between samples: the changes of angle
    and velocity are the integrals of velocity and acceleration. Those come from the values and slopes at both ends
    (Hermite's rule, of fourth order), so that a coarse grid is no error: 1,000 simulated pendulums at 0.1 s have a mean
    below 1e-4. The value is the sum of squares that is left over, as a fraction of those of what should be equal, half
    of it the angle's (at most 2 there, where the angle does the opposite of what its velocity says) and half the
    velocity's (at most 1).
    """

    quantity: ClassVar[str] = "pendulum_residual"

    def measure(self, motion: Trajectory) -> PerMotion:
        """The fraction that the best pendulum leaves."""
        if motion.values.shape[-1] != 2:
            raise UserError(
                f"A pendulum's state is its angle and angular velocity; these trajectories have "
                f"{motion.values.shape[-1]} values."
            )
        return fit_pendulum(motion.values, motion.times)[1]


def fit_pendulum(
    values: Float[Tensor, "batch time 2"], times: Float[Tensor, "batch time"]
) -> tuple[Float[Tensor, "batch 2"], PerMotion]:
    """B / M and g / L of the pendulum that fits each motion best, and the fraction of its changes that is left.

    Both equations are linear in the two numbers: least squares with neither below 0, which for two is the best of four
    cases (both free, either at 0, both at 0).
    """
    angle, speed = values.double().unbind(-1)
    step = times.double().diff(dim=1)

    def integral(value: Tensor, slope: Tensor) -> Tensor:
        return step / 2 * (value[:, 1:] + value[:, :-1]) + step.square() / 12 * (slope[:, :-1] - slope[:, 1:])

    still = torch.zeros_like(angle)
    turned, gained = angle.diff(dim=1), speed.diff(dim=1)
    # what friction of 1 and gravity of 1 add to either equation's right-hand side
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
