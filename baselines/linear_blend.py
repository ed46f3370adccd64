"""Linear blend: the cross-fade between the two nearest observed frames. Needs no training."""

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from datamodules.clip import VideoClip
from lightning_modules.observed_clip import check_from_first, observed_clip
from lightning_modules.system import System


class LinearBlend(System):
    """Interpolates every pixel linearly in time: a moving object fades out at one position and in at another."""

    stochastic = False

    def interpolate(
        self,
        observed: VideoClip,
        times: Float[Tensor, "batch time"],
        *,
        seeds: Int[Tensor, " batch"] | None = None,
        present: Bool[Tensor, "batch observed"] | None = None,
    ) -> VideoClip:
        """The blend of the present frames around each target time; after the last, that frame."""
        observed, known = observed_clip(observed, present, "LinearBlend")
        check_from_first(times, observed.times, known, "LinearBlend")
        position = torch.arange(known.shape[1], device=known.device)
        before = known[:, None] & (observed.times[:, None] <= times[:, :, None])  # batch target observed
        after = known[:, None] & (observed.times[:, None] >= times[:, :, None])
        left = torch.where(before, position, -1).amax(dim=2)
        right = torch.where(after, position, len(position)).amin(dim=2)
        left, right = torch.where(left < 0, right, left), torch.where(right >= len(position), left, right)
        start, end = observed.times.gather(1, left), observed.times.gather(1, right)
        weight = torch.where(end > start, (times - start) / (end - start).clamp(min=1e-12), 0.0)
        clip = torch.arange(len(times), device=times.device)[:, None]
        fade = weight[:, :, None, None, None].to(observed.frames.dtype)
        return VideoClip(torch.lerp(observed.frames[clip, left], observed.frames[clip, right], fade), times)
