"""ODE2VAE (Yildiz et al., 2019): position and velocity, a Bayesian network as the force, the density along the path."""

from typing import Any, Literal, NamedTuple

import torch
from jaxtyping import Bool, Float
from lightning.pytorch.cli import LRSchedulerCallable, OptimizerCallable
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits, softplus

from datamodules.clip import Batch
from datamodules.errors import UserError
from lightning_modules.dynamics.ode import LatentODE
from lightning_modules.manual_optimization import Losses
from lightning_modules.networks.ode2vae_parts import (
    BayesianForce,
    DensityFlow,
    State,
    Values,
    normal_log_density,
    released_decoder,
    strided_encoder,
    widening_decoder,
)
from lightning_modules.noise import normal
from lightning_modules.observed_clip import FrameFormat
from lightning_modules.supervised import Frames, InterpolatingSystem, Seeds, Times, lowered, sides
from lightning_modules.training_example import ObservedFrames, TrainingExample


class ODE2VAE(InterpolatingSystem):
    """A second-order latent ODE as a variational autoencoder: ds/dt = v, dv/dt = f_W(s, v), frames decoded from s.

    The posterior of the position is from the first frame, that of the velocity from the first `amortised` frames,
    concatenated. Training samples weights W once for the batch and reconstructs every frame, observed or target,
    whatever the mode (published bound); predictions sample W and the start with each clip's seed, or use the means
    without seeds. The bound:
    log-likelihood, less log q(z_t) - log p(z_t) at every frame (d log q / dt = -tr df/dv), less beta KL(q(W), N(0, 1))
    with beta = 1 / (weights per latent dimension) as the public code has it, less `gamma` KL(q_ode(z_t), q_enc(z_t)).
    The trace is exact. Kernel size 5, batch norm and gamma are the public code's; `released` is its network and its
    bound.

    Args:
        channels: image channels.
        size: side of the image in pixels, or height and width.
        latent: length of the position and of the velocity; 25 in the published run.
        hidden: width of the force's hidden layers; 100.
        layers: hidden-to-hidden layers of the force; the public code has 1, but counts 2 in beta.
        amortised: frames that the velocity's posterior is from; 3.
        encoder_width: channels of the encoders' first convolution, doubled by each further one; 16.
        decoder_width: channels before the decoder's last convolution; 32.
        downs: how often the decoder doubles the image, and the encoders halve it; 3 for 4 to 32 px, 5 for 128 px.
        gamma: weight of the instant encoding term.
        deviation: initial standard deviation of the weights' posterior; its square is the published 1e-4.
        max_step: longest step of RK4 in model units: a fifth of the time between frames.
        likelihood: `bernoulli` for intensities in [0, 1] (published), `gaussian` with deviation `noise` for other data.
        noise: see `likelihood`.
        released: as in the public code the encoders halve once more and give log variances, the decoder starts from 8
            channels and has 5x5 kernels, beta counts one layer too many, and the instant term is log q at every
            frame, less log q_enc at all but the last `amortised`. False: the encoders end at the decoder's first size,
            deviations are softplus, and both parts of the instant term are over the same frames (the paper's KL).
        curriculum: whether training starts with the first max(T // 5, amortised + 1) of T frames, and reaches all.
        curriculum_updates: the update from which on whole clips are trained on, after an even growth; None: one frame
            more every two epochs, as the public code, which is 3 % of its 1,000 epochs. A training that ends by updates
            or seconds names it, a quarter of its length or less: else it may never see the frames that it is asked for.
        optimizer: Adam, 8e-4.
        schedule: 0.995 every 200 updates.
        schedule_interval: see `ManualOptimizationSystem`.
        supervised: see `SupervisedSystem`.
    """

    def __init__(
        self,
        channels: int = 1,
        size: int | tuple[int, int] = 32,
        latent: int = 25,
        hidden: int = 100,
        layers: int = 2,
        amortised: int = 3,
        encoder_width: int = 16,
        decoder_width: int = 32,
        downs: int = 3,
        gamma: float = 1.0,
        deviation: float = 0.01,
        max_step: float = 0.02,
        likelihood: Literal["bernoulli", "gaussian"] = "bernoulli",
        noise: float = 0.1,
        released: bool = False,
        curriculum: bool = True,
        curriculum_updates: int | None = None,
        optimizer: OptimizerCallable = lambda parameters: torch.optim.Adam(parameters, lr=8e-4),
        schedule: LRSchedulerCallable | None = lambda optimizer: torch.optim.lr_scheduler.StepLR(
            optimizer, step_size=200, gamma=0.995
        ),
        schedule_interval: Literal["epoch", "update"] = "update",
        **supervised: Any,
    ) -> None:
        if curriculum_updates is not None and not (curriculum and curriculum_updates >= 1):
            raise UserError(
                f"curriculum_updates is how long the curriculum lasts, at least 1; got {curriculum_updates} with "
                f"`curriculum: {str(curriculum).lower()}`. Set `curriculum: true`, or leave it out."
            )
        network = ODE2VAENetwork(
            channels, size, latent, BayesianForce(latent, hidden, layers, deviation), amortised, encoder_width,
            decoder_width, downs, max_step, released,
        )  # fmt: skip
        super().__init__(
            network, optimizer=optimizer, schedule=schedule, schedule_interval=schedule_interval, **supervised
        )
        self.latent = latent
        self.gamma = gamma
        self.likelihood = likelihood
        self.noise = noise
        self.released = released
        self.curriculum = curriculum
        self.curriculum_updates = curriculum_updates

    @property
    def function_evaluations(self) -> int:
        """Evaluations of the force in the last call."""
        return self.network.evaluations

    def predict_frames(self, observed: ObservedFrames, times: Times, seeds: Seeds | None) -> Frames:
        """Frames at `times`: start and weights sampled with each clip's seed, or their means without seeds."""
        network, count, device = self.network, len(times), times.device
        frames, at = network.first_frames(observed.frames, observed.times, observed.present)
        start = network.guess(frames[:, None])
        code, weights = start.mean[:, 0], network.force.mean[None]
        if seeds is not None:
            draw = normal(seeds, count, (2 * self.latent,), stream="start", device=device)
            code = code + start.deviation[:, 0] * draw
            draw = normal(seeds, count, (network.force.count,), stream="weights", device=device)
            weights = network.force.sample(draw)
        positions = network.flow(code, weights, times - at[:, None])[0].chunk(2, dim=-1)[0]
        generated = network.draw(positions)
        return generated.sigmoid() if self.likelihood == "bernoulli" else generated

    def training_length(self, frames: int) -> int:
        """How many of so many frames the curriculum trains on at this point of the training."""
        if not self.curriculum:
            return frames
        shortest = frames // 5
        if self.curriculum_updates is None:
            grown = self.current_epoch // 2
        else:
            grown = (frames - shortest) * self.generator_updates // self.curriculum_updates
        return max(min(frames, shortest + grown), min(self.network.amortised + 1, frames))

    def training_output(self, batch: Batch) -> "TrainingOutput":
        """Every frame of the batch (or of the curriculum's share), from one sample of start and weights."""
        example = self.training_example(batch)
        observed = example.observed
        frames, times, present = observed.frames, observed.times, observed.present
        known = example.known
        if self.mode == "extrapolate":
            frames, times = torch.cat([frames, example.target], dim=1), torch.cat([times, example.target_times], dim=1)
            present = batch.present
            known = None if known is None else _known(batch)
        length = self.training_length(frames.shape[1])
        example = TrainingExample(
            ObservedFrames(frames[:, :length], times[:, :length], present[:, :length], "first"),
            times[:, :length],
            frames[:, :length],
            None if known is None else known[:, :length],
        )
        return self.network.reconstruct(example)

    def losses(self, batch: Batch, output: "TrainingOutput") -> Losses:
        """Minus the terms of the bound, each a sum over a clip and a mean over clips."""
        target, known = output.example.target, output.example.known
        if self.likelihood == "bernoulli":
            error = binary_cross_entropy_with_logits(output.generated, target.clamp(0, 1), reduction="none")
        else:
            error = 0.5 * ((output.generated - target) / self.noise) ** 2
        error = error if known is None else error * known
        prior = normal_log_density(output.states, torch.zeros_like(output.states), torch.ones_like(output.states))
        guess = output.guess
        windows = guess.mean.shape[1]
        encoded = normal_log_density(output.states[:, :windows], guess.mean, guess.deviation)
        force = self.network.force
        instant = (output.density[:, :windows] - encoded).sum(dim=1)
        if self.released:
            instant = instant + output.density[:, windows:].sum(dim=1)
        return {
            "likelihood": error.flatten(1).sum(dim=1).mean(),
            "path": (output.density - prior).sum(dim=1).mean(),
            "instant": self.gamma * instant.mean(),
            "weights": self.latent / (force.deeper_count if self.released else force.count) * force.divergence(),
        }

    @property
    def network(self) -> "ODE2VAENetwork":
        """The generator, with its own type."""
        assert isinstance(self.generator, ODE2VAENetwork)
        return self.generator


class Guess(NamedTuple):
    """The approximate posterior of position and velocity, concatenated, at the first frame of each window."""

    mean: Float[Tensor, "batch window state"]
    deviation: Float[Tensor, "batch window state"]


class TrainingOutput(NamedTuple):
    """A reconstruction: logits (or values) of frames, states and their log density, and the encoders' posteriors."""

    example: TrainingExample
    generated: Float[Tensor, "batch time channel height width"]
    states: Float[Tensor, "batch time state"]
    density: Float[Tensor, "batch time"]
    guess: Guess


class ODE2VAENetwork(nn.Module):
    """Two encoders, the flow of (s, v, log density), a decoder; for the arguments see `ODE2VAE`."""

    def __init__(
        self,
        channels: int,
        size: int | tuple[int, int],
        latent: int,
        force: BayesianForce,
        amortised: int,
        encoder_width: int,
        decoder_width: int,
        downs: int,
        max_step: float,
        released: bool,
    ) -> None:
        super().__init__()
        self.frame_format = FrameFormat(channels, size=sides(size))
        halvings = downs + released
        smallest = lowered(size, halvings)
        self.force = force
        self.amortised = amortised
        self.max_step = max_step
        self.latent = latent
        self.evaluations = 0
        self.released = released
        self.position = strided_encoder(channels, encoder_width, halvings, smallest, 2 * latent)
        self.velocity = strided_encoder(channels * amortised, encoder_width, halvings, smallest, 2 * latent)
        make = released_decoder if released else widening_decoder
        self.decoder = make(latent, decoder_width, downs, lowered(size, downs), channels)

    def first_frames(
        self,
        frames: Float[Tensor, "batch observed channel height width"],
        times: Float[Tensor, "batch observed"],
        present: Bool[Tensor, "batch observed"],
    ) -> tuple[Float[Tensor, "batch taken channel height width"], Values]:
        """Each clip's first `amortised` present frames (the last one repeated, if fewer), and the first one's time.

        Raises:
            UserError: if a clip has no present frame.
        """
        there = present.sum(dim=1)
        if not bool((there > 0).all()):
            raise UserError("ODE2VAE starts from present frames; a clip of this batch has none. Drop it.")
        order = (~present).long().argsort(dim=1, stable=True)
        rows = torch.arange(len(frames), device=frames.device)[:, None]
        taken = torch.arange(self.amortised, device=frames.device)[None].minimum(there[:, None] - 1)
        chosen = order.gather(1, taken)
        return frames[rows, chosen], times[rows[:, 0], chosen[:, 0]]

    def guess(self, windows: Float[Tensor, "batch window frame channel height width"]) -> Guess:
        """Position from the first frame of each window, velocity from all of them."""
        count = windows.shape[:2]
        flat = windows.flatten(0, 1)
        place = self.position(flat[:, 0]).unflatten(0, count)
        speed = self.velocity(flat.flatten(1, 2)).unflatten(0, count)
        halves = [*place.chunk(2, dim=-1), *speed.chunk(2, dim=-1)]
        mean = torch.cat([halves[0], halves[2]], dim=-1)
        scale = torch.cat([halves[1], halves[3]], dim=-1)
        return Guess(mean, (0.5 * scale).exp() if self.released else softplus(scale) + 1e-4)

    def flow(
        self, start: State, weights: Float[Tensor, "draws weight"], times: Times
    ) -> tuple[Float[Tensor, "batch time state"], Float[Tensor, "batch time"]]:
        """States (s beside v) at `times` from the start at 0, and the change of their log density."""
        along = LatentODE(DensityFlow(self.force, weights), max_step=self.max_step)
        path = along(torch.cat([start, torch.zeros_like(start[:, :1])], dim=1), times)
        self.evaluations = along.function_evaluations
        return path[..., :-1], path[..., -1]

    def draw(self, positions: Float[Tensor, "batch time position"]) -> Frames:
        """Logits (or values) of frames at these positions."""
        return self.decoder(positions.flatten(0, 1)).unflatten(0, positions.shape[:2])

    def reconstruct(self, example: TrainingExample) -> TrainingOutput:
        """One sample of start and weights, its path and frames, and every window's posterior."""
        observed = example.observed
        frames, at = self.first_frames(observed.frames, observed.times, observed.present)
        whole = bool(observed.present.all())
        count = observed.frames.shape[1] - self.amortised + (not self.released) if whole else 1
        windows = torch.stack([observed.frames[:, k : k + self.amortised] for k in range(count)], dim=1)
        guess = self.guess(windows if whole else frames[:, None])
        start = guess.mean[:, 0] + guess.deviation[:, 0] * torch.randn_like(guess.mean[:, 0])
        weights = self.force.sample(torch.randn(1, self.force.count, device=start.device))
        states, growth = self.flow(start, weights, example.target_times - at[:, None])
        density = normal_log_density(start, guess.mean[:, 0], guess.deviation[:, 0])[:, None] + growth
        return TrainingOutput(example, self.draw(states[..., : self.latent]), states, density, guess)


def _known(batch: Batch) -> Bool[Tensor, "batch time 1 _ _"]:
    known = batch.present[:, :, None, None, None]
    return known if batch.valid is None else known & batch.valid
