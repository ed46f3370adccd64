"""The parts of ODE2VAE (Yildiz et al., 2019): a Bayesian force, the flow with its density, encoders and decoders."""

import math
from itertools import pairwise

import torch
from jaxtyping import Float
from torch import Tensor, nn

State = Float[Tensor, "batch state"]
Force = Float[Tensor, "batch force"]
Values = Float[Tensor, " batch"]


class BayesianForce(nn.Module):
    """f_W(s, v): ReLU layers whose weights are Gaussian, each with its own mean, all with one variance.

    Args:
        latent: length of s, of v and of the answer.
        hidden: width of the layers between.
        layers: hidden-to-hidden layers.
        deviation: of every weight, at the start.
    """

    def __init__(self, latent: int, hidden: int, layers: int, deviation: float) -> None:
        super().__init__()
        widths = [2 * latent, *[hidden] * (layers + 1), latent]
        self.shapes = [(after, before) for before, after in pairwise(widths)]
        self.latent = latent
        parts = []
        for after, before in self.shapes:
            bound = math.sqrt(6 / (before + after))
            parts += [(2 * torch.rand(after * before) - 1) * bound, torch.zeros(after)]
        self.mean = nn.Parameter(torch.cat(parts))
        self.log_variance = nn.Parameter(torch.tensor(2 * math.log(deviation)))

    @property
    def count(self) -> int:
        """Number of weights."""
        return self.mean.numel()

    @property
    def deeper_count(self) -> int:
        """Number of weights with one more hidden layer."""
        hidden = self.shapes[0][0]
        return self.count + hidden * (hidden + 1)

    def sample(self, draw: Float[Tensor, "draws weight"]) -> Float[Tensor, "draws weight"]:
        """Weights from standard normal noise, one row each."""
        return self.mean + (0.5 * self.log_variance).exp() * draw

    def divergence(self) -> Float[Tensor, ""]:
        """KL divergence of the weights' posterior from N(0, 1), summed over the weights."""
        variance = self.log_variance.exp()
        return 0.5 * (self.mean.square().sum() + self.count * (variance - 1 - self.log_variance))

    def forward(self, state: State, weights: Float[Tensor, "draws weight"]) -> tuple[Force, Values]:
        """The acceleration at (s, v), and its exact divergence by v; `weights` has a row per clip, or one for all."""
        (matrix, bias), *others = self._layers(weights)
        value = matrix @ state[:, :, None] + bias
        tangent = matrix[:, :, self.latent :].expand(len(state), -1, -1)  # the derivative of the layer's values by v
        for matrix, bias in others:
            slope = (value > 0).to(value.dtype)
            tangent = matrix @ (slope * tangent)
            value = matrix @ value.relu() + bias
        return value[:, :, 0], tangent.diagonal(dim1=1, dim2=2).sum(dim=1)

    def _layers(self, weights: Float[Tensor, "draws weight"]) -> list[tuple[Tensor, Tensor]]:
        parts = iter(
            weights.split([length for after, before in self.shapes for length in (after * before, after)], dim=1)
        )
        return [(next(parts).unflatten(1, shape), next(parts)[:, :, None]) for shape in self.shapes]


class DensityFlow(nn.Module):
    """d(s, v, log q) = (v, f_W(s, v), -tr df/dv), for fixed weights."""

    def __init__(self, force: BayesianForce, weights: Float[Tensor, "draws weight"]) -> None:
        super().__init__()
        self.force = force
        self.weights = weights

    def forward(self, state: State) -> State:
        """The derivative of position, velocity and log density, concatenated."""
        latent = self.force.latent
        acceleration, trace = self.force(state[:, : 2 * latent], self.weights)
        return torch.cat([state[:, latent : 2 * latent], acceleration, -trace[:, None]], dim=1)


def strided_encoder(channels: int, width: int, downs: int, low: tuple[int, int], outputs: int) -> nn.Sequential:
    """Convolutions that halve the image `downs` times, to `low`, and a linear layer to `outputs` values."""
    layers: list[nn.Module] = []
    before = channels
    for number in range(downs):
        after = width * 2**number
        layers += [nn.Conv2d(before, after, 5, stride=2, padding=2), nn.BatchNorm2d(after), nn.ReLU()]
        before = after
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(before * low[0] * low[1], outputs))


def widening_decoder(latent: int, width: int, downs: int, low: tuple[int, int], channels: int) -> nn.Sequential:
    """From a vector to an image of `downs` times the size `low`, the paper's: kernels of 4."""
    widest = width * 2 ** (downs - 1)
    layers: list[nn.Module] = [nn.Linear(latent, widest * low[0] * low[1]), nn.Unflatten(1, (widest, *low))]
    layers += [nn.BatchNorm2d(widest), nn.ReLU()]
    for before, after in pairwise([widest // 2**number for number in range(downs)] + [width]):
        layers += [nn.ConvTranspose2d(before, after, 4, stride=2, padding=1), nn.BatchNorm2d(after), nn.ReLU()]
    return nn.Sequential(*layers, nn.Conv2d(width, channels, 5, padding=2))


def released_decoder(latent: int, width: int, downs: int, low: tuple[int, int], channels: int) -> nn.Sequential:
    """The public code's decoder: from 8 channels, with kernels of 5."""
    layers: list[nn.Module] = [nn.Linear(latent, 8 * low[0] * low[1]), nn.Unflatten(1, (8, *low))]
    for before, after in pairwise([8] + [width * 2**number for number in reversed(range(downs))]):
        double = nn.ConvTranspose2d(before, after, 5, stride=2, padding=2, output_padding=1)
        layers += [double, nn.BatchNorm2d(after), nn.ReLU()]
    return nn.Sequential(*layers, nn.ConvTranspose2d(width, channels, 5, padding=2))


def normal_log_density(
    value: Float[Tensor, "*shape state"], mean: Float[Tensor, "*shape state"], deviation: Float[Tensor, "*shape state"]
) -> Float[Tensor, "*shape"]:
    """Log density of a Gaussian with independent values, summed over the last axis."""
    standard = (value - mean) / deviation
    return (-0.5 * standard**2 - deviation.log() - 0.5 * math.log(2 * math.pi)).sum(dim=-1)
