"""The clip: frames and the times they were taken at, the data type that data sets, systems and metrics share."""

from typing import NamedTuple, TypeVar

import torch
from jaxtyping import Bool, Float, Int, Num
from torch import Tensor

from datamodules.errors import UserError

Frames = Num[Tensor, "*batch time channel height width"]
Times = Float[Tensor, "*batch time"]


class VideoClip(NamedTuple):
    """Frames and the times they were taken at.

    `frames` are intensities in [-1, 1] (climate fields: standardised, range from the data), and uint8 on the way from
    disk to device. `times` are float32 seconds since the first frame, strictly increasing.
    """

    frames: Frames
    times: Times


class KeypointClip(NamedTuple):
    """A clip with the keypoints of joints (or of balls).

    `keypoints` are x then y; -1 and 1 are the centres of the first and the last pixel (align_corners). `confidence` is
    in [0, 1]. `frames` may have zero channels when only the motion exists.
    """

    frames: Frames
    times: Times
    keypoints: Float[Tensor, "*batch time joint 2"]
    confidence: Float[Tensor, "*batch time joint"]


class Trajectory(NamedTuple):
    """A trajectory in a state space, without pixels; a pendulum's, for example."""

    values: Float[Tensor, "*batch time dim"]
    times: Times


Sample = VideoClip | KeypointClip | Trajectory
AnySample = TypeVar("AnySample", bound=Sample)


class Batch(NamedTuple):
    """A batch of clips.

    `ids` are stable sample ids (see `sample_id`). `origins` say which samples are not independent: two samples have the
    same number if and only if they are cut from the same source, which is the person where people act, and else the
    film (`datamodules.base.clip_source.Origin`). `labels` are class numbers, or -1 for none. `present` is False where a
    frame is missing; `valid` is False where a pixel is missing, and None when no pixel is.
    """

    clip: Sample
    ids: Int[Tensor, " batch"]
    origins: Int[Tensor, " batch"]
    labels: Int[Tensor, " batch"]
    present: Bool[Tensor, "batch time"]
    valid: Bool[Tensor, "batch time 1 height width"] | None = None


TIME_AXIS = {"frames": -4, "times": -1, "keypoints": -3, "confidence": -2, "values": -2}
"""The time axis of each field of a sample, counted from the end, so that it is the same with and without a batch."""

_START_BITS = 24

SEED_STEP = 2**48
"""The distance between the seeds of two samples of one clip; every sample id is smaller."""


def sample_id(source: int, start: int) -> int:
    """The stable id of the window that starts at frame `start` of the data set's clip number `source`."""
    if not 0 <= start < 2**_START_BITS:
        raise UserError(f"A window must start at a frame from 0 to {2**_START_BITS - 1}; got {start}.")
    return (source << _START_BITS) | start


def source_of(ids: Int[Tensor, " batch"]) -> Int[Tensor, " batch"]:
    """The data set's clip that each id was cut from: its film, where nothing is known of `Batch.origins`."""
    return ids >> _START_BITS


def start_of(ids: Int[Tensor, " batch"]) -> Int[Tensor, " batch"]:
    """The frame of the source clip at which the window of each id starts."""
    return ids & ((1 << _START_BITS) - 1)


def id_and_draw(seeds: Int[Tensor, " batch"]) -> tuple[Int[Tensor, " batch"], Int[Tensor, " batch"]]:
    """The id of the clip that each seed of a query was made from, and which sample of that clip it is, from 0."""
    return seeds % SEED_STEP, seeds // SEED_STEP


def take_times(sample: AnySample, index: Int[Tensor, " k"] | Bool[Tensor, " time"]) -> AnySample:
    """The sample at some of its times: every field indexed along its own time axis."""
    positions = index.nonzero().flatten() if index.dtype == torch.bool else index
    fields = {
        name: value.index_select(value.ndim + TIME_AXIS[name], positions.to(value.device))
        for name, value in sample._asdict().items()
    }
    return type(sample)(**fields)


def nearest_frames(sample: AnySample, times: Times) -> AnySample:
    """Of each clip the frames that are nearest to `times`, in seconds, and said to be at them.

    Of two frames that are as near (to a millionth of a second) the earlier one is taken.
    """
    distance = (sample.times.double()[:, None, :] - times.double()[:, :, None] + 1e-6).abs()
    nearest = distance.argmin(dim=2)
    rows = torch.arange(len(nearest), device=nearest.device)[:, None]
    fields = {name: value[rows, nearest] for name, value in sample._asdict().items() if name != "times"}
    return type(sample)(**fields, times=times)


def check_clip(sample: Sample) -> None:
    """Raise a UserError that names the broken rule if a sample violates the contract."""
    times = sample.times
    check_times(times)
    for name, value in sample._asdict().items():
        length = value.shape[value.ndim + TIME_AXIS[name]]
        if length != times.shape[-1]:
            raise UserError(f"`{name}` has {length} time steps but `times` has {times.shape[-1]}; they must agree.")
    if isinstance(sample, VideoClip | KeypointClip) and sample.frames.is_floating_point() and sample.frames.numel():
        low, high = (float(x) for x in sample.frames.aminmax())
        if not (low >= -1 - 1e-3 and high <= 1 + 1e-3):  # written so that NaN fails too
            raise UserError(
                f"Frames must lie in [-1, 1]; these range from {low:.4g} to {high:.4g}. "
                "Frames in [0, 1] become 2 * x - 1, uint8 frames x / 127.5 - 1."
            )


def check_times(observed: Times, asked: Float[Tensor, "*batch asked"] | None = None) -> None:
    """Raise a UserError unless the times of a clip increase strictly and the times asked for are finite, in any order.

    Systems that compute with the times of a query check them here first.
    """
    for times, whose in ((observed, "of a clip"), (asked, "asked for")):
        if times is not None and not bool(torch.isfinite(times).all()):
            raise UserError(f"The times {whose} must be finite; some are NaN or infinite.")
    steps = observed.diff(dim=-1)
    if bool((steps <= 0).any()):
        raise UserError(
            f"The times of a clip must increase strictly; the smallest step is {float(steps.min()):.6g} s. "
            "Sort the frames by time and drop repeated times."
        )
