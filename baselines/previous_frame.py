"""Previous frame: the last observed frame before each time, held; between two ends, the start. Needs no training."""

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from datamodules.clip import VideoClip
from datamodules.errors import UserError
from lightning_modules.system import System


class PreviousFrame(System):
    """Interpolates as a picture that holds until the next one comes: between two ends nothing moves."""

    def interpolate(
        self,
        observed: VideoClip,
        times: Float[Tensor, "batch time"],
        *,
        seeds: Int[Tensor, " batch"] | None = None,
        present: Bool[Tensor, "batch observed"] | None = None,
    ) -> VideoClip:
        """The last present frame at or before each target time; before the first one, that one."""
        known = torch.ones_like(observed.times, dtype=torch.bool) if present is None else present
        if not bool(known.any(dim=1).all()):
            raise UserError("PreviousFrame holds a present frame; a clip of this batch has none. Drop it.")
        position = torch.arange(known.shape[1], device=known.device)
        before = known[:, None] & (observed.times[:, None] <= times[:, :, None])  # batch target observed
        first = torch.where(known, position, len(position)).amin(dim=1, keepdim=True)
        index = torch.where(before, position, -1).amax(dim=2)
        clip = torch.arange(len(times), device=times.device)[:, None]
        return VideoClip(observed.frames[clip, torch.where(index < 0, first, index)], times)
