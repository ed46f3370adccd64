"""Repeat last: the last observed frame at all times. Needs no training; every predictor should beat it."""

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from datamodules.clip import VideoClip
from lightning_modules.observed_clip import check_after_last, observed_clip
from lightning_modules.system import System


class RepeatLast(System):
    """Predicts that nothing moves."""

    stochastic = False

    def predict(
        self,
        observed: VideoClip,
        times: Float[Tensor, "batch time"],
        *,
        seeds: Int[Tensor, " batch"] | None = None,
        present: Bool[Tensor, "batch observed"] | None = None,
    ) -> VideoClip:
        """The last present frame (batch, channel, height, width) of each clip, at every target time."""
        observed, there = observed_clip(observed, present, "RepeatLast")
        check_after_last(times, observed.times, there, "RepeatLast")
        frames, position = observed.frames, torch.arange(there.shape[1], device=there.device)
        index = torch.where(there, position, -1).amax(dim=1)
        last = frames[torch.arange(len(frames), device=frames.device), index]
        return VideoClip(last[:, None].expand(-1, times.shape[1], -1, -1, -1).contiguous(), times)
