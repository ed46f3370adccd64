"""Fréchet distances between the distributions of generated and real motions: keypoints or trajectories."""

from abc import ABC
from math import inf
from typing import Any, ClassVar

import torch
from jaxtyping import Float, Int
from torch import Tensor

from benchmarks.metrics.frechet import frechet_distance
from benchmarks.metrics.gathered import GatheredMetric
from benchmarks.records.parts import Measurement
from benchmarks.utils.errors import UserError
from datamodules.clip import KeypointClip, Sample, Trajectory


class _PathDistance(GatheredMetric, ABC):
    """The Fréchet distance between Gaussians fitted to whole paths, each flattened over time into one vector.

    Biased upwards for few clips, so only values with equal numbers of clips, frames and joints are comparable; the
    record states all three.
    """

    higher_is_better: bool = False
    value_range: ClassVar[tuple[float, float]] = (0.0, inf)

    def __init__(self, **kwargs: Any) -> None:
        super().__init__("sample", "target", repeated="first", **kwargs)

    def update(self, sample: Sample, target: Sample, ids: Int[Tensor, " batch"]) -> None:
        """Keep the paths of predictions and targets."""
        self.keep("sample", ids, _path(sample))
        self.keep("target", ids, _path(target))

    def compute(self) -> Float[Tensor, ""]:
        """The distance over all clips of all processes."""
        with self.gathered():
            return torch.tensor(self._distance()[0], dtype=torch.float64)

    def measurement(self) -> Measurement:
        """The distance and the numbers of clips on each side and of sources; no interval."""
        with self.gathered():
            ids, _ = self.kept("sample")
            return self._measured(*self._distance(), sources=self.sources_of(ids))

    def _distance(self) -> tuple[float, int]:
        (_, made), (_, real) = self.kept("sample"), self.kept("target")
        return frechet_distance(made, real), len(made)


class FrechetMotionDistance(_PathDistance):
    """The distance of keypoint paths, in units in which the frame is 2 wide."""

    name: ClassVar[str] = "frechet_motion_distance"
    accepts: ClassVar[tuple[type[Sample], type[Sample]]] = (KeypointClip, KeypointClip)


class FrechetStepDistance(GatheredMetric):
    """The distance of poses together with their step to the next frame: 4 numbers per joint and frame.

    A whole path has more dimensions than a small data set has clips; here every frame is one observation.

    Args:
        shuffled: score the data's own motions with their frames in random order instead of the predictions: a trivial
            baseline for any motion model. Its name is `shuffled_...`.
        standardised: scale each dimension by its standard deviation in the data, so that steps, which are small, weigh
            as much as poses and a static motion is penalised. Its name is `standardised_...`.
        kwargs: settings of `torchmetrics.Metric`.
    """

    higher_is_better: bool = False
    value_range: ClassVar[tuple[float, float]] = (0.0, inf)
    accepts: ClassVar[tuple[type[Sample], type[Sample]]] = (KeypointClip, KeypointClip)

    def __init__(self, shuffled: bool = False, standardised: bool = False, **kwargs: Any) -> None:
        super().__init__("sample", "target", repeated="first", **kwargs)
        self.shuffled = shuffled
        self.standardised = standardised
        self._width = 0

    @property
    def name(self) -> str:
        """The prefixes say whose motion is scored, and in which unit."""
        unit = "standardised_" if self.standardised else ""
        return f"{'shuffled_' if self.shuffled else ''}{unit}frechet_step_distance"

    def update(self, sample: Sample, target: Sample, ids: Int[Tensor, " batch"]) -> None:
        """Keep poses and steps of predictions and targets, clip by clip."""
        made, real = _poses(sample), _poses(target)
        if self.shuffled:
            orders = [torch.randperm(real.shape[1], generator=_order(index)) for index in ids.tolist()]
            made = torch.stack([poses[order.to(poses.device)] for poses, order in zip(real, orders, strict=True)])
        for kind, poses in (("sample", made), ("target", real)):
            moves = torch.cat([poses[:, :-1], poses.diff(dim=1)], dim=-1)
            self._width = moves.shape[-1]
            self.keep(kind, ids, moves.flatten(1))

    def compute(self) -> Float[Tensor, ""]:
        """The distance over all frames of all clips of all processes."""
        with self.gathered():
            return torch.tensor(self._distance()[0], dtype=torch.float64)

    def measurement(self) -> Measurement:
        """The distance and the numbers of clips on each side and of sources; no interval."""
        with self.gathered():
            ids, _ = self.kept("sample")
            return self._measured(*self._distance(), sources=self.sources_of(ids))

    def _distance(self) -> tuple[float, int]:
        ids, made = self.kept("sample")
        made, real = (rows.reshape(-1, self._width) for rows in (made, self.kept("target")[1]))
        if self.standardised:
            spread = real.std(dim=0)
            if not bool((spread > 0).all()):
                raise UserError(
                    f"{int((spread == 0).sum())} of the data's {self._width} dimensions are constant and cannot "
                    "be standardised; leave `standardised` out, or drop those joints."
                )
            made, real = made / spread, real / spread
        return frechet_distance(made, real), len(ids)


class FrechetTrajectoryDistance(_PathDistance):
    """The distance of trajectories, in the data's own units."""

    name: ClassVar[str] = "frechet_trajectory_distance"
    accepts: ClassVar[tuple[type[Sample], type[Sample]]] = (Trajectory, Trajectory)


def _path(sample: Sample) -> Float[Tensor, "batch width"]:
    if isinstance(sample, KeypointClip):
        return sample.keypoints.flatten(1).float()
    if isinstance(sample, Trajectory):
        return sample.values.flatten(1).float()
    raise UserError(f"Motion metrics need a KeypointClip or a Trajectory; got a {type(sample).__name__}.")


def _poses(sample: Sample) -> Float[Tensor, "batch time width"]:
    if not isinstance(sample, KeypointClip):
        raise UserError(f"Poses need a KeypointClip; got a {type(sample).__name__}.")
    return sample.keypoints.flatten(2).float()


def _order(index: int) -> torch.Generator:
    """The generator of a clip's shuffled order, seeded by its id."""
    return torch.Generator().manual_seed(index % 2**63)
