"""Recurrent dynamics: states on a grid, each from the previous one; and a wrapper that interpolates between them."""

import torch
from torch import nn

from datamodules.errors import UserError
from lightning_modules.dynamics.base import Code, Dynamics, Seeds, States, Times, check_times, grid_steps
from lightning_modules.noise import normal_sequence


class Recurrent(Dynamics):
    """A recurrent cell whose input is its own state: `state[k + 1] = cell(state[k], state[k])`, `state[0] = code`.

    With a ConvGRU cell it is the decoder of Vid-RNN (Vid-ODE paper, Section 4.4).

    Args:
        cell: from an input and the state to the next state.
        interval: length of one step in units of model time; it supports no other times.
    """

    def __init__(self, cell: nn.Module, interval: float) -> None:
        super().__init__()
        if not interval > 0:
            raise UserError(f"interval must be positive; got {interval}.")
        self.cell = cell
        self.interval = interval

    def forward(self, code: Code, times: Times, *, seeds: Seeds | None = None) -> States:
        """The states at `times`, which must be multiples of the interval from 0 on."""
        steps = grid_steps(times, self.interval, "Recurrent")
        states = [code]
        for _ in range(int(steps.max())):
            states.append(self.cell(states[-1], states[-1]))
        rows = torch.arange(len(code), device=code.device)[:, None]
        return torch.stack(states, dim=1)[rows, steps]


class NoisyGRU(Dynamics):
    """MoCoGAN's motion: a GRU with new normal noise as its input for each frame (Tulyakov et al., 2018, Section 3.2).

    The code is the hidden state before the first frame; frame k's state is the one after k + 1 steps.

    Args:
        size: of the state, of the code and of a frame's noise.
        interval: length of one step in units of model time; it supports no other times.
    """

    def __init__(self, size: int, interval: float) -> None:
        super().__init__()
        if not interval > 0:
            raise UserError(f"interval must be positive; got {interval}.")
        self.cell = nn.GRUCell(size, size)
        self.interval = interval

    def forward(self, code: Code, times: Times, *, seeds: Seeds | None = None) -> States:
        """The states at `times`, which must be multiples of the interval from 0 on."""
        steps = grid_steps(times, self.interval, "NoisyGRU")
        length = int(steps.max()) + 1
        noise = normal_sequence(
            seeds, len(code), length, (self.cell.input_size,), stream="gru", device=code.device, dtype=code.dtype
        )
        state, states = code, []
        for fresh in noise.unbind(1):
            state = self.cell(fresh, state)
            states.append(state)
        rows = torch.arange(len(code), device=code.device)[:, None]
        return torch.stack(states, dim=1)[rows, steps]


class Interpolated(Dynamics):
    """States between the grid steps of a discrete dynamics, linearly interpolated between the two neighbours.

    Vid-RNN (Vid-ODE paper, Fig. 8) and MoCoGAN at a higher frame rate use it for times off their grid.

    Args:
        dynamics: a dynamics on a grid.
        interval: length of one grid step in units of model time.
    """

    def __init__(self, dynamics: Dynamics, interval: float) -> None:
        super().__init__()
        self.dynamics = dynamics
        self.interval = interval

    def forward(self, code: Code, times: Times, *, seeds: Seeds | None = None) -> States:
        """The states at any `times` from 0 on."""
        check_times(times, "Interpolated")
        if bool((times < -1e-4).any()):
            raise UserError(
                f"Interpolated supports times from 0 on; the first time is {times.min().item():.4g}. Use LatentODE "
                "for times before 0."
            )
        position = (times / self.interval).clamp(min=0)
        position = torch.where((position - position.round()).abs() < 1e-2, position.round(), position)
        last = int(position.max().ceil())
        grid = torch.arange(last + 1, device=times.device, dtype=times.dtype) * self.interval
        states = self.dynamics(code, grid.expand(len(times), -1), seeds=seeds)
        rows = torch.arange(len(code), device=code.device)[:, None]
        before, after = states[rows, position.floor().long()], states[rows, position.ceil().long()]
        weight = (position - position.floor()).reshape(*position.shape, *[1] * (states.ndim - 2))
        precise = torch.promote_types(states.dtype, weight.dtype)
        return torch.lerp(before.to(precise), after.to(precise), weight.to(precise))
