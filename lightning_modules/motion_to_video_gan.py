"""MotionToVideoGAN: MODE-GAN's second stage (Kim et al., BMVC 2021), from keypoints and a noise to frames."""

from typing import Any, NamedTuple

import torch
from jaxtyping import Float, Int
from lightning.pytorch.cli import OptimizerCallable
from torch import Tensor, nn

from datamodules.clip import Batch, KeypointClip, VideoClip
from lightning_modules.adversarial import AdversarialSystem, Losses
from lightning_modules.losses.adversarial import wasserstein_fake, wasserstein_generator, wasserstein_real
from lightning_modules.losses.diversity import diversity_loss
from lightning_modules.losses.penalties import gradient_penalty
from lightning_modules.networks.heatmaps import Heatmaps
from lightning_modules.networks.mode_gan import VideoGenerator
from lightning_modules.noise import normal

Frames = Float[Tensor, "batch time channel height width"]
Maps = Float[Tensor, "batch time joint height width"]


class MotionToVideoGAN(AdversarialSystem):
    """Learn to draw what moves as given: keypoints -> heatmaps, with z_a -> frames (Section 3.2).

    It trains on the keypoints of real clips; stage I's come in only when the two are joined (`ModeGAN`). The critics
    see frames and heatmaps side by side in channels, and their gradient is penalised by both, as the paper's
    concatenation says. Optimisers and weights are those of `MotionGAN`; the paper names none.

    It answers no verb of the tasks, which speak of frames and times alone: `render` is its one question.

    Args:
        generator: the video generator.
        heatmaps: how keypoints are drawn, at the size of the frames.
        frame_critic: judges one moment of each clip, drawn anew each time.
        sequence_critic: judges whole clips.
        diversity_weight: lambda of eq. 6; 0 saves the second picture that it takes.
        penalty_weight: lambda of the gradient penalty.
        generator_optimizer: Adam, 1e-4.
        critic_optimizer: Adam, 1e-4, one for both critics.
        critic_updates: the critics' updates for one of the generator.
        adversarial: see `AdversarialSystem`.
    """

    def __init__(
        self,
        generator: VideoGenerator,
        heatmaps: Heatmaps,
        frame_critic: nn.Module | None = None,
        sequence_critic: nn.Module | None = None,
        diversity_weight: float = 1.0,
        penalty_weight: float = 10.0,
        generator_optimizer: OptimizerCallable = lambda p: torch.optim.Adam(p, lr=1e-4, betas=(0.0, 0.9)),
        critic_optimizer: OptimizerCallable = lambda p: torch.optim.Adam(p, lr=1e-4, betas=(0.0, 0.9)),
        critic_updates: int = 5,
        **adversarial: Any,
    ) -> None:
        critics = {"frame": frame_critic, "sequence": sequence_critic}
        super().__init__(
            generator,
            {name: critic for name, critic in critics.items() if critic is not None},
            generator_optimizer=generator_optimizer,
            critic_optimizer=critic_optimizer,
            critic_updates=critic_updates,
            **adversarial,
        )
        if heatmaps.size != generator.size:
            raise ValueError(
                f"Heatmaps and frames lie side by side before the critics, so their sizes must agree; got "
                f"{heatmaps.size} and {generator.size}."
            )
        self.heatmaps = heatmaps
        self.diversity_weight = diversity_weight
        self.penalty_weight = penalty_weight

    @property
    def network(self) -> VideoGenerator:
        """The generator, as what it is."""
        assert isinstance(self.generator, VideoGenerator)
        return self.generator

    def render(self, motion: KeypointClip, *, seeds: Int[Tensor, " batch"], chunk: int = 64) -> VideoClip:
        """The motion's keypoints with an appearance for each seed.

        At test time a frame depends on no other one, so `chunk` frames are drawn at a time: without gradients the
        memory for a clip of 600 frames is that for 64, but for the result. In training mode the statistics are a
        chunk's own.

        Raises:
            ValueError: if the motion has other keypoints than the generator.
        """
        if motion.keypoints.shape[-2] != self.network.joints:
            raise ValueError(
                f"This MotionToVideoGAN draws {self.network.joints} keypoints, the motion has "
                f"{motion.keypoints.shape[-2]}. Take the motion of a MotionGAN that learned the same joints."
            )
        code = normal(seeds, len(seeds), (self.network.code_size,), stream="appearance", device=motion.keypoints.device)
        maps = ((points, sure) for points, sure in zip(
            motion.keypoints.split(chunk, dim=1), motion.confidence.split(chunk, dim=1), strict=True
        ))  # fmt: skip
        frames = [self.generator(code, self._drawn(points, sure)) for points, sure in maps]
        return VideoClip(torch.cat(frames, dim=1).float(), motion.times)

    def draw(self, batch: Batch) -> "Videos":
        """A made clip for every real one, with the same motion."""
        clip = batch.clip
        if not isinstance(clip, KeypointClip):
            raise ValueError(
                f"MotionToVideoGAN needs the keypoints of its clips; this data has {type(clip).__name__}s. Choose data "
                "with keypoints (bouncing balls, say)."
            )
        size = (self.network.size, self.network.size)
        if clip.frames.shape[-2:] != size:
            raise ValueError(
                f"The generator draws frames of {size}, the data's are {tuple(clip.frames.shape[-2:])}. Set `size` of "
                "the data, or of the generator, the heatmaps and the critics."
            )
        maps = self._drawn(clip.keypoints, clip.confidence * batch.present[..., None])
        code = self._code(batch)
        shown = batch.present[:, :, None, None, None]
        return Videos(clip.frames * shown, self.generator(code, maps) * shown, maps, code, batch.present)

    def critic_losses(self, batch: Batch, fakes: "Videos") -> Losses:
        """WGAN-GP for each critic, of frames with heatmaps."""
        losses = {}
        for name, real, fake in self._judged(fakes):
            critic = self.critics[name]
            losses[name] = wasserstein_real(critic(real)) + wasserstein_fake(critic(fake))
            losses[f"{name}_penalty"] = self.penalty_weight * gradient_penalty(critic, real, fake)
        return losses

    def generator_losses(self, batch: Batch, fakes: "Videos") -> Losses:
        """Both critics' verdicts, and eq. 6: the same motion with another appearance must look different."""
        losses = {name: wasserstein_generator(self.critics[name](fake)) for name, _, fake in self._judged(fakes)}
        if self.diversity_weight:
            code = self._code(batch)
            other = self.generator(code, fakes.maps) * fakes.present[:, :, None, None, None]
            losses["diversity"] = self.diversity_weight * diversity_loss(fakes.code, code, fakes.fake, other)
        return losses

    def _judged(self, fakes: "Videos") -> list[tuple[str, Tensor, Tensor]]:
        real, fake = (torch.cat([frames, fakes.maps], dim=2) for frames in (fakes.real, fakes.fake))
        rows = torch.arange(len(real), device=real.device)
        views = []
        for name in self.critics:
            if name == "frame":
                moment = torch.randint(real.shape[1], (len(rows),), device=rows.device)
                views.append((name, real[rows, moment], fake[rows, moment]))
            else:
                views.append((name, real, fake))
        return views

    def _drawn(
        self, keypoints: Float[Tensor, "batch time joint 2"], confidence: Float[Tensor, "batch time joint"]
    ) -> Maps:
        return self.heatmaps(keypoints) * confidence[..., None, None]

    def _code(self, batch: Batch) -> Float[Tensor, "batch code"]:
        size = (self.network.code_size,)
        return normal(None, len(batch.ids), size, stream="appearance", device=batch.clip.times.device)


class Videos(NamedTuple):
    """Real and made frames, the heatmaps they share, and the code of the made ones; missing frames are grey in both."""

    real: Frames
    fake: Frames
    maps: Maps
    code: Float[Tensor, "batch code"]
    present: Tensor
