"""Mean frame: the mean of the observed frames, at all times. Needs no training."""

from jaxtyping import Bool, Float, Int
from torch import Tensor

from datamodules.clip import VideoClip
from datamodules.errors import UserError
from lightning_modules.system import System


class MeanFrame(System):
    """Predicts the mean of the clip's observed frames: exact where nothing moves, blurred where something does."""

    def predict(
        self,
        observed: VideoClip,
        times: Float[Tensor, "batch time"],
        *,
        seeds: Int[Tensor, " batch"] | None = None,
        present: Bool[Tensor, "batch observed"] | None = None,
    ) -> VideoClip:
        """The mean of the present frames of each clip, at every target time."""
        frames = observed.frames
        if present is None:
            mean = frames.mean(dim=1)
        else:
            if not bool(present.any(dim=1).all()):
                raise UserError("MeanFrame averages the present frames; a clip of this batch has none. Drop it.")
            weight = present[:, :, None, None, None].to(frames.dtype)
            mean = frames.mul(weight).sum(dim=1) / weight.sum(dim=1)
        return VideoClip(mean[:, None].expand(-1, times.shape[1], -1, -1, -1).contiguous(), times)

    def interpolate(
        self,
        observed: VideoClip,
        times: Float[Tensor, "batch time"],
        *,
        seeds: Int[Tensor, " batch"] | None = None,
        present: Bool[Tensor, "batch observed"] | None = None,
    ) -> VideoClip:
        """As `predict`: the mean does not depend on the time."""
        return self.predict(observed, times, seeds=seeds, present=present)
