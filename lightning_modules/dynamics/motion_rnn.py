"""A GRU with noise as its input: the discrete motion generator that neural ODEs are compared with."""

import torch
from torch import nn

from datamodules.errors import UserError
from lightning_modules.dynamics.base import Code, Dynamics, Seeds, States, Times, grid_steps
from lightning_modules.noise import normal_sequence


class MotionRNN(Dynamics):
    """`h[k] = GRU(noise[k], h[k - 1])`, `h[0] = initial(code)` (MODE-GAN, Figs 5, 10 and 12; the cell is our choice).

    Unlike in `NoisyGRU` (MoCoGAN's), time 0 is before the first step, where the state is P of the code, as an ODE's is.

    Args:
        size: of the state and of the noise.
        initial: from the code to h[0]; None is the identity.
        interval: length of one step in units of model time; it supports no other times.
    """

    def __init__(self, size: int, initial: nn.Module | None = None, interval: float = 1 / 16) -> None:
        super().__init__()
        if not interval > 0:
            raise UserError(f"interval must be positive; got {interval}.")
        self.cell = nn.GRUCell(size, size)
        self.initial = initial if initial is not None else nn.Identity()
        self.interval = interval
        self._evaluations = 0

    @property
    def function_evaluations(self) -> int:
        """How often the cell ran in the last call."""
        return self._evaluations

    def forward(self, code: Code, times: Times, *, seeds: Seeds | None = None) -> States:
        """The states at `times`, which must be multiples of the interval from 0 on."""
        steps = grid_steps(times, self.interval, "MotionRNN")
        states = [self.initial(code)]
        self._evaluations = int(steps.max())
        if self._evaluations:
            size = self.cell.input_size
            noise = normal_sequence(
                seeds, len(code), self._evaluations, (size,), stream="motion step", device=code.device
            )
            for step in noise.unbind(1):
                states.append(self.cell(step, states[-1]))
        rows = torch.arange(len(code), device=code.device)[:, None]
        return torch.stack(states, dim=1)[rows, steps]
