"""Nearest frame: the observed frame nearest in time, the earlier of two. Needs no training."""

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from datamodules.clip import VideoClip
from lightning_modules.observed_clip import check_from_first, observed_clip
from lightning_modules.system import System


class NearestFrame(System):
    """Interpolates by repeating the previous or the next observed frame: sharp, but not smooth."""

    stochastic = False

    def interpolate(
        self,
        observed: VideoClip,
        times: Float[Tensor, "batch time"],
        *,
        seeds: Int[Tensor, " batch"] | None = None,
        present: Bool[Tensor, "batch observed"] | None = None,
    ) -> VideoClip:
        """The present frame nearest to each target time."""
        observed, there = observed_clip(observed, present, "NearestFrame")
        check_from_first(times, observed.times, there, "NearestFrame")
        distance = (times[:, :, None] - observed.times[:, None]).abs()  # batch target observed
        distance = distance.masked_fill(~there[:, None], torch.inf)
        # The midpoint between two frames, as in interpolation at stride 2, is a tie only up to rounding.
        tie = distance <= distance.amin(dim=2, keepdim=True) + 1e-5 * (1 + times[:, :, None].abs())
        position = torch.arange(distance.shape[2], device=distance.device)
        index = torch.where(tie, position, len(position)).amin(dim=2)
        clip = torch.arange(len(times), device=times.device)[:, None]
        return VideoClip(observed.frames[clip, index], times)
