"""Vector fields: the right-hand sides of differential equations, from the state to its derivative."""

from itertools import pairwise

from jaxtyping import Float
from torch import Tensor, nn

from lightning_modules.dynamics.base import check_order


class ConvField(nn.Module):
    """Vid-ODE's vector field of a convolutional state: 3x3 convolutions with tanh between; independent of time.

    The released code (and so the default sizes of our configs) narrows to `hidden` = `channels` / 2; the paper's Tables
    6 and 7 print `hidden` = `channels`.

    Args:
        channels: channels of the state and of its derivative.
        hidden: channels of the hidden layers.
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


class VectorField(nn.Module):
    """f of a vector state: one layer with tanh, or two with tanh between; independent of time.

    Args:
        size: of the state, and of the output.
        order: of the equation: the input has `order` times as many values, the state and its derivatives. Set 1 where
            `LatentODE` has `field_input: highest`.
        hidden: width of the hidden layer ("deep"); None: a single layer, whose output tanh bounds.
        hidden_bias: whether the first layer has a bias.
        last_bias: whether the second layer has a bias.
    """

    def __init__(
        self, size: int, order: int = 1, hidden: int | None = None, hidden_bias: bool = True, last_bias: bool = True
    ) -> None:
        super().__init__()
        check_order(order)
        first = nn.Linear(order * size, size if hidden is None else hidden, bias=hidden_bias)
        last = [] if hidden is None else [nn.Linear(hidden, size, bias=last_bias)]
        self.layers = nn.Sequential(first, nn.Tanh(), *last)

    def forward(self, jet: Float[Tensor, "batch jet"]) -> Float[Tensor, "batch state"]:
        """The highest derivative by model time."""
        return self.layers(jet)


class LeakyConvField(nn.Module):
    """f of TGANv2's convolutional state in the public code of latent NDEs: one 3x3 convolution and a leaky ReLU.

    Args:
        channels: of the state, and of the output.
        order: of the equation: the input has `order` times as many channels, the state and its derivatives.
        slope: of the ReLU below 0: 0.2 for the ODE, 0 (a plain ReLU) for the SDE's drift and diffusion.
    """

    def __init__(self, channels: int, order: int = 1, slope: float = 0.2) -> None:
        super().__init__()
        check_order(order)
        convolution = nn.Conv2d(order * channels, channels, 3, padding=1)
        nn.init.xavier_uniform_(convolution.weight, gain=2**0.5)
        self.layers = nn.Sequential(convolution, nn.LeakyReLU(slope))

    def forward(self, jet: Float[Tensor, "batch jet height width"]) -> Float[Tensor, "batch state height width"]:
        """The highest derivative by model time."""
        return self.layers(jet)


class JetEncoder(nn.Module):
    """From a vector code to the state and its derivatives at time 0: leaky ReLU layers, a linear layer per order.

    Args:
        size: of the code, and of the state.
        order: of the equation; at order 1 there is no linear layer per order.
        width: of the hidden layers; None: no layers with leaky ReLU.
        hidden: number of hidden layers.
    """

    def __init__(self, size: int, order: int = 1, width: int | None = None, hidden: int = 3) -> None:
        super().__init__()
        check_order(order)
        parts: list[nn.Module] = []
        if width is not None:
            for before, after in pairwise([size, *[width] * hidden, size]):
                parts += [nn.Linear(before, after), nn.LeakyReLU(0.2)]
        if order > 1:
            parts.append(nn.Linear(size, order * size))
        self.layers = nn.Sequential(*parts)

    def forward(self, code: Float[Tensor, "batch code"]) -> Float[Tensor, "batch jet"]:
        """The state and its derivatives at time 0, concatenated."""
        return self.layers(code)


class ConvJetEncoder(nn.Module):
    """From a convolutional code to the state and its derivatives at time 0: one 1x1 convolution per order.

    Args:
        channels: of the code, and of the state.
        order: of the equation.
    """

    def __init__(self, channels: int, order: int) -> None:
        super().__init__()
        check_order(order)
        self.layers = nn.Conv2d(channels, order * channels, 1)

    def forward(self, code: Float[Tensor, "batch code height width"]) -> Float[Tensor, "batch jet height width"]:
        """The state and its derivatives at time 0, concatenated."""
        return self.layers(code)
