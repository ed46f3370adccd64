"""A gated recurrent unit whose gates are convolutions (Ballas et al., 2016)."""

import torch
from jaxtyping import Float
from torch import Tensor, nn

State = Float[Tensor, "batch channel height width"]


class ConvGRUCell(nn.Module):
    """h' = (1 - u) h + u tanh(conv[x, r h]), with reset gate r and update gate u from conv[x, h].

    Args:
        channels: channels of the input and of the state.
        kernel_size: side of the square kernels.
    """

    def __init__(self, channels: int, kernel_size: int = 3) -> None:
        super().__init__()
        self.gates = nn.Conv2d(2 * channels, 2 * channels, kernel_size, padding=kernel_size // 2)
        self.candidate = nn.Conv2d(2 * channels, channels, kernel_size, padding=kernel_size // 2)

    def forward(self, x: State, h: State) -> State:
        """The next state."""
        reset, update = self.gates(torch.cat([x, h], dim=1)).sigmoid().chunk(2, dim=1)
        candidate = self.candidate(torch.cat([x, reset * h], dim=1)).tanh()
        return torch.lerp(h, candidate, update)
