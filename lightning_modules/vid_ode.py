"""Vid-ODE: continuous-time video generation with neural ordinary differential equations (Park et al., AAAI 2021)."""

from typing import Any, Literal, NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from lightning.pytorch.cli import LRSchedulerCallable, OptimizerCallable
from torch import Tensor, nn

from datamodules.clip import Batch, VideoClip, check_times
from lightning_modules.adversarial import AdversarialSystem
from lightning_modules.losses.adversarial import least_squares_fake, least_squares_generator, least_squares_real
from lightning_modules.losses.reconstruction import difference_error, frame_error
from lightning_modules.manual_optimization import Losses
from lightning_modules.networks.vid_ode import Start, VidODENetwork, start_index
from lightning_modules.networks.vid_ode_frames import Decoded
from lightning_modules.observed_clip import check_after_last, check_from_first, observed_clip
from lightning_modules.schedules import FlooredExponentialLR
from lightning_modules.shared_pass import shared_critic_losses
from lightning_modules.training_example import to_clip_range, to_loss_range, training_example

Frames = Float[Tensor, "batch time channel height width"]
Times = Float[Tensor, "batch time"]


class VidODE(AdversarialSystem):
    """Encode the observed frames, integrate the latent ODE, compose each frame of flow, difference and mask.

    Where paper and released code differ, the default follows the code, which made the published numbers; the paper's
    form is the other value of an argument here or of `VidODENetwork` and `ODEConvGRU`. Losses are computed in [0, 1].

    Args:
        generator: the network.
        image_critic: scores single frames (eq. 3); None leaves the term out (ablations A and B).
        sequence_critic: scores windows of frames, concatenated in channels: `observe` + 1 frames in extrapolation (eq.
            4), the whole clip in interpolation (eq. 8).
        training: `extrapolate` observes the first `observe` frames and predicts the rest; `interpolate` observes every
            frame and reconstructs the same ones, so that frames in between come from the ODE alone.
        observe: frames observed in extrapolation; in interpolation all are observed, and this is how many of them
            `benchmarks sample` uses at a time.
        decode_interval: step in seconds of the base grid on which predictions are decoded; other times are reached in
            one hop from the last base frame. None decodes along the target times themselves (code), as training always
            does.
        difference_weight: lambda_diff of eq. 7.
        image_weight: lambda_img of eq. 7.
        sequence_weight: lambda_seq of eq. 7.
        critic_weight: weight of the critics' own losses; 0.5 * 0.003 in the code, 1 in the paper's eqs 3 and 4.
        windows: in extrapolation, whether every future frame of the sequence critic's windows is `predicted` (code), or
            only the last (`teacher_forced`, eq. 4).
        pixels: `unit` maps [-1, 1] to [0, 1] for network and losses; `data` leaves the values as they are (climate).
        generator_optimizer: Adamax, 1e-3.
        critic_optimizer: Adamax, 1e-3, one for both critics.
        schedule: 0.99 per epoch with a floor of 0.1 (code; the paper names no floor).
        order: both gradients are taken before either player is updated: as the released code, but for its use of critic
            weights that were already updated.
        fakes: both players use the same fakes.
        adversarial: see `AdversarialSystem`.
    """

    stochastic = False

    def __init__(
        self,
        generator: VidODENetwork,
        image_critic: nn.Module | None = None,
        sequence_critic: nn.Module | None = None,
        training: Literal["extrapolate", "interpolate"] = "extrapolate",
        observe: int = 5,
        decode_interval: float | None = None,
        difference_weight: float = 1.0,
        image_weight: float = 0.003,
        sequence_weight: float = 0.003,
        critic_weight: float = 0.0015,
        windows: Literal["predicted", "teacher_forced"] = "predicted",
        pixels: Literal["unit", "data"] = "unit",
        generator_optimizer: OptimizerCallable = lambda parameters: torch.optim.Adamax(parameters, lr=1e-3),
        critic_optimizer: OptimizerCallable = lambda parameters: torch.optim.Adamax(parameters, lr=1e-3),
        schedule: LRSchedulerCallable | None = lambda optimizer: FlooredExponentialLR(optimizer),
        order: Literal["critic_first", "generator_first", "joint"] = "joint",
        fakes: Literal["fresh", "shared"] = "shared",
        **adversarial: Any,
    ) -> None:
        critics = {"image": image_critic, "sequence": sequence_critic}
        super().__init__(
            generator,
            {name: critic for name, critic in critics.items() if critic is not None},
            generator_optimizer=generator_optimizer,
            critic_optimizer=critic_optimizer,
            schedule=schedule,
            order=order,
            fakes=fakes,
            **adversarial,
        )
        self.mode = training
        self.start: Start = "last" if training == "extrapolate" else "first"
        self.observe = observe
        self.decode_interval = decode_interval
        self.difference_weight = difference_weight
        self.generator_weights = {"image": image_weight, "sequence": sequence_weight}
        self.critic_weight = critic_weight
        self.windows = windows
        self.pixels = pixels

    @property
    def function_evaluations(self) -> int:
        """Evaluations of the decoder's vector field in the last call."""
        return self.network.dynamics.function_evaluations

    @property
    def network(self) -> VidODENetwork:
        """The generator, with its own type."""
        assert isinstance(self.generator, VidODENetwork)
        return self.generator

    def predict(
        self,
        observed: VideoClip,
        times: Times,
        *,
        seeds: Int[Tensor, " batch"] | None = None,
        present: Bool[Tensor, "batch observed"] | None = None,
    ) -> VideoClip:
        """Frames at `times` after the last observed one; raises UserError at others (see `check_after_last`).

        The model is deterministic, so seeds have no effect.
        """
        return self._predict_from(observed, times, "last", present)

    def interpolate(
        self,
        observed: VideoClip,
        times: Times,
        *,
        seeds: Int[Tensor, " batch"] | None = None,
        present: Bool[Tensor, "batch observed"] | None = None,
    ) -> VideoClip:
        """Frames at `times` from the first observed one on; raises UserError at earlier ones.

        The model is deterministic, so seeds have no effect.
        """
        return self._predict_from(observed, times, "first", present)

    def decode(
        self, observed: VideoClip, times: Times, start: Start, present: Bool[Tensor, "batch observed"] | None = None
    ) -> Decoded:
        """Frames at `times` with the flow, difference and mask they were composed of (Fig. 3), in the losses' range."""
        observed, present = observed_clip(observed, present, type(self).__name__, self.network.frame_format)
        grid = None if self.decode_interval is None else self.decode_interval / self.seconds_per_unit
        check_times(observed.times, times)
        observed_times, target_times = self.model_time(observed.times), self.model_time(times)
        frames = to_loss_range(observed.frames, self.pixels)
        return self.generator(frames, observed_times, target_times, start=start, present=present, grid=grid)

    def generate_fakes(self, batch: Batch) -> "VidODEFakes":
        """Predicted (or reconstructed) frames with their real counterparts."""
        times = self.model_time(batch.clip.times)
        example = training_example(
            batch,
            times,
            mode=self.mode,
            observe=self.observe,
            pixels=self.pixels,
            model=type(self).__name__,
            frame_format=self.network.frame_format,
        )
        frames, observed_times, present, start = example.observed
        decoded = self.generator(frames, observed_times, example.target_times, start=start, present=present)
        differences = decoded.parts.get("differences")
        return VidODEFakes(
            decoded.frames, differences, frames, example.target, batch.present, example.known, example.observed_known
        )

    def critic_losses(self, batch: Batch, fakes: "VidODEFakes") -> Losses:
        """LSGAN for each critic, weighted (eqs 3, 4, 8; the code's factor is in `critic_weight`)."""
        return {
            name: self.critic_weight * (least_squares_real(critic(real)) + least_squares_fake(critic(fake)))
            for name, critic, real, fake in self._critic_inputs(fakes)
        }

    def generator_losses(self, batch: Batch, fakes: "VidODEFakes") -> Losses:
        """Eq. 7: reconstruction, differences, and both critics' losses."""
        critic_terms = {
            name: self.generator_weights[name] * least_squares_generator(critic(fake))
            for name, critic, _, fake in self._critic_inputs(fakes)
        }
        return self._reconstruction(fakes) | critic_terms

    def joint_losses(self, batch: Batch, fakes: "VidODEFakes") -> tuple[Losses, Losses]:
        """Both players' losses, with one pass of each critic over the fakes (see `shared_pass`)."""
        critic_terms, generator_terms = {}, self._reconstruction(fakes)
        for name, critic, real, fake in self._critic_inputs(fakes):
            critic_terms[name], generator_terms[name] = shared_critic_losses(
                critic,
                real,
                fake,
                real_loss=least_squares_real,
                fake_loss=least_squares_fake,
                generator_loss=least_squares_generator,
                critic_weight=self.critic_weight,
                generator_weight=self.generator_weights[name],
            )
        return critic_terms, generator_terms

    def _reconstruction(self, fakes: "VidODEFakes") -> Losses:
        losses = {"reconstruction": frame_error(fakes.predicted, fakes.target, fakes.known)}
        if fakes.differences is not None:
            rows = torch.arange(len(fakes.observed), device=fakes.observed.device)
            start = start_index(fakes.present[:, : fakes.observed.shape[1]], self.start)
            before_known = None if fakes.observed_known is None else fakes.observed_known[rows, start]
            error = difference_error(
                fakes.differences, fakes.target, fakes.observed[rows, start], fakes.known, before_known
            )
            losses["difference"] = self.difference_weight * error
        return losses

    def _critic_inputs(self, fakes: "VidODEFakes") -> list[tuple[str, nn.Module, Tensor, Tensor]]:
        """Each critic with its real and fake inputs, frames of a window concatenated in channels.

        Missing frames and pixels are the same in both, so that critics cannot tell real from fake by them.
        """
        predicted = fakes.predicted if fakes.known is None else torch.where(fakes.known, fakes.predicted, fakes.target)
        views = []
        for name, critic in self.critics.items():
            if name == "image":
                present = fakes.present[:, -fakes.target.shape[1] :]
                views.append((name, critic, fakes.target[present], predicted[present]))
            elif self.mode == "interpolate":
                # replacing a frame of a real clip by itself gives the same clip, so scoring it once gives the same mean
                views.append((name, critic, fakes.target.flatten(1, 2), one_replaced(fakes.target, predicted)))
            else:
                real = sliding_windows(fakes.observed, fakes.target, fakes.target)
                last_only = self.windows == "teacher_forced"
                fake = sliding_windows(fakes.observed, fakes.target if last_only else predicted, predicted)
                views.append((name, critic, real, fake))
        return views

    def _predict_from(
        self, observed: VideoClip, times: Times, start: Start, present: Bool[Tensor, "batch observed"] | None
    ) -> VideoClip:
        model = type(self).__name__
        observed, present = observed_clip(observed, present, model, self.network.frame_format)
        check = check_after_last if start == "last" else check_from_first
        check(times, observed.times, present, model)
        if not times.numel():
            return VideoClip(observed.frames.new_zeros(*times.shape, *observed.frames.shape[2:]), times)
        frames = self.decode(observed, times, start, present).frames
        return VideoClip(to_clip_range(frames, self.pixels), times)


class VidODEFakes(NamedTuple):
    """The generator's frames for a batch, with the real frames that the losses need."""

    predicted: Frames
    differences: Frames | None
    observed: Frames
    target: Frames
    present: Bool[Tensor, "batch time"]
    known: Bool[Tensor, "batch target 1 _ _"] | None
    observed_known: Bool[Tensor, "batch observed 1 _ _"] | None = None


def sliding_windows(observed: Frames, context: Frames, final: Frames) -> Float[Tensor, "windows channels height width"]:
    """For each future frame i, the `observed` + 1 frames that end with it, concatenated in channels.

    `context` gives the future frames before the last of a window, `final` the last one: predicted and predicted in the
    released code, real and predicted in eq. 4.
    """
    length = observed.shape[1]
    before = torch.cat([observed, context], dim=1)
    windows = [
        torch.cat([before[:, i : i + length], final[:, i : i + 1]], dim=1).flatten(1, 2) for i in range(final.shape[1])
    ]
    return torch.stack(windows, dim=1).flatten(0, 1)


def one_replaced(real: Frames, fake: Frames) -> Float[Tensor, "windows channels height width"]:
    """For each frame i, the real clip with that frame replaced by the fake one, concatenated in channels (eq. 8)."""
    count = real.shape[1]
    chosen = torch.eye(count, dtype=torch.bool, device=real.device)[None, :, :, None, None, None]
    return torch.where(chosen, fake[:, None], real[:, None]).flatten(2, 3).flatten(0, 1)
