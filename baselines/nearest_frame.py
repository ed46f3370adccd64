"""Nearest frame: the observed frame nearest in time, the earlier of two. Needs no training."""

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from datamodules.clip import VideoClip
from datamodules.errors import UserError
from lightning_modules.system import System


class NearestFrame(System):
    """Interpolates by showing what was seen last or will be seen next: sharp, but it jerks."""

    def interpolate(
        self,
        observed: VideoClip,
        times: Float[Tensor, "batch time"],
        *,
        seeds: Int[Tensor, " batch"] | None = None,
        present: Bool[Tensor, "batch shown"] | None = None,
    ) -> VideoClip:
        """The present frame nearest to each asked time."""
        distance = (times[:, :, None] - observed.times[:, None]).abs()  # batch asked shown
        if present is not None:
            if not bool(present.any(dim=1).all()):
                raise UserError("NearestFrame shows a present frame; a clip of this batch has none. Drop it.")
            distance = distance.masked_fill(~present[:, None], torch.inf)
        # The middle between two frames, where interpolation at stride 2 always asks, is a tie only up to rounding.
        tie = distance <= distance.amin(dim=2, keepdim=True) + 1e-5 * (1 + times[:, :, None].abs())
        position = torch.arange(distance.shape[2], device=distance.device)
        index = torch.where(tie, position, len(position)).amin(dim=2)
        clip = torch.arange(len(times), device=times.device)[:, None]
        return VideoClip(observed.frames[clip, index], times)
