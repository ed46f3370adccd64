"""Slow clips: other real clips at half speed: right poses, motion of the right form and the wrong pace."""

from typing import Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor

from datamodules.clip import TIME_AXIS, Sample
from datamodules.errors import UserError
from lightning_modules.real_data import ShownClips
from lightning_modules.system import System


class SlowClips(System):
    """Shows real clips slowed down.

    Keypoints and states between two moments are blended linearly; of frames the earlier one is held.

    Args:
        speed: of the clips, above 0 and at most 1.
        split: whose clips are shown; see `datamodules.base.other_clips`.
        sample: what is shown: frames, keypoints or a state space.
    """

    def __init__(
        self,
        speed: float = 0.5,
        split: Literal["train", "val", "test"] = "train",
        sample: Literal["VideoClip", "KeypointClip", "Trajectory"] = "VideoClip",
    ) -> None:
        super().__init__()
        if not 0 < speed <= 1:
            raise UserError(f"speed is above 0 and at most 1, that of the data; got {speed}.")
        self.speed = speed
        self.clips = ShownClips(split, sample)
        self.sample_type = self.clips.sample_type

    def generate(
        self,
        times: Float[Tensor, "batch time"],
        *,
        seeds: Int[Tensor, " batch"],
        labels: Int[Tensor, " batch"] | None = None,
    ) -> Sample:
        """Each clip at `speed` times the asked `times`, in seconds; beyond its end the last moment is held."""
        clip = self.clips.read(self, seeds)
        asked = self.speed * times
        last = clip.times.shape[1] - 1
        # half a thousandth of a step forgives the rounding of times
        tolerance = 5e-4 * clip.times.diff(dim=1).min() if last else 0.0
        left = torch.searchsorted(clip.times.contiguous(), asked + tolerance, right=True).sub(1).clamp(0, last)
        right = (left + 1).clamp(max=last)
        start, end = clip.times.gather(1, left), clip.times.gather(1, right)
        weight = ((asked - start) / (end - start).clamp(min=1e-12)).clamp(0, 1)
        rows = torch.arange(len(times), device=times.device)[:, None]
        fields = {}
        for name, value in clip._asdict().items():
            if name == "times":
                continue
            fields[name] = value[rows, left]
            if name != "frames":
                blend = weight.reshape(*weight.shape, *[1] * (-TIME_AXIS[name] - 1))
                fields[name] = torch.lerp(value[rows, left], value[rows, right], blend)
        return type(clip)(times=times, **fields)
