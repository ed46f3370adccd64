"""MODE-GAN's critics (Tables 3 and 5): of single frames and of sequences, for images and for states."""

import math

from jaxtyping import Float
from torch import Tensor, nn

from datamodules.errors import UserError
from lightning_modules.dynamics.mlp import MLP
from lightning_modules.networks.convolutions import Conv3d

Scores = Float[Tensor, " batch"]


class FrameCritic(nn.Module):
    """Scores single frames: 4x4 convolutions of stride 2 down to 4x4, one over that whole map, one to a scalar.

    At 64 pixels this is D_fr of Table 3 (`width` 32) and of Table 5 (`width` 64, channels 3 + K). The kernel size is
    our choice, the smallest that gives the tables' shapes. No normalisation: WGAN-GP penalises each sample separately.

    Args:
        channels: of a frame.
        width: channels of the first convolution, doubled by each further one.
        size: side of the frames, a power of two from 8 on.
    """

    def __init__(self, channels: int, width: int = 32, size: int = 64) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        before = channels
        for after in _widths(width, size):
            layers += [nn.Conv2d(before, after, 4, stride=2, padding=1), nn.LeakyReLU(0.2)]
            before = after
        self.layers = nn.Sequential(
            *layers, nn.Conv2d(before, before, 4), nn.LeakyReLU(0.2), nn.Conv2d(before, 1, 1), nn.Flatten(0)
        )

    def forward(self, frames: Float[Tensor, "batch channel height width"]) -> Scores:
        """The higher the score, the more real."""
        return self.layers(frames)


class SequenceCritic(nn.Module):
    """Scores sequences: convolutions over space and over time in turn, each of stride 2 (D_sq of Tables 3 and 5).

    A temporal convolution acts on each pixel separately and keeps the channels. The time axis left at the end (T / 16
    at 64 pixels, so one step at the paper's 16 frames) is averaged.

    Args:
        channels: of a frame.
        width: channels of the first convolution, doubled by each further spatial one.
        size: side of the frames, a power of two from 8 on.
    """

    def __init__(self, channels: int, width: int = 32, size: int = 64) -> None:
        super().__init__()
        widths = _widths(width, size)
        layers: list[nn.Module] = []
        before = channels
        for after in widths:
            layers += [
                Conv3d(before, after, (1, 4, 4), stride=(1, 2, 2), padding=(0, 1, 1)),
                nn.LeakyReLU(0.2),
                Conv3d(after, after, (4, 1, 1), stride=(2, 1, 1), padding=(1, 0, 0)),
                nn.LeakyReLU(0.2),
            ]
            before = after
        self.layers = nn.Sequential(
            *layers, Conv3d(before, before, (1, 4, 4)), nn.LeakyReLU(0.2), Conv3d(before, 1, 1), nn.Flatten(1)
        )
        self.factor = 2 ** len(widths)

    def forward(self, frames: Float[Tensor, "batch time channel height width"]) -> Scores:
        """The higher the score, the more real."""
        _check_length(frames.shape[1], self.factor)
        return self.layers(frames.transpose(1, 2)).mean(dim=1)


class StateCritic(nn.Module):
    """Scores single states of a trajectory: the frame critic of the pendulum, which has no images.

    The paper gives no critics for it; this is an MLP with two hidden layers.
    """

    def __init__(self, dim: int, width: int = 128) -> None:
        super().__init__()
        self.layers = MLP([dim, width, width, 1], "leaky_relu")

    def forward(self, states: Float[Tensor, "batch dim"]) -> Scores:
        """The higher the score, the more real."""
        return self.layers(states)[:, 0]


class TrajectoryCritic(nn.Module):
    """Scores trajectories: three convolutions of stride 2 over time and one to a scalar, averaged over time."""

    factor = 8

    def __init__(self, dim: int, width: int = 64) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        before = dim
        for after in (width, 2 * width, 4 * width):
            layers += [nn.Conv1d(before, after, 4, stride=2, padding=1), nn.LeakyReLU(0.2)]
            before = after
        self.layers = nn.Sequential(*layers, nn.Conv1d(before, 1, 1), nn.Flatten(1))

    def forward(self, states: Float[Tensor, "batch time dim"]) -> Scores:
        """The higher the score, the more real."""
        _check_length(states.shape[1], self.factor)
        return self.layers(states.transpose(1, 2)).mean(dim=1)


def _widths(width: int, size: int) -> list[int]:
    if size < 8 or size & (size - 1):
        raise UserError(f"The critics halve frames down to 4x4: `size` must be a power of two from 8 on; got {size}.")
    return [width * 2**index for index in range(int(math.log2(size)) - 2)]


def _check_length(length: int, factor: int) -> None:
    if length % factor:
        raise UserError(
            f"This critic reduces time by a factor of {factor}, so a clip's length must be a multiple of "
            f"{factor}; got {length}. Sample {max(factor, length - length % factor)} frames."
        )
