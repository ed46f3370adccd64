"""Real data for baselines that show them: read through the data module of the run, whatever data set that is."""

from collections.abc import Iterator
from typing import Any, Protocol, cast, runtime_checkable

import numpy as np
import torch
from jaxtyping import Float, Float32, Float64, Int
from torch import Tensor

from datamodules.clip import KeypointClip, Sample, Trajectory, VideoClip, nearest_frames
from datamodules.errors import UserError
from lightning_modules.dynamics.base import OffGridError
from lightning_modules.system import System

_TOLERANCE = 1e-3
"""Of times, as a share of the gap between frames: they are float32."""

SAMPLE_TYPES: dict[str, type[Sample]] = {
    "VideoClip": VideoClip,
    "KeypointClip": KeypointClip,
    "Trajectory": Trajectory,
}
"""By the names that configurations give them."""


@runtime_checkable
class OtherClips(Protocol):
    """Real clips of a split, none of them among those that are evaluated."""

    def read(self, seeds: Int[Tensor, " batch"]) -> Sample:
        """One clip for each seed of a query, on the CPU."""
        ...


@runtime_checkable
class WholeClip(Protocol):
    """Consecutive frames of a source clip: in [-1, 1], NaN where nothing was measured; seconds since its first."""

    frames: Float32[np.ndarray, "time channel height width"]
    times: Float64[np.ndarray, " time"]
    origin: int


@runtime_checkable
class RealData(Protocol):
    """What a data module offers to baselines."""

    def other_clips(self, split: Any) -> OtherClips:
        """Real clips of a split that are not those evaluated."""
        ...

    def whole_clips(self, split: Any) -> Iterator[WholeClip]:
        """Every frame of a split's clips."""
        ...

    def place(self, ids: Int[Tensor, " batch"]) -> list[tuple[int, float]]:
        """Of each sample its origin, and when it starts, in seconds since the first frame of its source clip."""
        ...


def data_of(system: System) -> RealData:
    """The data that the system is evaluated on; raises UserError if it has none."""
    data = getattr(system._trainer, "datamodule", None)
    if data is None:
        raise UserError(
            f"{type(system).__name__} shows real data, which it takes from the data module of its run. Use `lightning "
            "test`, or `Trainer.test` with a ClipDataModule."
        )
    return cast(RealData, data)


class ShownClips:
    """The real clips that a baseline shows instead of its own.

    Args:
        split: whose clips: `train`, or any split but the evaluated one; the evaluated one if nothing is held out.
        sample: what the system generates: VideoClip, KeypointClip or Trajectory.
    """

    def __init__(self, split: str, sample: str) -> None:
        if sample not in SAMPLE_TYPES:
            raise UserError(f"`sample` is one of {', '.join(SAMPLE_TYPES)}; got {sample}.")
        self.split = split
        self.sample_type = SAMPLE_TYPES[sample]
        self._clips: OtherClips | None = None

    def read(self, system: System, seeds: Int[Tensor, " batch"]) -> Sample:
        """One whole clip for each seed, on the system's device."""
        if self._clips is None:
            self._clips = data_of(system).other_clips(self.split)
        clip = self._clips.read(seeds)
        return self.sample_type(**{name: getattr(clip, name).to(seeds.device) for name in self.sample_type._fields})


def at_times(clip: Sample, times: Float[Tensor, "batch time"]) -> Sample:
    """The clip at these times, in seconds: of each moment the frame that is nearest in time.

    Raises:
        OffGridError: if moments are closer to one another than the clip's frames are, or lie beyond its ends.
    """
    own = clip.times.double()
    asked = times.double()
    gap = float(own.diff(dim=1).max()) if own.shape[1] > 1 else 0.0
    denser = asked.shape[1] > 1 and float(asked.diff(dim=1).min()) < gap * (1 - _TOLERANCE)
    # the earlier of two frames that are equally near
    distance, index = (asked[:, :, None] - own[:, None] - gap * _TOLERANCE).abs().min(dim=2)
    if denser or float(distance.max()) > gap * (0.5 + 2 * _TOLERANCE):
        raise OffGridError(
            f"Real clips are known at their own frames only, {gap:.3g} s apart and up to {float(own.max()):.3g} s; the "
            f"query goes to {float(asked.max()):.3g} s. Ask for no higher frame rate and no longer clips than theirs."
        )
    rows = torch.arange(len(own), device=own.device)[:, None]
    fields = {name: value[rows, index] for name, value in clip._asdict().items() if name != "times"}
    return type(clip)(times=times, **fields)


def at_nearest_times(clip: Sample, times: Float[Tensor, "batch time"]) -> Sample:
    """The clip's frames that are nearest to these times, in seconds; raises OffGridError beyond its last frame."""
    step = clip.times.diff(dim=1).max() if clip.times.shape[1] > 1 else clip.times.new_zeros(())
    beyond = float((times.amax(dim=1) - clip.times[:, -1]).max())
    if beyond > 0.501 * float(step):
        raise OffGridError(
            f"The query goes {beyond:.3g} s beyond the last frame of the real clips. Lengthen the data's evaluation "
            "sampling, or ask for a shorter time."
        )
    return nearest_frames(clip, times)
