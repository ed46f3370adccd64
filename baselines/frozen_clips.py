"""Frozen clips: the first frame of another real clip, held: right appearance, no motion."""

from typing import Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor

from datamodules.clip import Sample, take_times
from lightning_modules.real_data import ShownClips
from lightning_modules.system import System


class FrozenClips(System):
    """Shows real clips that stand still; of motions, real poses that stand still.

    Args:
        split: whose clips are shown; see `datamodules.base.other_clips`.
        sample: what is shown: frames, keypoints or a state space.
    """

    def __init__(
        self,
        split: Literal["train", "val", "test"] = "train",
        sample: Literal["VideoClip", "KeypointClip", "Trajectory"] = "VideoClip",
    ) -> None:
        super().__init__()
        self.clips = ShownClips(split, sample)
        self.sample_type = self.clips.sample_type

    def generate(
        self,
        times: Float[Tensor, "batch time"],
        *,
        seeds: Int[Tensor, " batch"],
        labels: Int[Tensor, " batch"] | None = None,
    ) -> Sample:
        """The first frame of each clip at all `times`, in seconds."""
        clip = self.clips.read(self, seeds)
        return take_times(clip, torch.zeros(times.shape[1], dtype=torch.int64))._replace(times=times)
