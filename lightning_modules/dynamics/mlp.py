"""Fully connected networks, such as MODE-GAN's P, f and Q."""

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
        widths: of the input, of every hidden layer and of the output.
        activation: between the layers; `leaky_relu` has slope 0.2.
        even: initialise so that signals keep their scale from layer to layer (He et al., 2015, eqs 10 and 15), with
            zero biases. With PyTorch's initialisation every layer with a ReLU scales them by 0.4: after P's four layers
            the differences between codes are a 30th as large, and all codes start with almost the same motion.
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
        """The layers applied to the last axis."""
        return self.layers(inputs)
