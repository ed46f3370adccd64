"""What models that predict frames are trained on: observed frames, and target frames at target times."""

from typing import Literal, NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from datamodules.clip import Batch, KeypointClip, VideoClip
from datamodules.errors import UserError
from lightning_modules.networks.vid_ode import Start, start_index
from lightning_modules.observed_clip import BLACK, FrameFormat

Frames = Float[Tensor, "batch time channel height width"]
Times = Float[Tensor, "batch time"]
Pixels = Literal["unit", "data"]


class ObservedFrames(NamedTuple):
    """Observed frames in the range of the losses, at model times; `present` is False where a frame is missing.

    Extrapolation starts from the `last` frame that is present, interpolation from the `first`.
    """

    frames: Float[Tensor, "batch observed channel height width"]
    times: Float[Tensor, "batch observed"]
    present: Bool[Tensor, "batch observed"]
    start: Start

    @property
    def anchor(self) -> Float[Tensor, " batch"]:
        """The time of the frame that the prediction starts from."""
        return self.time_of(self.start)

    def time_of(self, end: Start) -> Float[Tensor, " batch"]:
        """The time of each clip's first or last frame that is present."""
        return self.times.gather(1, start_index(self.present, end)[:, None])[:, 0]

    def side_by_side(self, count: int, model: str) -> Float[Tensor, "batch channels height width"]:
        """The frames' channels concatenated, for an encoder of `count` frames; a missing frame is zero.

        Raises:
            UserError: if another number of frames is observed; `model` is the name that the message uses.
        """
        if self.frames.shape[1] != count:
            raise UserError(
                f"{model} was built for {count} frames side by side and got {self.frames.shape[1]}. Set `observe` to "
                "the number of observed frames, or use a recurrent encoder, which takes any number."
            )
        return torch.where(self.present[:, :, None, None, None], self.frames, 0).flatten(1, 2)


class TrainingExample(NamedTuple):
    """Observed frames, target times and target frames of a batch.

    `known` is False where a pixel of the target is missing, `observed_known` where one of the observed frames is.
    """

    observed: ObservedFrames
    target_times: Float[Tensor, "batch target"]
    target: Float[Tensor, "batch target channel height width"]
    known: Bool[Tensor, "batch target 1 _ _"] | None
    observed_known: Bool[Tensor, "batch observed 1 _ _"] | None = None


def training_example(
    batch: Batch,
    times: Times,
    *,
    mode: str | None,
    observe: int,
    pixels: Pixels,
    model: str,
    frame_format: FrameFormat | None = None,
) -> TrainingExample:
    """Split a batch into observed and target frames; missing frames and pixels are black in both.

    Args:
        batch: of clips with frames.
        times: model times of the frames.
        mode: `interpolate` observes every frame and targets the same ones; `extrapolate` observes the first `observe`
            and targets the rest.
        observe: frames observed in extrapolation.
        pixels: see `to_loss_range`.
        model: the name that error messages use.
        frame_format: of the frames that the model accepts; None: any.

    Raises:
        UserError: if the data have no pixels, or frames of another format, or too few frames for `observe`.
    """
    if not isinstance(batch.clip, VideoClip | KeypointClip):
        raise UserError(f"{model} predicts frames; this data has trajectories, without pixels. Choose other data.")
    if frame_format is not None:
        frame_format.check(batch.clip.frames, model)
    frames, known = batch.clip.frames, None
    if not bool(batch.present.all()) or batch.valid is not None:
        known = batch.present[:, :, None, None, None]
        known = known if batch.valid is None else known & batch.valid
        frames = torch.where(known, frames, BLACK)
    frames = to_loss_range(frames, pixels)
    if mode == "interpolate":
        return TrainingExample(ObservedFrames(frames, times, batch.present, "first"), times, frames, known, known)
    k = observe
    if not 0 < k < frames.shape[1]:
        raise UserError(
            f"Extrapolation observes the first {k} of {frames.shape[1]} frames and predicts the rest; `observe` must "
            f"be from 1 to {frames.shape[1] - 1}. Change `observe` or the number of frames of the data's sampling."
        )
    observed = ObservedFrames(frames[:, :k], times[:, :k], batch.present[:, :k], "last")
    before, after = (None, None) if known is None else (known[:, :k], known[:, k:])
    return TrainingExample(observed, times[:, k:], frames[:, k:], after, before)


def to_loss_range(frames: Frames, pixels: Pixels) -> Frames:
    """A clip's frames in the range of networks and losses: `unit` maps [-1, 1] to [0, 1], `data` is the identity."""
    return (frames + 1) / 2 if pixels == "unit" else frames


def to_clip_range(frames: Frames, pixels: Pixels) -> Frames:
    """The inverse of `to_loss_range`, in float32; `unit` clips to [-1, 1]."""
    if pixels == "unit":
        frames = (2 * frames - 1).clamp(-1, 1)
    return frames.float()
