"""Fully connected networks: what MODE-GAN's P, f and Q are made of."""

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Literal

from jaxtyping import Float
from torch import Tensor, nn

from datamodules.errors import UserError

Activation = Literal["relu", "leaky_relu", "tanh"]
_LAYERS: dict[str, Callable[[], nn.Module]] = {
    "relu": nn.ReLU,
    "leaky_relu": lambda: nn.LeakyReLU(0.2),
    "tanh": nn.Tanh,
}


class MLP(nn.Module):
    """Linear layers with an activation between them and none at the end.

    Args:
        widths: of the input, of every layer between and of the output.
        activation: between the layers; `leaky_relu` has slope 0.2.
        even: begin with signals that keep their size from layer to layer (He et al., 2015, eqs 10 and 15) and without
            biases. As PyTorch begins, every layer with a ReLU leaves 0.4 of them: what differs between the codes of P's
            four layers is then a 30th of what it was, and a short training begins with one motion for all codes.
    """

    def __init__(self, widths: Sequence[int], activation: Activation = "relu", even: bool = False) -> None:
        super().__init__()
        if len(widths) < 2 or min(widths) < 1:
            raise UserError(f"An MLP needs at least two positive widths, input and output; got {list(widths)}.")
        self.widths = tuple(widths)
        layers: list[nn.Module] = []
        for before, after in pairwise(widths):
            layers += [nn.Linear(before, after), _LAYERS[activation]()]
        self.layers = nn.Sequential(*layers[:-1])
        if even:
            *between, last = (layer for layer in layers if isinstance(layer, nn.Linear))
            for layer in between:
                nn.init.kaiming_normal_(layer.weight, a=0.2, nonlinearity=activation)
            nn.init.kaiming_normal_(last.weight, nonlinearity="linear")
            for layer in (*between, last):
                nn.init.zeros_(layer.bias)

    def forward(self, inputs: Float[Tensor, "*batch inputs"]) -> Float[Tensor, "*batch outputs"]:
        """The last axis goes through the layers."""
        return self.layers(inputs)
