"""Blurred clips: other real clips out of focus: right motion, no detail."""

import math
from typing import Literal

from jaxtyping import Float, Int
from torch import Tensor
from torchvision.transforms.v2.functional import gaussian_blur

from datamodules.clip import KeypointClip, Sample, Trajectory
from datamodules.errors import UserError
from lightning_modules.real_data import ShownClips, at_times
from lightning_modules.system import System


class BlurredClips(System):
    """Shows real clips through a Gaussian, as the low resolution of a weak generator looks.

    Args:
        sigma: standard deviation of the Gaussian, in pixels.
        split: whose clips are shown; see `datamodules.base.other_clips`.
    """

    def __init__(self, sigma: float = 2.0, split: Literal["train", "val", "test"] = "train") -> None:
        super().__init__()
        if not sigma > 0:
            raise UserError(f"sigma is the width of the blur in pixels, above 0; got {sigma}.")
        self.sigma = sigma
        self.clips = ShownClips(split, "VideoClip")

    def generate(
        self,
        times: Float[Tensor, "batch time"],
        *,
        seeds: Int[Tensor, " batch"],
        labels: Int[Tensor, " batch"] | None = None,
    ) -> Sample:
        """The blurred frames of each clip at `times`, in seconds; the border is mirrored."""
        clip = at_times(self.clips.read(self, seeds), times)
        assert not isinstance(clip, KeypointClip | Trajectory)
        side = 2 * math.ceil(4 * self.sigma) + 1  # to four standard deviations
        smallest = 2 * min(clip.frames.shape[-2:]) - 1  # what mirroring can fill
        return clip._replace(frames=gaussian_blur(clip.frames, [min(side, smallest)] * 2, [self.sigma] * 2))
