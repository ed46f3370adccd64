"""A gated recurrent unit whose gates are convolutions (Ballas et al., 2016)."""

import torch
from jaxtyping import Float
from torch import Tensor, nn

State = Float[Tensor, "batch channel height width"]
Input = Float[Tensor, "batch input height width"]


class ConvGRUCell(nn.Module):
    """h' = (1 - u) h + u tanh(conv[x, r h]), with reset gate r and update gate u from conv[x, h].

    Args:
        channels: channels of the state, and of the input unless `inputs` says otherwise.
        kernel_size: side of the square kernels.
        inputs: channels of the input.
    """

    def __init__(self, channels: int, kernel_size: int = 3, inputs: int | None = None) -> None:
        super().__init__()
        both = channels + (channels if inputs is None else inputs)
        self.gates = nn.Conv2d(both, 2 * channels, kernel_size, padding=kernel_size // 2)
        self.candidate = nn.Conv2d(both, channels, kernel_size, padding=kernel_size // 2)

    def forward(self, x: Input, h: State) -> State:
        """The next state."""
        reset, update = self.gates(torch.cat([x, h], dim=1)).sigmoid().chunk(2, dim=1)
        candidate = self.candidate(torch.cat([x, reset * h], dim=1)).tanh()
        # under autocast the convolutions answer in bfloat16; the state keeps its own precision
        return torch.lerp(h, candidate.to(h.dtype), update.to(h.dtype))
