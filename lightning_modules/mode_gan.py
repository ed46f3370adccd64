"""ModeGAN: the two stages of MODE-GAN joined (Kim et al., BMVC 2021); motion and appearance, each with its own seed."""

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
    """Generate videos at any times: a motion by the first stage, rendered by the second.

    It is not trained; `join` builds it from two trained stages and embeds their configurations. The stages may be
    trained on different data with the same keypoint skeleton: the motion of one with the appearance of the other (Fig.
    8). Model time is the motion's.

    Args:
        motion: the first stage, of keypoints.
        video: the second stage.
    """

    def __init__(self, motion: MotionGAN, video: MotionToVideoGAN) -> None:
        super().__init__(seconds_per_unit=motion.seconds_per_unit, first_time=motion.first_time)
        if motion.heatmaps is None:
            raise UserError(
                "ModeGAN needs a MotionGAN of keypoints; this one generates trajectories. Set its `heatmaps`."
            )
        if video.weight_by_confidence:
            raise UserError(
                "The second stage was trained on heatmaps weighted by the data's confidence, and motions of the first "
                "stage have none. Train it with `weight_by_confidence: false`."
            )
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
        """Clips at `times`, which may be dense, irregular or negative.

        Args:
            times: in seconds, increasing; irregular times played at a constant rate are slow or fast motion.
            seeds: one per clip, for both motion and appearance.
            labels: ignored.
            motion_seeds: replaces `seeds` for the motion.
            appearance_seeds: replaces `seeds` for the appearance.
        """
        motion = self.move(times, seeds=seeds if motion_seeds is None else motion_seeds)
        return self.video.render(motion, seeds=seeds if appearance_seeds is None else appearance_seeds)

    def move(self, times: Times, *, seeds: Seeds) -> KeypointClip:
        """The motion alone, which is the second stage's input."""
        motion = self.motion.generate(times, seeds=seeds)
        assert isinstance(motion, KeypointClip)
        return motion


def join(motion: System, video: System) -> ModeGAN:
    """A ModeGAN with the generators of two trained stages, in evaluation mode, without their critics.

    Raises:
        UserError: if the systems are not two stages, or were not built from configurations.
    """
    if not (isinstance(motion, MotionGAN) and isinstance(video, MotionToVideoGAN)):
        raise UserError(
            f"A ModeGAN is a MotionGAN and a MotionToVideoGAN, in this order; got {type(motion).__name__} and "
            f"{type(video).__name__}."
        )
    if motion.config is None or video.config is None:
        raise UserError("Only systems made by `build` (or by the command line) keep the configuration to embed.")
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
