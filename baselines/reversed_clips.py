"""Reversed clips: other real clips played backwards: right frames, motion in the wrong direction of time."""

from typing import Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor

from datamodules.clip import Sample, take_times
from lightning_modules.real_data import ShownClips, at_times
from lightning_modules.system import System


class ReversedClips(System):
    """Shows real clips backwards.

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
        """The frames that each clip has at `times`, in seconds, in the opposite order."""
        clip = at_times(self.clips.read(self, seeds), times)
        return take_times(clip, torch.arange(times.shape[1]).flip(0))._replace(times=times)
