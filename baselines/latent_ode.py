"""Latent ODE (Rubanova et al., 2019) on frames, as Vid-ODE compares with it (Park et al., 2021, Tables 1 and 5)."""

import math
from typing import Any, Literal, NamedTuple

import torch
from jaxtyping import Float
from lightning.pytorch.cli import LRSchedulerCallable, OptimizerCallable
from torch import Tensor, nn

from datamodules.clip import Batch
from datamodules.errors import UserError
from lightning_modules.dynamics.mlp import MLP
from lightning_modules.dynamics.ode import LatentODE
from lightning_modules.manual_optimization import Losses
from lightning_modules.networks.vid_ode_parts import ConvDecoder, ConvEncoder
from lightning_modules.noise import normal
from lightning_modules.observed_clip import FrameFormat
from lightning_modules.schedules import FlooredExponentialLR
from lightning_modules.supervised import Frames, InterpolatingSystem, Seeds, Times, lowered, sides
from lightning_modules.training_example import ObservedFrames, TrainingExample

Vector = Float[Tensor, "batch vector"]
Input = Float[Tensor, "batch input"]


class FrameLatentODE(InterpolatingSystem):
    """A variational autoencoder of paths: an ODE-RNN encodes the frames backward in time, an ODE decodes z0.

    Latent ODE is a model of vectors; Vid-ODE's authors do not say how they applied it to frames. Here it is between
    Vid-ODE's encoder and decoder, each with a linear layer between map and vector. The rest follows the public code of
    Latent ODE, except for what docs/vid_ode.md lists: the state has a mean and a deviation, Euler steps between
    frames, z0 at the first frame through 100 tanh units, log-likelihood (deviation `noise`) and KL both as means over
    values, the bound over `samples` samples as a log-sum-exp, KL weight 0 for `warm_up` epochs, then 1 - 0.99^epochs.

    Args:
        channels: image channels.
        size: side of the image in pixels, or height and width.
        width: channels of the first convolution.
        downs: how often the image is halved.
        latent: length of z.
        state: length of the encoder's mean and of its deviation.
        hidden: width of the hidden layers of the vector fields and of the gates.
        encoder_step: longest Euler step of the encoder, in model units (public code: a fiftieth of the time range).
        max_step: longest step of the decoder's RK4, in model units (public code: dopri5).
        noise: deviation of a pixel's value, in the range of the losses.
        samples: number of samples of z0 in training.
        warm_up: epochs without the KL term.
        optimizer: Adamax, 1e-2.
        schedule: 0.999 per update with a floor of 0.1.
        schedule_interval: see `ManualOptimizationSystem`.
        supervised: see `SupervisedSystem`.
    """

    def __init__(
        self,
        channels: int = 3,
        size: int | tuple[int, int] = 128,
        width: int = 32,
        downs: int = 2,
        latent: int = 128,
        state: int = 128,
        hidden: int = 100,
        encoder_step: float = 0.02,
        max_step: float = 0.1,
        noise: float = 0.01,
        samples: int = 3,
        warm_up: int = 10,
        optimizer: OptimizerCallable = lambda parameters: torch.optim.Adamax(parameters, lr=1e-2),
        schedule: LRSchedulerCallable | None = lambda optimizer: FlooredExponentialLR(optimizer, decay=0.999),
        schedule_interval: Literal["epoch", "update"] = "update",
        **supervised: Any,
    ) -> None:
        if not (noise > 0 and samples >= 1):
            raise UserError(f"noise must be positive and samples at least 1; got noise {noise}, samples {samples}.")
        network = LatentODENetwork(channels, size, width, downs, latent, state, hidden, encoder_step, max_step)
        super().__init__(
            network, optimizer=optimizer, schedule=schedule, schedule_interval=schedule_interval, **supervised
        )
        self.latent = latent
        self.noise = noise
        self.samples = samples
        self.warm_up = warm_up

    @property
    def function_evaluations(self) -> int:
        """Evaluations of the decoder's vector field in the last call."""
        return self.network.dynamics.function_evaluations

    @property
    def kl_weight(self) -> float:
        """Weight of the KL term in the current epoch."""
        return 1 - 0.99 ** max(self.current_epoch - self.warm_up, 0)

    def predict_frames(self, observed: ObservedFrames, times: Times, seeds: Seeds | None) -> Frames:
        """Frames at `times` from a z0 sampled with each clip's seed; without seeds, from its mean."""
        guess = self.network.encode(observed)
        draw = 0.0 if seeds is None else normal(seeds, len(times), (self.latent,), stream="z0", device=times.device)
        return self.network.decode(guess.mean + guess.deviation * draw, guess.time, times)

    def training_output(self, batch: Batch) -> "TrainingOutput":
        """`samples` predictions for the batch's training example, each from its own z0."""
        example = self.training_example(batch)
        guess = self.network.encode(example.observed)
        codes = guess.mean + guess.deviation * torch.randn(self.samples, *guess.mean.shape, device=guess.mean.device)
        times = example.target_times.repeat(self.samples, 1)
        frames = self.network.decode(codes.flatten(0, 1), guess.time.repeat(self.samples), times)
        return TrainingOutput(example, guess, frames.unflatten(0, (self.samples, len(example.target_times))))

    def losses(self, batch: Batch, output: "TrainingOutput") -> Losses:
        """Minus the bound on the log-likelihood, log-sum-exp over the samples."""
        error = (output.frames - output.example.target) ** 2
        known = output.example.known
        if known is None:
            squares = error.flatten(1).mean(dim=1)
        else:
            weight = known.expand_as(error[0])
            squares = (error * weight).flatten(1).sum(dim=1) / weight.sum().clamp(min=1)
        likelihood = -0.5 * squares / self.noise**2 - math.log(self.noise) - 0.5 * math.log(2 * math.pi)
        divergence = normal_divergence(output.guess.mean, output.guess.deviation).mean()
        bound = torch.logsumexp(likelihood - self.kl_weight * divergence, dim=0) - math.log(self.samples)
        return {"bound": -bound}

    @property
    def network(self) -> "LatentODENetwork":
        """The generator, with its own type."""
        assert isinstance(self.generator, LatentODENetwork)
        return self.generator


class Guess(NamedTuple):
    """The approximate posterior of z0, and the model time of z0."""

    mean: Vector
    deviation: Vector
    time: Float[Tensor, " batch"]


class TrainingOutput(NamedTuple):
    """Predictions for a batch: the training example, the posterior, and the frames of each sample."""

    example: TrainingExample
    guess: Guess
    frames: Float[Tensor, "draw batch time channel height width"]


class LatentODENetwork(nn.Module):
    """Conv encoder, ODE-RNN, latent ODE, conv decoder; for the arguments see `FrameLatentODE`."""

    def __init__(
        self,
        channels: int,
        size: int | tuple[int, int],
        width: int,
        downs: int,
        latent: int,
        state: int,
        hidden: int,
        encoder_step: float,
        max_step: float,
    ) -> None:
        super().__init__()
        self.frame_format = FrameFormat(channels, size=sides(size))
        self.shape = (width * 2**downs, *lowered(size, downs))
        values = self.shape[0] * self.shape[1] * self.shape[2]
        self.image_encoder = ConvEncoder(channels, width, downs)
        self.flatten = nn.Linear(values, latent)
        self.cell = MeanDeviationGRU(latent, state, hidden)
        self.flow = LatentODE(MLP([state, hidden, hidden, state], "tanh"), solver="euler", max_step=encoder_step)
        self.head = MLP([2 * state, 100, 2 * latent], "tanh")
        self.dynamics = LatentODE(MLP([latent, hidden, hidden, latent], "tanh"), max_step=max_step)
        self.unflatten = nn.Linear(latent, values)
        self.image_decoder = ConvDecoder(self.shape[0], channels, downs)
        self.states = state

    def encode(self, observed: ObservedFrames) -> Guess:
        """The posterior of z0 given the frames, read from the last to the first; missing frames are skipped."""
        count, length = observed.times.shape
        vectors = self.flatten(self.image_encoder(observed.frames.flatten(0, 1)).flatten(1)).unflatten(
            0, (count, length)
        )
        precise = torch.promote_types(vectors.dtype, torch.float32)  # a state in bfloat16 would forget small steps
        mean = torch.zeros(count, self.states, device=vectors.device, dtype=precise)
        deviation = torch.zeros_like(mean)
        before = observed.times[:, -1]
        for index in reversed(range(length)):
            now = observed.times[:, index]
            mean = self.flow(mean, (now - before)[:, None])[:, 0]
            met = self.cell(vectors[:, index], mean, deviation)
            there = observed.present[:, index, None]
            mean, deviation = torch.where(there, met[0], mean), torch.where(there, met[1], deviation)
            before = now
        first = observed.time_of("first")
        mean = self.flow(mean, (first - before)[:, None])[:, 0]  # to the first present frame
        z, scale = self.head(torch.cat([mean, deviation], dim=1)).chunk(2, dim=1)
        return Guess(z, scale.abs(), first)

    def decode(self, code: Vector, time: Float[Tensor, " batch"], times: Times) -> Frames:
        """The frames at `times` on the path through `code` at `time`."""
        maps = self.unflatten(self.dynamics(code, times - time[:, None])).unflatten(-1, self.shape)
        return self.image_decoder(maps.flatten(0, 1)).unflatten(0, times.shape)


class MeanDeviationGRU(nn.Module):
    """Latent ODE's gated unit, whose state is a mean and a deviation: gates and candidate have one hidden layer."""

    def __init__(self, inputs: int, state: int, hidden: int) -> None:
        super().__init__()
        seen = 2 * state + inputs
        self.update = MLP([seen, hidden, state], "tanh")
        self.reset = MLP([seen, hidden, state], "tanh")
        self.candidate = MLP([seen, hidden, 2 * state], "tanh")

    def forward(self, x: Input, mean: Vector, deviation: Vector) -> tuple[Vector, Vector]:
        """The next mean and deviation; an update gate of 1 keeps the old."""
        seen = torch.cat([mean, deviation, x], dim=1)
        update, reset = self.update(seen).sigmoid(), self.reset(seen).sigmoid()
        candidate = self.candidate(torch.cat([mean * reset, deviation * reset, x], dim=1))
        # under autocast the gates and the candidate are in bfloat16
        update, (new, scale) = update.to(mean.dtype), candidate.to(mean.dtype).chunk(2, dim=1)
        return torch.lerp(new, mean, update), torch.lerp(scale.abs(), deviation, update).abs()


def normal_divergence(mean: Vector, deviation: Vector) -> Vector:
    """KL divergence of N(mean, deviation^2) from N(0, 1), for each value."""
    variance = deviation.clamp(min=1e-6) ** 2
    return 0.5 * (mean**2 + variance - 1 - variance.log())
