"""ModeGAN: the two stages of MODE-GAN joined (Kim et al., BMVC 2021); motion and appearance, each with its seed."""

from typing import Any

from jaxtyping import Float, Int
from torch import Tensor

from datamodules.clip import KeypointClip, VideoClip
from datamodules.errors import UserError
from lightning_modules.checkpoints.build import build
from lightning_modules.motion_gan import MotionGAN
from lightning_modules.motion_to_video_gan import MotionToVideoGAN
from lightning_modules.system import System

Seeds = Int[Tensor, " batch"]
Times = Float[Tensor, "batch time"]


class ModeGAN(System):
    """Draw videos at any times: a motion of the first stage, rendered by the second.

    Nothing is trained here; `join` makes one of two trained stages, whose configurations it embeds. The stages may come
    of different data, if their keypoints are the same joints: the motion of one with the appearance of the other (Fig.
    8). The clock is the motion's own.

    Args:
        motion: the first stage, of keypoints.
        video: the second stage.
    """

    def __init__(self, motion: MotionGAN, video: MotionToVideoGAN) -> None:
        super().__init__(seconds_per_unit=motion.seconds_per_unit, first_time=motion.first_time)
        if motion.heatmaps is None:
            raise UserError("ModeGAN needs a MotionGAN of keypoints; this one draws trajectories. Give it `heatmaps`.")
        self.motion = motion
        self.video = video

    @property
    def function_evaluations(self) -> int:
        """Evaluations of the motion's vector field in the last call."""
        return self.motion.function_evaluations

    def generate(
        self,
        times: Times,
        *,
        seeds: Seeds,
        labels: Int[Tensor, " batch"] | None = None,
        motion_seeds: Seeds | None = None,
        appearance_seeds: Seeds | None = None,
    ) -> VideoClip:
        """Clips at `times`, which may lie as close, as unevenly and as far before 0 as one likes.

        Args:
            times: in seconds, increasing; uneven ones, shown evenly, are a frame rate that changes within the clip.
            seeds: one per clip, for motion and appearance both.
            labels: not looked at.
            motion_seeds: in place of `seeds` for the motion.
            appearance_seeds: in place of `seeds` for the appearance.
        """
        motion = self.move(times, seeds=seeds if motion_seeds is None else motion_seeds)
        return self.video.render(motion, seeds=seeds if appearance_seeds is None else appearance_seeds)

    def move(self, times: Times, *, seeds: Seeds) -> KeypointClip:
        """The motion alone: all that the appearance sees of it."""
        motion = self.motion.generate(times, seeds=seeds)
        assert isinstance(motion, KeypointClip)
        return motion


def join(motion: System, video: System) -> ModeGAN:
    """A ModeGAN with the generators of two trained stages, in evaluation mode; their critics stay behind.

    Raises:
        UserError: if the systems are not two stages, or were not built from configurations.
    """
    if not (isinstance(motion, MotionGAN) and isinstance(video, MotionToVideoGAN)):
        raise UserError(
            f"A ModeGAN is a MotionGAN and a MotionToVideoGAN, in this order; got {type(motion).__name__} and "
            f"{type(video).__name__}."
        )
    if motion.config is None or video.config is None:
        raise UserError("Only systems made by `build` (or by the command line) remember the configuration to embed.")
    joined = build(
        {
            "class_path": f"{ModeGAN.__module__}.{ModeGAN.__name__}",
            "init_args": {"motion": _without_critics(motion.config), "video": _without_critics(video.config)},
        }
    )
    assert isinstance(joined, ModeGAN)
    joined.motion.generator.load_state_dict(motion.generator.state_dict())
    joined.video.generator.load_state_dict(video.generator.state_dict())
    return joined.eval()


def _without_critics(config: dict[str, Any]) -> dict[str, Any]:
    arguments = {key: value for key, value in config["init_args"].items() if not key.endswith("_critic")}
    return {"class_path": config["class_path"], "init_args": arguments}
