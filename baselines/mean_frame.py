"""Mean frame: the mean of the observed frames, at all times. Needs no training."""

from jaxtyping import Bool, Float, Int
from torch import Tensor

from datamodules.clip import VideoClip
from lightning_modules.observed_clip import check_after_last, check_from_first, observed_clip
from lightning_modules.system import System


class MeanFrame(System):
    """Predicts the mean of the clip's observed frames: exact where nothing moves, blurred where something does."""

    stochastic = False

    def predict(
        self,
        observed: VideoClip,
        times: Float[Tensor, "batch time"],
        *,
        seeds: Int[Tensor, " batch"] | None = None,
        present: Bool[Tensor, "batch observed"] | None = None,
    ) -> VideoClip:
        """The mean of the present frames of each clip, at every target time after them."""
        observed, there = observed_clip(observed, present, "MeanFrame")
        check_after_last(times, observed.times, there, "MeanFrame")
        return _repeated_mean(observed, there, times)

    def interpolate(
        self,
        observed: VideoClip,
        times: Float[Tensor, "batch time"],
        *,
        seeds: Int[Tensor, " batch"] | None = None,
        present: Bool[Tensor, "batch observed"] | None = None,
    ) -> VideoClip:
        """As `predict`: the mean does not depend on the time."""
        observed, there = observed_clip(observed, present, "MeanFrame")
        check_from_first(times, observed.times, there, "MeanFrame")
        return _repeated_mean(observed, there, times)


def _repeated_mean(
    observed: VideoClip, there: Bool[Tensor, "batch observed"], times: Float[Tensor, "batch time"]
) -> VideoClip:
    weight = there[:, :, None, None, None].to(observed.frames.dtype)
    mean = observed.frames.mul(weight).sum(dim=1) / weight.sum(dim=1)
    return VideoClip(mean[:, None].expand(-1, times.shape[1], -1, -1, -1).contiguous(), times)
