"""Tasks: a mask that hides part of a clip, and the capability that predicts the hidden part."""

from abc import ABC, abstractmethod
from dataclasses import asdict, dataclass, replace
from typing import Any, ClassVar

import torch

from benchmarks.evaluation.capabilities import Generates as Generates
from benchmarks.evaluation.capabilities import Inbetweens as Inbetweens
from benchmarks.evaluation.capabilities import Interpolates as Interpolates
from benchmarks.evaluation.capabilities import Predicts as Predicts
from benchmarks.evaluation.query import (
    BLACK,
    GAPS,
    accepts_present_mask,
    at_rate,
    check_rate,
    drop_frames,
    merge_observed,
    present_argument,
)
from benchmarks.evaluation.query import Query as Query
from benchmarks.utils.errors import UserError
from datamodules.clip import SEED_STEP as SEED_STEP
from datamodules.clip import Batch, Sample, Trajectory, take_times
from datamodules.masks import Mask, ends, every, first, split


@dataclass(frozen=True)
class Task(ABC):
    """A mask over a clip and a capability.

    Args:
        frames: how many frames of each clip the task uses, from the first; None: all.
    """

    frames: int | None = None
    capability: ClassVar[str]

    @property
    def name(self) -> str:
        """The name in records and tables."""
        return self.capability

    @property
    def settings(self) -> dict[str, Any]:
        """The arguments for the protocol, without those that are None; `frames` is always there."""
        return {name: value for name, value in asdict(self).items() if value is not None or name == "frames"}

    @abstractmethod
    def mask(self, num_frames: int) -> Mask:
        """True where a frame is observed."""

    @abstractmethod
    def supported_by(self, system: object) -> bool:
        """Whether the system has the capability; if not, its cell of the table is n/a."""

    def unsupported_reason(self, system: object) -> str:
        """Why the cell of this system is n/a."""
        return f"{type(system).__name__} does not implement the task '{self.name}'"

    @abstractmethod
    def run(self, system: Any, query: Query) -> Sample:
        """The system's prediction at the query's times."""

    def compose_full_clip(self, query: Query, clip: Sample) -> Sample:
        """The clip that metrics get for a scored prediction or target: the same, unless a task adds observed frames."""
        return clip

    def make_query(self, batch: Batch, sample_type: type[Sample], seed: int = 0) -> Query:
        """The query of a batch: observed and hidden frames, and for each clip a seed made from its own id."""
        clip, present = batch.clip, batch.present
        if self.frames is not None:
            length = clip.times.shape[-1]
            if self.frames > length:
                raise UserError(
                    f"The task '{self.name}' uses {self.frames} frames, but the data's evaluation clips have "
                    f"{length}. Lengthen the evaluation sampling or lower `frames`."
                )
            clip, present = take_times(clip, torch.arange(self.frames)), present[:, : self.frames]
        mask = self.mask(clip.times.shape[-1])
        observed, target = split(clip, mask)
        observed = sample_type(**{name: getattr(observed, name) for name in sample_type._fields})
        observed_present = present[:, mask.to(present.device)]
        seeds = batch.ids + seed * SEED_STEP
        hidden = (~mask).nonzero().flatten().to(present.device)
        valid = None if batch.valid is None else batch.valid.index_select(1, hidden)
        if batch.valid is not None and not isinstance(observed, Trajectory):
            shown = batch.valid.index_select(1, mask.nonzero().flatten().to(present.device))
            observed = observed._replace(frames=torch.where(shown, observed.frames, BLACK))
        return Query(
            observed, target, observed_present, batch.ids, batch.origins, batch.labels, seeds, target.times, valid
        )


@dataclass(frozen=True)
class Generate(Task):
    """Nothing is observed; the reference is the data's own clips.

    `Generate(fps=20, frames=16)` generates 16 frames at 20 per second and compares them with 16 real frames of the same
    seconds, at the same rate: MODE-GAN's dynamic frame rate (Fig. 21). Compared with real frames at another rate, a
    perfect model would get worse with the rate, because the same number of frames spans less time.

    Args:
        fps: frames per second to generate, from time 0 on; None: at the data's own times. The evaluated clips must
            have at least so many frames per second: of each the frames nearest in time are compared.
        frames: how many frames are generated and compared; None: all, or at `fps` as many as the real clips last.
        clips: how many clips are generated, from seeds of their own, against all real clips, however many there are
            (2,048 against a whole train set is the field's protocol). Metrics then compare sets, with
            `reference_clips`. None: a clip for each real one.
    """

    fps: float | None = None
    clips: int | None = None
    capability: ClassVar[str] = "generate"

    def __post_init__(self) -> None:
        if not all(value is None or value > 0 for value in (self.fps, self.frames, self.clips)):
            raise UserError(f"fps, frames and clips must be positive; got {self.fps}, {self.frames} and {self.clips}.")

    def mask(self, num_frames: int) -> Mask:
        """True where a frame is observed."""
        return first(num_frames, 0)

    def supported_by(self, system: object) -> bool:
        """Whether the system has the capability."""
        return isinstance(system, Generates)

    def make_query(self, batch: Batch, sample_type: type[Sample], seed: int = 0) -> Query:
        """See `Task`; at another rate than the data's, times and target are on the grid of `fps`."""
        if self.fps is None:
            return super().make_query(batch, sample_type, seed)
        query = replace(self, fps=None, frames=None).make_query(batch, sample_type, seed)
        if query.valid is not None:
            raise UserError(f"The task '{self.name}' with `fps` needs data without missing pixels.")
        target = at_rate(query.target, self.fps, self.frames)
        return query._replace(target=target, times=target.times)

    def run(self, system: Any, query: Query) -> Sample:
        """The system's prediction at the query's times."""
        # categories that were learned without labels are not the data's classes
        labels = query.labels if getattr(system, "knows_labels", True) else None
        return system.generate(query.times, seeds=query.seeds, labels=labels)


@dataclass(frozen=True)
class Predict(Task):
    """The first `context` frames are observed, the rest is predicted (extrapolation).

    Args:
        context: the number of observed frames.
        rate: the share of observed frames that is kept, in (0, 1] (Vid-ODE's Fig. 6: 1 to 0.2). Frame 0 is always kept;
            the dropped frames are random but the same for every system, and nested over rates. None: all are kept.
    """

    context: int = 5
    rate: float | None = None
    capability: ClassVar[str] = "predict"

    def __post_init__(self) -> None:
        check_rate(self.rate)

    def mask(self, num_frames: int) -> Mask:
        """True where a frame is observed."""
        return first(num_frames, self.context)

    def supported_by(self, system: object) -> bool:
        """Whether the system has the capability."""
        return isinstance(system, Predicts) and (self.rate is None or accepts_present_mask(system.predict))

    def unsupported_reason(self, system: object) -> str:
        """See `Task`."""
        return super().unsupported_reason(system) + GAPS * (self.rate is not None)

    def make_query(self, batch: Batch, sample_type: type[Sample], seed: int = 0) -> Query:
        """See `Task`; some of the observed frames are dropped."""
        return drop_frames(super().make_query(batch, sample_type, seed), self.rate)

    def run(self, system: Any, query: Query) -> Sample:
        """The system's prediction at the query's times."""
        return system.predict(query.observed, query.times, seeds=query.seeds, **present_argument(query))


@dataclass(frozen=True)
class Interpolate(Task):
    """Every `stride`-th frame is observed, those between are predicted.

    Args:
        stride: the distance between observed frames.
        rate: the share of observed frames that is kept, as in `Predict`; the first and the last are always kept.
    """

    stride: int = 2
    rate: float | None = None
    capability: ClassVar[str] = "interpolate"

    def __post_init__(self) -> None:
        check_rate(self.rate)

    def mask(self, num_frames: int) -> Mask:
        """True where a frame is observed."""
        if (num_frames - 1) % self.stride:
            raise UserError(
                f"Interpolation at stride {self.stride} needs 1 + a multiple of {self.stride} frames, so that the last "
                f"is observed and nothing is extrapolated; got {num_frames}. Set `frames: "
                f"{num_frames - (num_frames - 1) % self.stride}`."
            )
        return every(num_frames, self.stride)

    def supported_by(self, system: object) -> bool:
        """Whether the system has the capability."""
        return isinstance(system, Interpolates) and (self.rate is None or accepts_present_mask(system.interpolate))

    def unsupported_reason(self, system: object) -> str:
        """See `Task`."""
        return super().unsupported_reason(system) + GAPS * (self.rate is not None)

    def make_query(self, batch: Batch, sample_type: type[Sample], seed: int = 0) -> Query:
        """See `Task`; some of the observed frames between the first and the last one are dropped."""
        return drop_frames(super().make_query(batch, sample_type, seed), self.rate, keep_last=True)

    def run(self, system: Any, query: Query) -> Sample:
        """The system's prediction at the query's times."""
        return system.interpolate(query.observed, query.times, seeds=query.seeds, **present_argument(query))


@dataclass(frozen=True)
class Inbetween(Task):
    """`count` frames at either end are observed; runs `inbetween`, or `interpolate` if a system has no `inbetween`.

    Args:
        count: the number of observed frames at either end.
        whole: metrics get whole videos, with the observed frames in prediction and target alike, as for FVD and
            diversity in the inbetweening paper (Li et al., 2019, Sec. 4). Leave it out for frame metrics such as SSIM.
    """

    count: int = 1
    whole: bool = False
    capability: ClassVar[str] = "inbetween"

    def mask(self, num_frames: int) -> Mask:
        """True where a frame is observed."""
        return ends(num_frames, self.count)

    def supported_by(self, system: object) -> bool:
        """Whether the system has the capability."""
        return isinstance(system, Inbetweens | Interpolates)

    def run(self, system: Any, query: Query) -> Sample:
        """The system's prediction at the query's times."""
        if isinstance(system, Inbetweens):
            return system.inbetween(query.observed, query.times, seeds=query.seeds)
        return system.interpolate(query.observed, query.times, seeds=query.seeds, **present_argument(query))

    def compose_full_clip(self, query: Query, clip: Sample) -> Sample:
        """See `Task`; with `whole`, the clip with the observed frames."""
        return merge_observed(query.observed, clip) if self.whole else clip
