"""MotionToVideoGAN: MODE-GAN's second stage (Kim et al., BMVC 2021), from keypoints and noise to frames."""

from typing import Any, NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from datamodules.clip import Batch, KeypointClip, VideoClip
from datamodules.errors import UserError
from lightning_modules.losses.diversity import diversity_loss
from lightning_modules.manual_optimization import Scalar
from lightning_modules.networks.heatmaps import Heatmaps
from lightning_modules.networks.mode_gan import MotionToVideoGenerator
from lightning_modules.noise import normal
from lightning_modules.two_critic_gan import TwoCriticGAN

Frames = Float[Tensor, "batch time channel height width"]
Maps = Float[Tensor, "batch time joint height width"]


class MotionToVideoGAN(TwoCriticGAN):
    """Learn to render a given motion: keypoints -> heatmaps, and heatmaps with z_a -> frames (Section 3.2).

    It trains on the keypoints of real clips; stage I's motions are used only once the two are joined (`ModeGAN`). The
    critics see frames and heatmaps concatenated in channels, and the gradient penalty is with respect to both, as the
    paper concatenates them. Optimisers and weights are those of `TwoCriticGAN`; the paper names none.

    All joints have weight 1, whatever the data's confidence: eq. 2 has no weights, and the motions of stage I that are
    rendered in the end have no confidence. A missing frame has no heatmaps.

    It has none of the capabilities of the tasks, whose inputs are frames and times alone; its method is `render`.

    Args:
        generator: the video generator.
        heatmaps: how keypoints are rendered, at the size of the frames.
        frame_critic: scores one frame of each clip, chosen at random in every call.
        sequence_critic: scores whole clips.
        weight_by_confidence: multiply the heatmaps by the motion's `confidence`, in training and in `render`. This is
            for motions that were detected; such a stage cannot be joined with a `MotionGAN`.
        adversarial: see `TwoCriticGAN`.
    """

    def __init__(
        self,
        generator: MotionToVideoGenerator,
        heatmaps: Heatmaps,
        frame_critic: nn.Module | None = None,
        sequence_critic: nn.Module | None = None,
        weight_by_confidence: bool = False,
        **adversarial: Any,
    ) -> None:
        super().__init__(generator, frame_critic, sequence_critic, **adversarial)
        if heatmaps.size != generator.size:
            raise UserError(
                f"The critics see heatmaps and frames concatenated, so their sizes must agree; got "
                f"{heatmaps.size} and {generator.size}."
            )
        self.heatmaps = heatmaps
        self.weight_by_confidence = weight_by_confidence

    @property
    def network(self) -> MotionToVideoGenerator:
        """The generator, with its own type."""
        assert isinstance(self.generator, MotionToVideoGenerator)
        return self.generator

    def render(self, motion: KeypointClip, *, seeds: Int[Tensor, " batch"], chunk: int = 64) -> VideoClip:
        """A video of the motion, with an appearance for each seed.

        In evaluation mode frames do not depend on each other, so `chunk` frames are rendered at a time: without
        gradients a clip of 600 frames needs the memory of 64, apart from the result. In training mode batch statistics
        are those of each chunk.

        Raises:
            UserError: if motion and generator have different numbers of keypoints.
        """
        if motion.keypoints.shape[-2] != self.network.joints:
            raise UserError(
                f"This MotionToVideoGAN renders {self.network.joints} keypoints, the motion has "
                f"{motion.keypoints.shape[-2]}. Use a MotionGAN that was trained on the same keypoint skeleton."
            )
        code = normal(seeds, len(seeds), (self.network.code_size,), stream="appearance", device=motion.keypoints.device)
        parts = zip(motion.keypoints.split(chunk, dim=1), motion.confidence.split(chunk, dim=1), strict=True)
        frames = [self.generator(code, self._drawn(points, sure)) for points, sure in parts]
        return VideoClip(torch.cat(frames, dim=1).float(), motion.times)

    def generate_fakes(self, batch: Batch) -> "Videos":
        """A fake clip for every real one, with the same motion."""
        clip = batch.clip
        if not isinstance(clip, KeypointClip):
            raise UserError(
                f"MotionToVideoGAN needs the keypoints of its clips; this data has {type(clip).__name__}s. Choose data "
                "with keypoints (such as bouncing balls)."
            )
        size = (self.network.size, self.network.size)
        if clip.frames.shape[-2:] != size:
            raise UserError(
                f"The generator makes frames of {size}, the data's are {tuple(clip.frames.shape[-2:])}. Set `size` of "
                "the data, or of the generator, the heatmaps and the critics."
            )
        present = batch.present[:, :, None, None, None]
        maps = self._drawn(clip.keypoints, clip.confidence) * present
        code = self._code(batch)
        return Videos(clip.frames * present, self.generator(code, maps) * present, maps, code, batch.present)

    def critic_inputs(self, fakes: "Videos") -> tuple[Tensor, Tensor]:
        """Frames and heatmaps, concatenated in channels."""
        real, fake = (torch.cat([frames, fakes.maps], dim=2) for frames in (fakes.real, fakes.fake))
        return real, fake

    def diversity(self, batch: Batch, fakes: "Videos") -> Scalar:
        """Eq. 6: the same motion with another appearance must look different."""
        code = self._code(batch)
        other = self.generator(code, fakes.maps) * fakes.present[:, :, None, None, None]
        return diversity_loss(fakes.code, code, fakes.fake, other)

    def _drawn(
        self, keypoints: Float[Tensor, "batch time joint 2"], confidence: Float[Tensor, "batch time joint"]
    ) -> Maps:
        maps: Maps = self.heatmaps(keypoints)
        return maps * confidence[..., None, None] if self.weight_by_confidence else maps

    def _code(self, batch: Batch) -> Float[Tensor, "batch code"]:
        size = (self.network.code_size,)
        return normal(None, len(batch.ids), size, stream="appearance", device=batch.clip.times.device)


class Videos(NamedTuple):
    """Real and fake frames, their common heatmaps, and the codes of the fakes; missing frames are zero in both."""

    real: Frames
    fake: Frames
    maps: Maps
    code: Float[Tensor, "batch code"]
    present: Tensor
