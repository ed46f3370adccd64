"""Previous frame: the last observed frame before each time, held; between two ends, the start. Needs no training."""

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from datamodules.clip import VideoClip
from lightning_modules.observed_clip import check_from_first, observed_clip
from lightning_modules.system import System


class PreviousFrame(System):
    """Interpolates as a picture that holds until the next one comes: between two ends nothing moves."""

    stochastic = False

    def interpolate(
        self,
        observed: VideoClip,
        times: Float[Tensor, "batch time"],
        *,
        seeds: Int[Tensor, " batch"] | None = None,
        present: Bool[Tensor, "batch observed"] | None = None,
    ) -> VideoClip:
        """The last present frame at or before each target time."""
        observed, known = observed_clip(observed, present, "PreviousFrame")
        check_from_first(times, observed.times, known, "PreviousFrame")
        position = torch.arange(known.shape[1], device=known.device)
        before = known[:, None] & (observed.times[:, None] <= times[:, :, None])  # batch target observed
        index = torch.where(before, position, -1).amax(dim=2)
        clip = torch.arange(len(times), device=times.device)[:, None]
        return VideoClip(observed.frames[clip, index], times)
