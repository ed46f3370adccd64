"""Discrete dynamics made of convolutions: TGAN's deconvolutions over time, TGANv2's convolutional LSTM."""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from datamodules.errors import UserError
from lightning_modules.dynamics.base import Code, Dynamics, Seeds, States, Times, grid_steps


class Deconvolution1d(Dynamics):
    """TGAN's temporal generator: the code as a sequence of length 1, doubled to 16 (Saito et al., 2017).

    Kernel 1 to 4 `width`, then three doublings to 2, 1 and 1 times `width`, and one more to the state, with batch norm
    and ReLU between and tanh at the end (Table 1).

    Args:
        code: size of the code.
        size: of a state.
        width: channels of the narrowest hidden layer.
        interval: length of one step of the grid in units of model time.
    """

    frames = 16
    """How many states it computes, whatever the target times."""

    def __init__(self, code: int = 100, size: int = 100, width: int = 128, interval: float = 1 / 15) -> None:
        super().__init__()
        if not interval > 0:
            raise UserError(f"interval must be positive; got {interval}.")
        self.interval = interval
        parts: list[nn.Module] = [nn.ConvTranspose1d(code, 4 * width, 1)]
        before = 4 * width
        for after in (2 * width, width, width, size):
            parts += [nn.BatchNorm1d(before), nn.ReLU(), nn.ConvTranspose1d(before, after, 4, stride=2, padding=1)]
            before = after
        self.layers = nn.Sequential(*parts, nn.Tanh())

    def forward(self, code: Code, times: Times, *, seeds: Seeds | None = None) -> States:
        """The states at `times`, multiples 0 to 15 of the interval; it is deterministic."""
        steps = grid_steps(times, self.interval, "Deconvolution1d", self.frames - 1)
        states = self.layers(code[:, :, None]).transpose(1, 2)
        return states[torch.arange(len(code), device=code.device)[:, None], steps]


class ConvLSTM(Dynamics):
    """TGANv2's temporal generator: a convolutional LSTM whose inputs are the code, then zeros (Saito et al., 2020).

    Zero initial state, no peepholes, gates in the order input, forget, output, candidate (public code). Frame k's state
    is the hidden state after k + 1 steps.

    Args:
        channels: of the code and of the state.
        interval: length of one step of the grid in units of model time.
    """

    def __init__(self, channels: int = 1024, interval: float = 1 / 15) -> None:
        super().__init__()
        if not interval > 0:
            raise UserError(f"interval must be positive; got {interval}.")
        self.interval = interval
        self.of_input = nn.Conv2d(channels, 4 * channels, 3, padding=1)
        self.of_state = nn.Conv2d(channels, 4 * channels, 3, padding=1, bias=False)

    def forward(self, code: Code, times: Times, *, seeds: Seeds | None = None) -> States:
        """The states at `times`, which must be multiples of the interval from 0 on; it is deterministic."""
        steps = grid_steps(times, self.interval, "ConvLSTM")
        hidden, memory = self._step(self.of_input(code), torch.zeros_like(code))
        states = [hidden]
        bias = self.of_input.bias
        assert bias is not None
        for _ in range(int(steps.max())):
            # the convolution of zeros is its bias
            hidden, memory = self._step(self.of_state(hidden) + bias[:, None, None], memory)
            states.append(hidden)
        return torch.stack(states, dim=1)[torch.arange(len(code), device=code.device)[:, None], steps]

    def _step(
        self, gates: Float[Tensor, "batch gate height width"], memory: Float[Tensor, "batch channel height width"]
    ) -> tuple[Tensor, Tensor]:
        admit, keep, show, candidate = gates.chunk(4, dim=1)
        memory = keep.sigmoid() * memory + admit.sigmoid() * candidate.tanh()
        return show.sigmoid() * memory.tanh(), memory
