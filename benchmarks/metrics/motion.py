"""Fréchet distances of motions: how far generated keypoints or trajectories are from the data's, as distributions."""

from abc import ABC
from typing import Any, ClassVar

import torch
from jaxtyping import Float, Int
from torch import Tensor

from benchmarks.metrics.frechet import frechet_distance
from benchmarks.metrics.gathered import GatheredMetric
from benchmarks.records.record import Measurement
from benchmarks.utils.errors import UserError
from datamodules.clip import KeypointClip, Sample, Trajectory


class _PathDistance(GatheredMetric, ABC):
    """The Fréchet distance between Gaussians fitted to whole paths, each one vector of all its moments.

    Few clips make it larger, so only equal numbers of clips, frames and joints compare; all three stand in the record.
    """

    higher_is_better: bool = False

    def __init__(self, **kwargs: Any) -> None:
        super().__init__("sample", "target", repeated="first", **kwargs)

    def update(self, sample: Sample, target: Sample, ids: Int[Tensor, " batch"]) -> None:
        """Keep both paths."""
        self.keep("sample", ids, _path(sample))
        self.keep("target", ids, _path(target))

    def compute(self) -> Float[Tensor, ""]:
        """The distance over all clips of all processes."""
        with self.gathered():
            return torch.tensor(self._distance()[0], dtype=torch.float64)

    def measurement(self) -> Measurement:
        """The distance and how many clips of either kind it rests on; no interval."""
        with self.gathered():
            return self._measured(*self._distance())

    def _distance(self) -> tuple[float, int]:
        (_, made), (_, real) = self.kept("sample"), self.kept("target")
        return frechet_distance(made, real), len(made)


class FrechetMotionDistance(_PathDistance):
    """Of keypoints, in the unit in which a picture is 2 wide."""

    name: ClassVar[str] = "frechet_motion_distance"
    accepts: ClassVar[tuple[type[Sample], type[Sample]]] = (KeypointClip, KeypointClip)


class FrechetStepDistance(GatheredMetric):
    """Of poses with the step that each takes to its next moment: how things lie and how they move, moment by moment.

    Whole paths have more numbers than a small data set has clips; here every moment counts, with 4 numbers a joint.

    Args:
        shuffled: measures the data's own motions with their moments in another order instead of the answers: what is to
            be beaten by anything that moves. Its name is `shuffled_...`.
        standardised: each number in units of its spread in the data, so that the steps, which are small, weigh as much
            as the poses: a motion that stands still is far off then. Its name is `standardised_...`.
        kwargs: settings of `torchmetrics.Metric`.
    """

    higher_is_better: bool = False
    accepts: ClassVar[tuple[type[Sample], type[Sample]]] = (KeypointClip, KeypointClip)

    def __init__(self, shuffled: bool = False, standardised: bool = False, **kwargs: Any) -> None:
        super().__init__("sample", "target", repeated="first", **kwargs)
        self.shuffled = shuffled
        self.standardised = standardised
        self._width = 0

    @property
    def name(self) -> str:
        """Whose motion it is, and in which unit."""
        unit = "standardised_" if self.standardised else ""
        return f"{'shuffled_' if self.shuffled else ''}{unit}frechet_step_distance"

    def update(self, sample: Sample, target: Sample, ids: Int[Tensor, " batch"]) -> None:
        """Keep the moments of both, clip by clip."""
        made, real = _poses(sample), _poses(target)
        if self.shuffled:
            orders = [torch.randperm(real.shape[1], generator=_order(index)) for index in ids.tolist()]
            made = torch.stack([poses[order.to(poses.device)] for poses, order in zip(real, orders, strict=True)])
        for kind, poses in (("sample", made), ("target", real)):
            moves = torch.cat([poses[:, :-1], poses.diff(dim=1)], dim=-1)
            self._width = moves.shape[-1]
            self.keep(kind, ids, moves.flatten(1))

    def compute(self) -> Float[Tensor, ""]:
        """The distance over all moments of all clips of all processes."""
        with self.gathered():
            return torch.tensor(self._distance()[0], dtype=torch.float64)

    def measurement(self) -> Measurement:
        """The distance and how many clips of either kind it rests on; no interval."""
        with self.gathered():
            return self._measured(*self._distance())

    def _distance(self) -> tuple[float, int]:
        ids, made = self.kept("sample")
        made, real = (rows.reshape(-1, self._width) for rows in (made, self.kept("target")[1]))
        if self.standardised:
            spread = real.std(dim=0)
            if not bool((spread > 0).all()):
                raise UserError(
                    f"{int((spread == 0).sum())} of the data's {self._width} numbers never change, so they have no "
                    "spread to be measured in; leave `standardised` out, or drop those joints."
                )
            made, real = made / spread, real / spread
        return frechet_distance(made, real), len(ids)


class FrechetTrajectoryDistance(_PathDistance):
    """Of trajectories, in the data's own units."""

    name: ClassVar[str] = "frechet_trajectory_distance"
    accepts: ClassVar[tuple[type[Sample], type[Sample]]] = (Trajectory, Trajectory)


def _path(sample: Sample) -> Float[Tensor, "batch width"]:
    if isinstance(sample, KeypointClip):
        return sample.keypoints.flatten(1).float()
    if isinstance(sample, Trajectory):
        return sample.values.flatten(1).float()
    raise UserError(f"A motion is a KeypointClip or a Trajectory; got a {type(sample).__name__}.")


def _poses(sample: Sample) -> Float[Tensor, "batch time width"]:
    if not isinstance(sample, KeypointClip):
        raise UserError(f"Poses are those of a KeypointClip; got a {type(sample).__name__}.")
    return sample.keypoints.flatten(2).float()


def _order(index: int) -> torch.Generator:
    """What decides a clip's shuffled order: its id."""
    return torch.Generator().manual_seed(index % 2**63)
