"""Tasks: a mask that hides part of a clip, and the verb that a system is asked for the hidden part with."""

from abc import ABC, abstractmethod
from dataclasses import asdict, dataclass
from typing import Any, ClassVar

import torch

from benchmarks.evaluation.capabilities import Generates as Generates
from benchmarks.evaluation.capabilities import Inbetweens as Inbetweens
from benchmarks.evaluation.capabilities import Interpolates as Interpolates
from benchmarks.evaluation.capabilities import Predicts as Predicts
from benchmarks.evaluation.query import GAPS, bears_gaps, check_rate, missing, with_losses, with_shown
from benchmarks.evaluation.query import Case as Case
from benchmarks.utils.errors import UserError
from datamodules.clip import AnySample, Batch, Sample, take_times
from datamodules.masks import Mask, ends, every, first, split

SEED_STEP = 2**48
"""Between the seeds of one clip in two draws: beyond every sample id."""


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

    @property
    def settings(self) -> dict[str, Any]:
        """What the protocol says of it: its arguments, without those that ask for nothing special."""
        return {name: value for name, value in asdict(self).items() if value is not None or name == "frames"}

    @abstractmethod
    def mask(self, num_frames: int) -> Mask:
        """True where a frame is shown."""

    @abstractmethod
    def answerable_by(self, system: object) -> bool:
        """Whether the system has a verb for this task: a False is a dash in the table."""

    def refusal(self, system: object) -> str:
        """Why a system cannot answer."""
        return f"{type(system).__name__} has no verb for the task '{self.name}'"

    @abstractmethod
    def ask(self, system: Any, case: Case) -> Sample:
        """The system's answer at the case's times."""

    def measured(self, answer: AnySample) -> AnySample:
        """The part of an answer that is compared with the target: all of it, but where a task says otherwise."""
        return answer

    def completed(self, case: Case, clip: Sample) -> Sample:
        """What metrics see of a measured answer, or of the target: just that, where a task adds nothing."""
        return clip

    def pose(self, batch: Batch, sample_type: type[Sample], seed: int = 0) -> Case:
        """The case that a batch makes: what is shown, what is hidden, and a seed for each clip from its own id."""
        clip, present = batch.clip, batch.present
        if self.frames is not None:
            length = clip.times.shape[-1]
            if self.frames > length:
                raise UserError(
                    f"The task '{self.name}' looks at {self.frames} frames but the data's evaluation clips have "
                    f"{length}. Lengthen the evaluation sampling or lower `frames`."
                )
            clip, present = take_times(clip, torch.arange(self.frames)), present[:, : self.frames]
        mask = self.mask(clip.times.shape[-1])
        observed, target = split(clip, mask)
        observed = sample_type(**{name: getattr(observed, name) for name in sample_type._fields})
        shown = present[:, mask.to(present.device)]
        seeds = batch.ids + seed * SEED_STEP
        hidden = (~mask).nonzero().flatten().to(present.device)
        valid = None if batch.valid is None else batch.valid.index_select(1, hidden)
        return Case(observed, target, shown, batch.ids, batch.labels, seeds, target.times, valid)


@dataclass(frozen=True)
class Generate(Task):
    """Nothing is shown; the reference is the data's own clips.

    `Generate(fps=20, centre=16)` on data of 16 frames at 16 per second is MODE-GAN's dynamic frame rate (Fig. 21):
    clips of one second are asked at 20 frames per second, and their middle 16 frames compared with the real clips.

    Args:
        fps: frames per second that are asked for, from the clip's first moment on; None: the data's own times.
        seconds: how long the clip is that is asked for at `fps`; None: one second.
        centre: how many frames, in the middle of the answer and of the truth, are compared; None: all.
    """

    fps: float | None = None
    seconds: float | None = None
    centre: int | None = None
    verb: ClassVar[str] = "generate"

    def __post_init__(self) -> None:
        if self.seconds is not None and self.fps is None:
            raise UserError("`seconds` says how long a clip at another rate is: give `fps` with it, or leave it out.")
        if not all(value is None or value > 0 for value in (self.fps, self.seconds, self.centre)):
            raise UserError(
                f"fps, seconds and centre must be positive; got {self.fps}, {self.seconds} and {self.centre}."
            )

    def mask(self, num_frames: int) -> Mask:
        """True where a frame is shown."""
        return first(num_frames, 0)

    def answerable_by(self, system: object) -> bool:
        """Whether the system has the verb."""
        return isinstance(system, Generates)

    def pose(self, batch: Batch, sample_type: type[Sample], seed: int = 0) -> Case:
        """See `Task`; the times are those of the clip at the asked rate, the target is what is compared."""
        case = super().pose(batch, sample_type, seed)
        times = case.times
        if self.fps is not None:
            count = max(1, round(self.fps * (self.seconds or 1.0)))
            moments = torch.arange(count, dtype=torch.float64) / self.fps
            times = moments.to(times.device, times.dtype).expand(len(times), -1)
        target = self.measured(case.target)
        asked, compared = times.shape[1], self.centre or times.shape[1]
        if compared > asked or compared != target.times.shape[1]:
            raise UserError(
                f"The task '{self.name}' asks for {asked} frames and compares {compared} of them with "
                f"{target.times.shape[1]} true ones; these must be equal. Set `centre` to a number of frames that "
                f"both have ({case.target.times.shape[1]} in the data), or lengthen the evaluation sampling."
            )
        if case.valid is not None and (self.fps is not None or self.centre is not None):
            raise UserError(f"The task '{self.name}' with `fps` or `centre` needs data without missing pixels.")
        return case._replace(target=target, times=times)

    def ask(self, system: Any, case: Case) -> Sample:
        """The system's answer at the case's times."""
        return system.generate(case.times, seeds=case.seeds, labels=case.labels)

    def measured(self, answer: AnySample) -> AnySample:
        """The frames in the middle."""
        count = answer.times.shape[-1]
        if self.centre is None or self.centre >= count:
            return answer
        return take_times(answer, (count - self.centre) // 2 + torch.arange(self.centre))


@dataclass(frozen=True)
class Predict(Task):
    """The first `given` frames are shown, the rest is asked (extrapolation).

    Args:
        given: how many frames are shown.
        rate: the share of the given frames that is there, in (0, 1] (Vid-ODE's Fig. 6: 1 to 0.2): one at least, frame 0
            always, the others lost at random but the same for every system, and fewer at a higher rate. None: all.
    """

    given: int = 5
    rate: float | None = None
    verb: ClassVar[str] = "predict"

    def __post_init__(self) -> None:
        check_rate(self.rate)

    def mask(self, num_frames: int) -> Mask:
        """True where a frame is shown."""
        return first(num_frames, self.given)

    def answerable_by(self, system: object) -> bool:
        """Whether the system has the verb."""
        return isinstance(system, Predicts) and (self.rate is None or bears_gaps(system.predict))

    def refusal(self, system: object) -> str:
        """See `Task`."""
        return super().refusal(system) + GAPS * (self.rate is not None)

    def pose(self, batch: Batch, sample_type: type[Sample], seed: int = 0) -> Case:
        """See `Task`; some of the given frames are lost."""
        return with_losses(super().pose(batch, sample_type, seed), self.rate)

    def ask(self, system: Any, case: Case) -> Sample:
        """The system's answer at the case's times."""
        return system.predict(case.observed, case.times, seeds=case.seeds, **missing(case))


@dataclass(frozen=True)
class Interpolate(Task):
    """Every `stride`-th frame is shown, those between are asked.

    Args:
        stride: the distance of the frames that are shown.
        rate: the share of the shown frames that is there, as in `Predict`; the first and the last always are.
    """

    stride: int = 2
    rate: float | None = None
    verb: ClassVar[str] = "interpolate"

    def __post_init__(self) -> None:
        check_rate(self.rate)

    def mask(self, num_frames: int) -> Mask:
        """True where a frame is shown."""
        if (num_frames - 1) % self.stride:
            raise UserError(
                f"Interpolation at stride {self.stride} needs 1 + a multiple of {self.stride} frames, so that the last "
                f"is shown and nothing is extrapolated; got {num_frames}. Set `frames: "
                f"{num_frames - (num_frames - 1) % self.stride}`."
            )
        return every(num_frames, self.stride)

    def answerable_by(self, system: object) -> bool:
        """Whether the system has the verb."""
        return isinstance(system, Interpolates) and (self.rate is None or bears_gaps(system.interpolate))

    def refusal(self, system: object) -> str:
        """See `Task`."""
        return super().refusal(system) + GAPS * (self.rate is not None)

    def pose(self, batch: Batch, sample_type: type[Sample], seed: int = 0) -> Case:
        """See `Task`; some of the frames between the first and the last shown one are lost."""
        return with_losses(super().pose(batch, sample_type, seed), self.rate, last=True)

    def ask(self, system: Any, case: Case) -> Sample:
        """The system's answer at the case's times."""
        return system.interpolate(case.observed, case.times, seeds=case.seeds, **missing(case))


@dataclass(frozen=True)
class Inbetween(Task):
    """`count` frames at either end are shown; asks `inbetween`, or `interpolate` of a system without it.

    Args:
        count: how many at either end.
        whole: metrics see whole videos, the shown frames in answer and truth alike, as the inbetweening paper's FVD and
            diversity do (Li et al., 2019, Sec. 4). Values of single frames, such as SSIM, are better without.
    """

    count: int = 1
    whole: bool = False
    verb: ClassVar[str] = "inbetween"

    def mask(self, num_frames: int) -> Mask:
        """True where a frame is shown."""
        return ends(num_frames, self.count)

    def answerable_by(self, system: object) -> bool:
        """Whether the system has the verb."""
        return isinstance(system, Inbetweens | Interpolates)

    def ask(self, system: Any, case: Case) -> Sample:
        """The system's answer at the case's times."""
        if isinstance(system, Inbetweens):
            return system.inbetween(case.observed, case.times, seeds=case.seeds)
        return system.interpolate(case.observed, case.times, seeds=case.seeds, **missing(case))

    def completed(self, case: Case, clip: Sample) -> Sample:
        """See `Task`; with `whole` the shown frames stand in their places."""
        return with_shown(case.observed, clip) if self.whole else clip
