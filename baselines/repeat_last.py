"""Repeat last: the last observed frame at all times. Needs no training; every predictor should beat it."""

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from datamodules.clip import VideoClip
from datamodules.errors import UserError
from lightning_modules.system import System


class RepeatLast(System):
    """Predicts that nothing moves."""

    def predict(
        self,
        observed: VideoClip,
        times: Float[Tensor, "batch time"],
        *,
        seeds: Int[Tensor, " batch"] | None = None,
        present: Bool[Tensor, "batch observed"] | None = None,
    ) -> VideoClip:
        """The last present frame (batch, channel, height, width) of each clip, at every target time."""
        frames = observed.frames
        if present is None:
            last = frames[:, -1]
        else:
            if not bool(present.any(dim=1).all()):
                raise UserError("RepeatLast repeats the last present frame; a clip of this batch has none. Drop it.")
            position = torch.arange(present.shape[1], device=present.device)
            index = torch.where(present, position, -1).amax(dim=1)
            last = frames[torch.arange(len(frames), device=frames.device), index]
        return VideoClip(last[:, None].expand(-1, times.shape[1], -1, -1, -1).contiguous(), times)
