"""Neural stochastic differential equations (Tzen and Raginsky, 2019) as dynamics: one Brownian path per clip."""

import torch
from torch import nn

from datamodules.errors import UserError
from lightning_modules.dynamics.base import Code, Dynamics, Seeds, States, Times, check_times
from lightning_modules.dynamics.brownian import DEPTH, BrownianPaths

ROUNDING = 5e-6
"""Largest relative distance of a time from a grid time to count as it: a step written with six digits (0.0333333 for
1 / 30) is off by no more, and its error adds up along the grid."""


class LatentSDE(Dynamics):
    """dz = drift(z) dt + diffusion(z) dW in the sense of Ito, with diagonal noise and z(0) = initial(code).

    The Euler-Maruyama method on the grid of multiples of `step` from 0 on, whatever the target times; a time between
    grid times is reached in one shorter step from the grid time before it. So a clip's states depend on its own times
    and seed alone: a higher frame rate samples the same path at more times. Times are resolved to `step` / 1,024; a
    time that differs from a grid time by the rounding of `step` counts as that time (`ROUNDING`).

    Args:
        drift: from the state to its drift by model time.
        diffusion: from the state to the standard deviation of each entry per square root of model time.
        initial: from the code to the state at time 0; None is the identity.
        step: of the grid, in units of model time; 0.025 is that of latent neural differential equations' public code.
    """

    def __init__(self, drift: nn.Module, diffusion: nn.Module, initial: nn.Module | None = None, step: float = 0.025):
        super().__init__()
        if not step > 0:
            raise UserError(f"step must be positive; got {step}.")
        self.drift = drift
        self.diffusion = diffusion
        self.initial = initial if initial is not None else nn.Identity()
        self.step = step
        self._evaluations = 0

    @property
    def function_evaluations(self) -> int:
        """How often drift and diffusion were evaluated in the last call, for the whole batch."""
        return self._evaluations

    def forward(self, code: Code, times: Times, *, seeds: Seeds | None = None) -> States:
        """The states at `times` from 0 on.

        Raises:
            UserError: if there are no times, or one is not finite or negative. An Ito path cannot be
                integrated backwards: its integrand must not depend on the future.
        """
        check_times(times, "LatentSDE")
        position = times.double() / self.step
        nearest = position.round()
        on_grid = (position - nearest).abs() <= ROUNDING * nearest
        ticks = (torch.where(on_grid, nearest, position) * 2**DEPTH).round().long()
        if bool((ticks < 0).any()):
            raise UserError(
                f"LatentSDE supports times from 0 on: an Ito path cannot be integrated backwards; the first time is "
                f"{times.min().item():.4g}. Use LatentODE for times before 0."
            )
        with torch.autocast(code.device.type, enabled=False):
            precise = torch.promote_types(code.dtype, torch.float32)
            state = self.initial(code.to(precise))
            paths = BrownianPaths(seeds, len(state), state.shape[1:], self.step, state.device, precise)
            index, rest = ticks >> DEPTH, ticks & (2**DEPTH - 1)
            last = int(index.max())
            increments = paths.increments(last + int(bool((rest > 0).any())))
            grid = [state]
            for noise in increments.unbind(1)[:last]:
                state = state + self.step * self.drift(state) + self.diffusion(state) * noise
                grid.append(state)
            self._evaluations = last
            rows = torch.arange(len(code), device=code.device)[:, None]
            states = torch.stack(grid, dim=1)[rows, index]
            clips, places = torch.nonzero(rest, as_tuple=True)
            if len(clips):
                start, left = states[clips, places], rest[clips, places]
                within = index[clips, places]
                noise = paths.within(clips, within, left, increments[clips, within])
                span = (left.to(precise) * (self.step / 2**DEPTH)).reshape(-1, *[1] * (start.ndim - 1))
                between = start + span * self.drift(start) + self.diffusion(start) * noise
                states = states.index_put((clips, places), between)
                self._evaluations += 1
            return states
