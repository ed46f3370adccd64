"""Tasks: a mask that hides part of a clip, and the verb that a system is asked for the hidden part with."""

import inspect
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any, ClassVar, NamedTuple, Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from datamodules.clip import AnySample, Batch, Sample, take_times
from datamodules.draws import LOSE, uniforms
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
    times: Times
    """When the answer is asked for: the target's times, but where a task asks at a rate that the data have not."""
    valid: Bool[Tensor, "batch asked 1 height width"] | None = None
    """False where a pixel of the target is missing; None when all are there."""


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
                raise ValueError(
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
            raise ValueError("`seconds` says how long a clip at another rate is: give `fps` with it, or leave it out.")
        if not all(value is None or value > 0 for value in (self.fps, self.seconds, self.centre)):
            raise ValueError(
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
            raise ValueError(
                f"The task '{self.name}' asks for {asked} frames and compares {compared} of them with "
                f"{target.times.shape[1]} true ones; these must be equal. Set `centre` to a number of frames that "
                f"both have ({case.target.times.shape[1]} in the data), or lengthen the evaluation sampling."
            )
        if case.valid is not None and (self.fps is not None or self.centre is not None):
            raise ValueError(f"The task '{self.name}' with `fps` or `centre` needs data without missing pixels.")
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
        _check_rate(self.rate)

    def mask(self, num_frames: int) -> Mask:
        """True where a frame is shown."""
        return first(num_frames, self.given)

    def answerable_by(self, system: object) -> bool:
        """Whether the system has the verb."""
        return isinstance(system, Predicts) and (self.rate is None or _bears_gaps(system.predict))

    def refusal(self, system: object) -> str:
        """See `Task`."""
        return super().refusal(system) + _GAPS * (self.rate is not None)

    def pose(self, batch: Batch, sample_type: type[Sample], seed: int = 0) -> Case:
        """See `Task`; some of the given frames are lost."""
        return _with_losses(super().pose(batch, sample_type, seed), self.rate)

    def ask(self, system: Any, case: Case) -> Sample:
        """The system's answer at the case's times."""
        return system.predict(case.observed, case.times, seeds=case.seeds, **_missing(case))


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
        _check_rate(self.rate)

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
        return isinstance(system, Interpolates) and (self.rate is None or _bears_gaps(system.interpolate))

    def refusal(self, system: object) -> str:
        """See `Task`."""
        return super().refusal(system) + _GAPS * (self.rate is not None)

    def pose(self, batch: Batch, sample_type: type[Sample], seed: int = 0) -> Case:
        """See `Task`; some of the frames between the first and the last shown one are lost."""
        return _with_losses(super().pose(batch, sample_type, seed), self.rate, last=True)

    def ask(self, system: Any, case: Case) -> Sample:
        """The system's answer at the case's times."""
        return system.interpolate(case.observed, case.times, seeds=case.seeds, **_missing(case))


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
        return system.interpolate(case.observed, case.times, seeds=case.seeds, **_missing(case))

    def completed(self, case: Case, clip: Sample) -> Sample:
        """See `Task`; with `whole` the shown frames stand in their places."""
        return _with_shown(case.observed, clip) if self.whole else clip


def _with_shown(shown: Sample, asked: Sample) -> Sample:
    """One clip of both, in the order of their times, which lie alike in all clips of a batch."""
    order = torch.cat([shown.times[0], asked.times[0]]).argsort()
    return type(shown)(*(torch.cat([part, getattr(asked, n)], 1)[:, order] for n, part in shown._asdict().items()))


def _missing(case: Case) -> dict[str, Tensor]:
    """`present` is spoken of only when a frame is missing, so that a system that cannot bear it is refused then."""
    return {} if bool(case.present.all()) else {"present": case.present}


_GAPS = ", where shown frames are missing"
_EMPTY = {"frames": -1.0, "keypoints": 0.0, "confidence": 0.0, "values": 0.0}
"""What stands in the place of a frame that is lost, so that nothing can be read off it by mistake."""


def _check_rate(rate: float | None) -> None:
    if rate is not None and not 0 < rate <= 1:
        raise ValueError(f"rate is the share of shown frames that is there, above 0 and up to 1; got {rate}.")


def _bears_gaps(verb: Callable[..., Sample]) -> bool:
    """Whether the verb takes `present`."""
    parameters = inspect.signature(verb).parameters.values()
    return any(one.name == "present" or one.kind is one.VAR_KEYWORD for one in parameters)


def _with_losses(case: Case, rate: float | None, *, last: bool = False) -> Case:
    """The case without some of its shown frames, which a clip's id alone decides; frame 0 and, if so, the last stay."""
    if rate is None:
        return case
    count, ends_kept = case.observed.times.shape[1], 2 if last else 1
    free = count - ends_kept
    lost = min(free, count - max(ends_kept, round(rate * count)))
    present = torch.ones(case.present.shape, dtype=torch.bool)
    if lost > 0:
        numbers = uniforms(LOSE, 0, 0, case.ids.cpu().numpy(), free)
        order = np.argsort(numbers, axis=1, kind="stable")[:, :lost]
        present.scatter_(1, 1 + torch.from_numpy(order), False)
    present = present.to(case.present.device) & case.present
    fields = {
        name: value if name == "times" else value.masked_fill(~_along(present, value), _EMPTY[name])
        for name, value in case.observed._asdict().items()
    }
    return case._replace(observed=type(case.observed)(**fields), present=present)


def _along(present: Bool[Tensor, "batch time"], field: Tensor) -> Tensor:
    """`present` with as many axes as the field of a sample."""
    return present.reshape(*present.shape, *[1] * (field.ndim - 2))
