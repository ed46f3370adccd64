"""MotionGAN: MODE-GAN's first stage (Kim et al., BMVC 2021), from a noise to a motion at any times."""

from typing import Any, NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from datamodules.clip import Batch, KeypointClip, Sample, Trajectory
from datamodules.errors import UserError
from lightning_modules.losses.diversity import diversity_loss
from lightning_modules.manual_optimization import Scalar
from lightning_modules.networks.heatmaps import Heatmaps
from lightning_modules.networks.mode_gan import MotionGenerator
from lightning_modules.noise import normal
from lightning_modules.two_critic_gan import TwoCriticGAN

Times = Float[Tensor, "batch time"]
Values = Float[Tensor, "batch time value"]


class MotionGAN(TwoCriticGAN):
    """Learn the distribution of motions: z_m -> P -> dynamics -> Q -> keypoints, judged as heatmaps (Section 3.1).

    With `LatentODE` it is the paper's; `MotionRNN` makes it the RNN of Figs 5, 10 and 12.

    Joints count whole, however unsure the data are of them, as in the paper. With `weight_by_confidence`
    their heatmaps are weighted by it, real and generated alike, so that no critic can tell them apart by it; but where
    confidence depends on the pose (people who bend down are harder to detect), generated motions are then pulled
    towards the poses that are detected well.

    Args:
        generator: the motion generator.
        heatmaps: how keypoints are drawn for the critics; None for trajectories, which are judged as they are.
        frame_critic: judges one moment of each clip, drawn anew each time.
        sequence_critic: judges whole clips.
        weight_by_confidence: by the data's `confidence`. Frames that are missing are left out anyway.
        judged: see `TwoCriticGAN`. The paper's first frame is at 1/16 and its last at 1 (`first_time` 0.0625 for clips
            of a second at 16 frames per second).
    """

    def __init__(
        self,
        generator: MotionGenerator,
        heatmaps: Heatmaps | None = None,
        frame_critic: nn.Module | None = None,
        sequence_critic: nn.Module | None = None,
        weight_by_confidence: bool = False,
        **judged: Any,
    ) -> None:
        super().__init__(generator, frame_critic, sequence_critic, **judged)
        self.heatmaps = heatmaps
        self.weight_by_confidence = weight_by_confidence
        self.sample_type = Trajectory if heatmaps is None else KeypointClip

    @property
    def network(self) -> MotionGenerator:
        """The generator, as what it is."""
        assert isinstance(self.generator, MotionGenerator)
        return self.generator

    @property
    def values(self) -> int:
        """How many numbers a moment of a motion has: two for each keypoint."""
        with torch.no_grad():
            code = torch.zeros(1, self.network.code_size, device=self.device)
            return int(self.generator(code, torch.zeros(1, 1, device=self.device)).shape[-1])

    @property
    def function_evaluations(self) -> int:
        """Evaluations of the vector field (or of the cell) in the last call."""
        return self.network.dynamics.function_evaluations

    def generate(
        self, times: Times, *, seeds: Int[Tensor, " batch"], labels: Int[Tensor, " batch"] | None = None
    ) -> Sample:
        """A motion for each seed, at any times that the dynamics knows, before 0 too; classes are not looked at.

        Keypoints come as a KeypointClip whose frames have no channels.
        """
        values = self.generator(self.code(seeds, times.device), self.model_time(times), seeds=seeds)
        if self.heatmaps is None:
            return Trajectory(values, times)
        keypoints = _pairs(values)
        frames = times.new_zeros(*times.shape, 0, self.heatmaps.size, self.heatmaps.size)
        return KeypointClip(frames, times, keypoints, torch.ones_like(keypoints[..., 0]))

    def code(
        self, seeds: Int[Tensor, " batch"], device: torch.device | str | None = None
    ) -> Float[Tensor, "batch code"]:
        """z_m of each seed."""
        return normal(seeds, len(seeds), (self.network.code_size,), stream="motion", device=device)

    def generate_fakes(self, batch: Batch) -> "Motions":
        """A made motion for every real one, at the same times, both as the critics see them."""
        real = self._seen(batch)
        code = self._code(len(real), real.device)
        values = self.generator(code, self.model_time(batch.clip.times))
        if self.heatmaps is None:
            return Motions(real, values * batch.present[..., None], code)
        keypoints = _pairs(values)
        if keypoints.shape[-2] != real.shape[2]:
            raise UserError(
                f"The generator draws {keypoints.shape[-2]} keypoints but the data have {real.shape[2]}; the readout's "
                f"last width must be {2 * real.shape[2]}."
            )
        return Motions(real, self.heatmaps(keypoints) * self._certainty(batch), code)

    def judged(self, fakes: "Motions") -> tuple[Tensor, Tensor]:
        """The motions themselves."""
        return fakes.real, fakes.fake

    def diversity(self, batch: Batch, fakes: "Motions") -> Scalar:
        """Eq. 3, between the initial values of these codes and of as many others."""
        other = self._code(len(fakes.code), fakes.code.device)
        starts = self.network.initial_value(fakes.code), self.network.initial_value(other)
        return diversity_loss(fakes.code, other, *starts)

    def _seen(self, batch: Batch) -> Tensor:
        """The real motion as the critics see it."""
        clip = batch.clip
        if self.heatmaps is None:
            if not isinstance(clip, Trajectory):
                raise UserError(
                    f"MotionGAN without `heatmaps` learns trajectories; this data has {type(clip).__name__}s. Set "
                    "`heatmaps` for keypoints, or choose other data."
                )
            return clip.values * batch.present[..., None]
        if not isinstance(clip, KeypointClip):
            raise UserError(
                f"MotionGAN with `heatmaps` learns keypoints; this data has {type(clip).__name__}s. Choose data with "
                "keypoints (bouncing balls, say), or leave `heatmaps` out for trajectories."
            )
        return self.heatmaps(clip.keypoints) * self._certainty(batch)

    def _certainty(self, batch: Batch) -> Float[Tensor, "batch time joint 1 1"]:
        assert isinstance(batch.clip, KeypointClip)
        sure = batch.clip.confidence if self.weight_by_confidence else torch.ones_like(batch.clip.confidence)
        return (sure * batch.present[..., None])[..., None, None]

    def _code(self, batch: int, device: torch.device) -> Float[Tensor, "batch code"]:
        return normal(None, batch, (self.network.code_size,), stream="motion", device=device)


class Motions(NamedTuple):
    """Real and made motion as the critics see them, heatmaps or states, and the code of the made one."""

    real: Float[Tensor, "batch time *shape"]
    fake: Float[Tensor, "batch time *shape"]
    code: Float[Tensor, "batch code"]


def _pairs(values: Values) -> Float[Tensor, "batch time joint 2"]:
    return values.unflatten(-1, (-1, 2))
