"""Real clips: other real clips than those evaluated, as if they were generated: what a perfect model would score."""

from typing import Literal

from jaxtyping import Float, Int
from torch import Tensor

from datamodules.clip import Sample
from lightning_modules.real_data import ShownClips, at_nearest_times, at_times
from lightning_modules.system import System


class RealClips(System):
    """Shows a real clip for each seed, whatever was observed.

    Args:
        split: whose clips are shown; see `datamodules.base.other_clips`.
        sample: what is shown: frames, keypoints or a state space.
        nearest: at times between the clips' own frames, show the nearest one, as the real clips of an evaluation at
            another frame rate are chosen (`Generate(fps=...)`); else such times are refused.
    """

    def __init__(
        self,
        split: Literal["train", "val", "test"] = "train",
        sample: Literal["VideoClip", "KeypointClip", "Trajectory"] = "VideoClip",
        nearest: bool = False,
    ) -> None:
        super().__init__()
        self.nearest = nearest
        self.clips = ShownClips(split, sample)
        self.sample_type = self.clips.sample_type

    def generate(
        self,
        times: Float[Tensor, "batch time"],
        *,
        seeds: Int[Tensor, " batch"],
        labels: Int[Tensor, " batch"] | None = None,
    ) -> Sample:
        """The clips at `times`, in seconds."""
        clips = self.clips.read(self, seeds)
        return at_nearest_times(clips, times) if self.nearest else at_times(clips, times)

    def inbetween(
        self, observed: Sample, times: Float[Tensor, "batch time"], *, seeds: Int[Tensor, " batch"]
    ) -> Sample:
        """The clips at `times`, in seconds; their ends are not the observed ones."""
        return self.generate(times, seeds=seeds)
