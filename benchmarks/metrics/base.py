"""The contract of a metric: update, compute, and the direction in which better lies, as data."""

from abc import ABC, abstractmethod
from math import inf, isfinite
from typing import ClassVar, Protocol, runtime_checkable

from jaxtyping import Float, Int
from torch import Tensor
from torchmetrics import Metric

from benchmarks.records.clip_scores import PerClip
from benchmarks.records.parts import Measurement
from benchmarks.utils.by_source import Interval
from datamodules.clip import Sample, VideoClip


@runtime_checkable
class ScoresClips(Protocol):
    """A metric that has a value for each clip, for paired tests of two systems."""

    def per_clip(self) -> PerClip:
        """The value of each clip. Every process must call it."""
        ...


class ClipMetric(Metric, ABC):
    """A torchmetrics Metric over samples and their targets; no collective per batch."""

    higher_is_better: bool
    full_state_update: bool = False
    with_neighbours: bool = False
    """Whether clips come with the observed frames right before and after the predicted ones."""
    accepts: ClassVar[tuple[type[Sample], type[Sample]]] = (VideoClip, VideoClip)
    """Types of prediction and target; a KeypointClip also serves as a VideoClip."""
    value_range: ClassVar[tuple[float, float]] = (-inf, inf)
    """The smallest and the largest value that the metric can have, which no interval leaves; every metric states it."""

    one_answer: bool = False
    """Whether one of several samples of each clip is given, because a deterministic system repeats itself."""

    @property
    @abstractmethod
    def name(self) -> str:
        """The id in records and tables, which includes the protocol."""

    @property
    def protocol(self) -> dict[str, str | float]:
        """What a record must say beyond the name: the network's sha256, preprocessing of the frames, settings."""
        return {}

    def prepare(self) -> None:
        """Fetch and load what the metric needs; else the first `update` does.

        Raises:
            WeightsUnavailable: when pretrained weights cannot be had: the metric is then n/a with that reason.
        """

    def know_origins(self, ids: Int[Tensor, " batch"], origins: Int[Tensor, " batch"]) -> None:
        """Before `update`: the independent source of each clip (`Batch.origins`), by which intervals resample."""

    @abstractmethod
    def update(self, sample: Sample, target: Sample, ids: Int[Tensor, " batch"]) -> None:
        """Add a batch of predictions and targets."""

    @abstractmethod
    def compute(self) -> Float[Tensor, ""]:
        """The value over all clips of all processes."""

    @abstractmethod
    def measurement(self) -> Measurement:
        """The value with its interval, its number of clips and its values per frame. Every process must call it."""

    def _measured(
        self,
        value: float,
        n: int,
        interval: Interval | None = None,
        per_frame: list[float] | None = None,
        sources: int | None = None,
    ) -> Measurement:
        """A measurement of this metric, whose interval stays in the metric's range; n/a if a number is not finite."""
        ends = None
        if interval is not None:
            low, high = self.value_range
            ends = min(max(interval.low, low), high), max(min(interval.high, high), low)
        if not all(map(isfinite, (value, *(ends or ()), *(per_frame or ())))):
            return Measurement.missing(f"not finite ({value})", higher_is_better=self.higher_is_better)
        return Measurement(
            value,
            n,
            ends,
            per_frame,
            higher_is_better=self.higher_is_better,
            sources=sources,
            interval_method=interval and interval.method,
            samples=1 if self.one_answer else None,
        )
