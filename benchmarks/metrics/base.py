"""What a metric is: update, compute, and the direction in which better lies, as data."""

from abc import ABC, abstractmethod
from typing import ClassVar, NamedTuple

from jaxtyping import Float, Int
from torch import Tensor
from torchmetrics import Metric

from datamodules.clip import Sample, VideoClip


class Summary(NamedTuple):
    """A metric's value with all that a record says of it."""

    value: float
    n: int
    """How many clips it was computed from."""
    interval: tuple[float, float] | None = None
    """A 95 % interval, or None where none is known."""
    per_frame: list[float] | None = None
    """The value at each target frame, for a metric that has one."""


class ClipMetric(Metric, ABC):
    """A torchmetrics Metric over samples and their targets; no collective per batch."""

    higher_is_better: bool
    full_state_update: bool = False
    accepts: ClassVar[tuple[type[Sample], type[Sample]]] = (VideoClip, VideoClip)
    """The least that the sample and the target must be; a KeypointClip serves where a VideoClip is asked for."""

    @property
    @abstractmethod
    def name(self) -> str:
        """How records and tables call it; the name says the protocol."""

    @property
    def protocol(self) -> dict[str, str | float]:
        """What its name does not say and a record must: the network's sha256, what is done to the frames, settings."""
        return {}

    def prepare(self) -> None:
        """Fetch and load what the metric needs; `update` does it at its first call where nobody has before.

        Raises:
            WeightsUnavailable: when pretrained weights cannot be had: the metric is then a dash with that reason.
        """

    @abstractmethod
    def update(self, sample: Sample, target: Sample, ids: Int[Tensor, " batch"]) -> None:
        """Take in a batch of answers and the truth."""

    @abstractmethod
    def compute(self) -> Float[Tensor, ""]:
        """The value over all clips of all processes."""

    @abstractmethod
    def summary(self) -> Summary:
        """The value with its interval, its number of clips and its course over the frames."""
