"""Black clips: nothing at all, of the data's size: the score of a generator that does nothing."""

from typing import Literal

from jaxtyping import Float, Int
from torch import Tensor

from datamodules.clip import KeypointClip, Sample, Trajectory
from lightning_modules.real_data import ShownClips
from lightning_modules.system import System


class BlackClips(System):
    """Shows black frames.

    Args:
        split: the size of its clips is that of the black ones.
    """

    def __init__(self, split: Literal["train", "val", "test"] = "train") -> None:
        super().__init__()
        self.clips = ShownClips(split, "VideoClip")

    def generate(
        self,
        times: Float[Tensor, "batch time"],
        *,
        seeds: Int[Tensor, " batch"],
        labels: Int[Tensor, " batch"] | None = None,
    ) -> Sample:
        """Frames of -1 at all `times`."""
        clip = self.clips.read(self, seeds[:1])
        assert not isinstance(clip, KeypointClip | Trajectory)
        return clip._replace(frames=clip.frames.new_full((*times.shape, *clip.frames.shape[-3:]), -1.0), times=times)
