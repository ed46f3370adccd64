"""MotionGAN: MODE-GAN's first stage (Kim et al., BMVC 2021), from noise to a motion at any times."""

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
    """Learn the distribution of motions: z_m -> P -> dynamics -> Q -> keypoints; critics see heatmaps (Section 3.1).

    With `LatentODE` it is the paper's model; with `MotionRNN` the RNN of Figs 5, 10 and 12.

    All joints have weight 1, whatever the data's confidence, as in the paper. `weight_by_confidence` multiplies the
    heatmaps of real and generated motions by it, so that critics cannot use it to tell them apart; but where confidence
    depends on the pose (people who bend down are harder to detect), generated motions are then biased towards poses
    that are detected well.

    Args:
        generator: the motion generator.
        heatmaps: how keypoints are rendered for the critics; None for trajectories, which the critics see as they are.
        frame_critic: scores one frame of each clip, chosen at random in every call.
        sequence_critic: scores whole clips.
        weight_by_confidence: weight joints by the data's `confidence`. Missing frames are left out in any case.
        adversarial: see `TwoCriticGAN`. The paper's first frame is at 1/16 and its last at 1 (`first_time` 0.0625 for
            clips of a second at 16 frames per second).
    """

    def __init__(
        self,
        generator: MotionGenerator,
        heatmaps: Heatmaps | None = None,
        frame_critic: nn.Module | None = None,
        sequence_critic: nn.Module | None = None,
        weight_by_confidence: bool = False,
        **adversarial: Any,
    ) -> None:
        super().__init__(generator, frame_critic, sequence_critic, **adversarial)
        self.heatmaps = heatmaps
        self.weight_by_confidence = weight_by_confidence
        self.sample_type = Trajectory if heatmaps is None else KeypointClip

    @property
    def network(self) -> MotionGenerator:
        """The generator, with its own type."""
        assert isinstance(self.generator, MotionGenerator)
        return self.generator

    @property
    def values(self) -> int:
        """How many values a motion has at each time: two for each keypoint."""
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
        """A motion for each seed, at any times that the dynamics supports, also negative ones; labels are ignored.

        Keypoints are returned as a KeypointClip whose frames have no channels.
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
        """A fake motion for every real one, at the same times, both as critic inputs."""
        real = self._seen(batch)
        code = self._code(len(real), real.device)
        values = self.generator(code, self.model_time(batch.clip.times))
        if self.heatmaps is None:
            return Motions(real, values * batch.present[..., None], code)
        keypoints = _pairs(values)
        if keypoints.shape[-2] != real.shape[2]:
            raise UserError(
                f"The generator makes {keypoints.shape[-2]} keypoints but the data have {real.shape[2]}; the readout's "
                f"last width must be {2 * real.shape[2]}."
            )
        return Motions(real, self.heatmaps(keypoints) * self._certainty(batch), code)

    def critic_inputs(self, fakes: "Motions") -> tuple[Tensor, Tensor]:
        """The motions themselves."""
        return fakes.real, fakes.fake

    def diversity(self, batch: Batch, fakes: "Motions") -> Scalar:
        """Eq. 3, between the initial values of these codes and of new ones."""
        other = self._code(len(fakes.code), fakes.code.device)
        starts = self.network.initial_value(fakes.code), self.network.initial_value(other)
        return diversity_loss(fakes.code, other, *starts)

    def _seen(self, batch: Batch) -> Tensor:
        """The real motion as critic input."""
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
                "keypoints (such as bouncing balls), or leave `heatmaps` out for trajectories."
            )
        return self.heatmaps(clip.keypoints) * self._certainty(batch)

    def _certainty(self, batch: Batch) -> Float[Tensor, "batch time joint 1 1"]:
        assert isinstance(batch.clip, KeypointClip)
        sure = batch.clip.confidence if self.weight_by_confidence else torch.ones_like(batch.clip.confidence)
        return (sure * batch.present[..., None])[..., None, None]

    def _code(self, batch: int, device: torch.device) -> Float[Tensor, "batch code"]:
        return normal(None, batch, (self.network.code_size,), stream="motion", device=device)


class Motions(NamedTuple):
    """Real and fake motions as critic inputs, heatmaps or states, and the codes of the fakes."""

    real: Float[Tensor, "batch time *shape"]
    fake: Float[Tensor, "batch time *shape"]
    code: Float[Tensor, "batch code"]


def _pairs(values: Values) -> Float[Tensor, "batch time joint 2"]:
    return values.unflatten(-1, (-1, 2))
