"""Vector fields: networks that a differential equation follows, the state in and its derivative out."""

from itertools import pairwise

from jaxtyping import Float
from torch import Tensor, nn


class ConvField(nn.Module):
    """Vid-ODE's derivative of a convolutional state: 3x3 convolutions with Tanh between, time not an input.

    The released code (and so the default sizes of our configs) narrows to `hidden` = `channels` / 2; the paper's Tables
    6 and 7 print `hidden` = `channels`.

    Args:
        channels: channels of the state and of its derivative.
        hidden: channels between.
        layers: number of hidden-to-hidden convolutions.
    """

    def __init__(self, channels: int, hidden: int, layers: int = 2) -> None:
        super().__init__()
        widths = [channels, *[hidden] * (layers + 1)]
        parts: list[nn.Module] = []
        for before, after in pairwise(widths):
            parts += [nn.Conv2d(before, after, 3, padding=1), nn.Tanh()]
        self.layers = nn.Sequential(*parts, nn.Conv2d(hidden, channels, 3, padding=1))

    def forward(
        self, state: Float[Tensor, "batch channel height width"]
    ) -> Float[Tensor, "batch channel height width"]:
        """The derivative of the state by model time."""
        return self.layers(state)
