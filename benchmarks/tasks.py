"""Tasks: a mask that hides part of a clip, and the verb that a system is asked for the hidden part with."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple, Protocol, runtime_checkable

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from datamodules.clip import Batch, Sample, take_times
from datamodules.masks import Mask, ends, every, first, split

Seeds = Int[Tensor, " batch"]
SEED_STEP = 2**48
"""Between the seeds of one clip in two draws: beyond every sample id."""
Times = Float[Tensor, "batch time"]


@runtime_checkable
class Generates(Protocol):
    """Draws clips from nothing but a seed per clip."""

    def generate(self, times: Times, *, seeds: Seeds, labels: Int[Tensor, " batch"] | None = None) -> Sample:
        """Clips at `times`, one for each seed."""
        ...


@runtime_checkable
class Predicts(Protocol):
    """Continues a clip."""

    def predict(self, observed: Sample, times: Times, *, seeds: Seeds | None = None) -> Sample:
        """What comes at `times`, after the observed moments."""
        ...


@runtime_checkable
class Interpolates(Protocol):
    """Fills in between observed frames."""

    def interpolate(self, observed: Sample, times: Times, *, seeds: Seeds | None = None) -> Sample:
        """What comes at `times`, between the observed moments."""
        ...


@runtime_checkable
class Inbetweens(Protocol):
    """Invents what lies between a start and an end."""

    def inbetween(self, observed: Sample, times: Times, *, seeds: Seeds) -> Sample:
        """What may come at `times`, between the observed ends."""
        ...


class Case(NamedTuple):
    """One question to a system, and its answer: everything a metric or a gallery needs."""

    observed: Sample
    target: Sample
    present: Bool[Tensor, "batch shown"]
    ids: Int[Tensor, " batch"]
    labels: Int[Tensor, " batch"]
    seeds: Seeds


@dataclass(frozen=True)
class Task(ABC):
    """A mask over a clip and a verb.

    Args:
        frames: how many frames of each clip the task looks at, from the first; None means all.
    """

    frames: int | None = None
    verb: ClassVar[str]

    @property
    def name(self) -> str:
        """How records and tables call it."""
        return self.verb

    @abstractmethod
    def mask(self, num_frames: int) -> Mask:
        """True where a frame is shown."""

    @abstractmethod
    def answerable_by(self, system: object) -> bool:
        """Whether the system has a verb for this task: a False is a dash in the table."""

    @abstractmethod
    def ask(self, system: Any, case: Case) -> Sample:
        """The system's answer at the target's times."""

    def pose(self, batch: Batch, sample_type: type[Sample], seed: int = 0) -> Case:
        """The case that a batch makes: what is shown, what is hidden, and a seed for each clip from its own id."""
        clip, present = batch.clip, batch.present
        if self.frames is not None:
            length = clip.times.shape[-1]
            if self.frames > length:
                raise ValueError(
                    f"The task '{self.name}' looks at {self.frames} frames but the data's evaluation clips have "
                    f"{length}. Lengthen the evaluation sampling or lower `frames`."
                )
            clip, present = take_times(clip, torch.arange(self.frames)), present[:, : self.frames]
        mask = self.mask(clip.times.shape[-1])
        observed, target = split(clip, mask)
        observed = sample_type(**{name: getattr(observed, name) for name in sample_type._fields})
        shown = present[:, mask.to(present.device)]
        return Case(observed, target, shown, batch.ids, batch.labels, batch.ids + seed * SEED_STEP)


@dataclass(frozen=True)
class Generate(Task):
    """Nothing is shown; the reference is the data's own clips."""

    verb: ClassVar[str] = "generate"

    def mask(self, num_frames: int) -> Mask:
        """True where a frame is shown."""
        return first(num_frames, 0)

    def answerable_by(self, system: object) -> bool:
        """Whether the system has the verb."""
        return isinstance(system, Generates)

    def ask(self, system: Any, case: Case) -> Sample:
        """The system's answer at the target's times."""
        return system.generate(case.target.times, seeds=case.seeds, labels=case.labels)


@dataclass(frozen=True)
class Predict(Task):
    """The first `given` frames are shown, the rest is asked (extrapolation)."""

    given: int = 5
    verb: ClassVar[str] = "predict"

    def mask(self, num_frames: int) -> Mask:
        """True where a frame is shown."""
        return first(num_frames, self.given)

    def answerable_by(self, system: object) -> bool:
        """Whether the system has the verb."""
        return isinstance(system, Predicts)

    def ask(self, system: Any, case: Case) -> Sample:
        """The system's answer at the target's times."""
        return system.predict(case.observed, case.target.times, seeds=case.seeds, **_missing(case))


@dataclass(frozen=True)
class Interpolate(Task):
    """Every `stride`-th frame is shown, those between are asked."""

    stride: int = 2
    verb: ClassVar[str] = "interpolate"

    def mask(self, num_frames: int) -> Mask:
        """True where a frame is shown."""
        if (num_frames - 1) % self.stride:
            raise ValueError(
                f"Interpolation at stride {self.stride} needs 1 + a multiple of {self.stride} frames, so that the last "
                f"is shown and nothing is extrapolated; got {num_frames}. Set `frames: "
                f"{num_frames - (num_frames - 1) % self.stride}`."
            )
        return every(num_frames, self.stride)

    def answerable_by(self, system: object) -> bool:
        """Whether the system has the verb."""
        return isinstance(system, Interpolates)

    def ask(self, system: Any, case: Case) -> Sample:
        """The system's answer at the target's times."""
        return system.interpolate(case.observed, case.target.times, seeds=case.seeds, **_missing(case))


@dataclass(frozen=True)
class Inbetween(Task):
    """`count` frames at either end are shown; asks `inbetween`, or `interpolate` of a system without it."""

    count: int = 1
    verb: ClassVar[str] = "inbetween"

    def mask(self, num_frames: int) -> Mask:
        """True where a frame is shown."""
        return ends(num_frames, self.count)

    def answerable_by(self, system: object) -> bool:
        """Whether the system has the verb."""
        return isinstance(system, Inbetweens | Interpolates)

    def ask(self, system: Any, case: Case) -> Sample:
        """The system's answer at the target's times."""
        if isinstance(system, Inbetweens):
            return system.inbetween(case.observed, case.target.times, seeds=case.seeds)
        return system.interpolate(case.observed, case.target.times, seeds=case.seeds, **_missing(case))


def _missing(case: Case) -> dict[str, Tensor]:
    """`present` is spoken of only when a frame is missing, so that a system that cannot bear it is refused then."""
    return {} if bool(case.present.all()) else {"present": case.present}
