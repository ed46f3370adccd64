"""What a system asks of the clip that it is shown: frames of its format, one that is present, and times that follow."""

from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Num
from torch import Tensor

from datamodules.clip import VideoClip, check_times
from datamodules.errors import UserError

Times = Float[Tensor, "batch time"]
Observed = Float[Tensor, "batch observed"]
Present = Bool[Tensor, "batch observed"]

BLACK = -1.0
"""What stands in a missing frame or pixel, as the data modules have it."""


class FrameFormat(NamedTuple):
    """The frames that a network accepts.

    Args:
        channels: of an image.
        multiple: both sides must be multiples of it.
        size: height and width in pixels, if the network is built for one size alone.
    """

    channels: int
    multiple: int = 1
    size: tuple[int, int] | None = None

    def check(self, frames: Num[Tensor, "*batch channel height width"], model: str) -> None:
        """Raise a UserError unless the frames are of this format; `model` is the name that the message uses."""
        channels, height, width = frames.shape[-3:]
        if channels != self.channels:
            raise UserError(
                f"{model} was built for frames of {self.channels} channels and got {channels}. Set the model's "
                "`channels` to the data's, or the data's to the model's (1 is grey, 3 is colour)."
            )
        if self.size is not None and (height, width) != self.size:
            raise UserError(
                f"{model} was built for frames of {self.size[0]}x{self.size[1]} pixels (height x width) and got "
                f"{height}x{width} pixels. Set `size` to the data's, or the data's to the model's."
            )
        if height % self.multiple or width % self.multiple or not height or not width:
            raise UserError(
                f"{model} halves a frame until a side is divided by {self.multiple}, so both sides must be multiples "
                f"of {self.multiple}; got {height}x{width} pixels. Set the data's `size` to such sides, or lower the "
                "model's `downs`."
            )


def observed_clip(
    observed: VideoClip, present: Present | None, model: str, frame_format: FrameFormat | None = None
) -> tuple[VideoClip, Present]:
    """The clip with its missing frames black, so that no answer depends on what stood there, and which are present.

    Args:
        observed: the frames that a system is shown.
        present: False where one is missing; None: none is.
        model: the name that error messages use.
        frame_format: of the frames that the system accepts; None: any.

    Raises:
        UserError: if a clip has no present frame, or the frames are not of the format.
    """
    if frame_format is not None:
        frame_format.check(observed.frames, model)
    if present is None:
        present = torch.ones_like(observed.times, dtype=torch.bool)
    if not bool(present.any(dim=1).all()):
        raise UserError(
            f"{model} starts from present frames; a clip of this batch has none. Show one, or drop the clip."
        )
    if not bool(present.all()):
        frames = torch.where(present[:, :, None, None, None], observed.frames, BLACK)
        observed = VideoClip(frames, observed.times)
    return observed, present


def check_after_last(times: Times, observed: Observed, present: Present, model: str) -> None:
    """The rule of `predict`: every time is after the last present frame.

    Raises:
        UserError: if a time is at that frame's or before it, or is not finite.
    """
    check_times(observed, times)
    last = observed.masked_fill(~present, -torch.inf).amax(dim=1, keepdim=True)
    early = times <= last
    if bool(early.any()):
        raise UserError(
            f"{model} predicts frames after the last observed one, at {_first(last.expand_as(times), early):.6g} s; a "
            f"target time is {_first(times, early):.6g} s. Choose later times, or `interpolate` for times between "
            "observed frames (Vid-ODE and LinearBlend have it)."
        )


def check_from_first(times: Times, observed: Observed, present: Present, model: str) -> None:
    """The rule of `interpolate`: no time is before the first present frame; all drawing goes forward in time.

    Raises:
        UserError: if a time is, or is not finite.
    """
    check_times(observed, times)
    first = observed.masked_fill(~present, torch.inf).amin(dim=1, keepdim=True)
    early = times < first
    if bool(early.any()):
        raise UserError(
            f"{model} interpolates from the first observed frame on, at {_first(first.expand_as(times), early):.6g} s; "
            f"a target time is {_first(times, early):.6g} s. Choose times from that frame on, or show an earlier frame."
        )


def _first(values: Times, chosen: Bool[Tensor, "batch time"]) -> float:
    return float(values[chosen][0])
