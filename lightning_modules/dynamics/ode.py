"""Neural ordinary differential equations (Chen et al., 2018) as dynamics: any times, per clip, in one solve."""

import math
from collections.abc import Callable
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torchdiffeq import odeint

from datamodules.errors import UserError
from lightning_modules.dynamics.base import Code, Dynamics, Seeds, States, Times, check_order, check_times

Solver = Literal["euler", "midpoint", "rk4", "dopri5"]


class LatentODE(Dynamics):
    """dz/dt = field(z), z(0) = initial(code); at order k the field gives the k-th derivative of z.

    At order k the solver's state is z and its first k - 1 derivatives, concatenated in axis 1 in that order. `initial`
    gives all of them (one linear layer with k times the outputs is one linear layer per order); the returned states are
    z alone.

    Each clip may have its own times: between times i-1 and i every clip integrates dz/ds = dt field(z) for s in [0, 1],
    dt being its own interval, in n = ceil(longest interval in the batch / max_step) steps. So clips on one grid agree
    to rounding in any batch, and a batch of different grids costs as much as one grid.

    Args:
        field: from the state to its derivative by model time; at order k from all derivatives below k to the k-th.
        initial: from the code to the state (at order k: with its derivatives) at time 0; None is the identity.
        solver: a fixed-step method, or `dopri5`, whose adaptive step couples the clips of a batch (Vid-ODE's released
            code; not for leaderboards).
        max_step: longest step of the fixed-step methods, in units of model time.
        rtol: relative tolerance of `dopri5`.
        atol: absolute tolerance of `dopri5`.
        order: of the equation: 1, 2, 3.
        field_input: the field's input from order 2 on: `all_derivatives`, the state included, or, as in the public code
            of latent neural differential equations, the `highest` derivative alone.

    Raises:
        UserError: if `max_step` is not positive or the order is not one of these; in a call, if the number of values
            from `initial` is not a multiple of the order.
    """

    def __init__(
        self,
        field: nn.Module,
        initial: nn.Module | None = None,
        solver: Solver = "rk4",
        max_step: float = 0.1,
        rtol: float = 1e-3,
        atol: float = 1e-4,
        order: int = 1,
        field_input: Literal["all_derivatives", "highest"] = "all_derivatives",
    ) -> None:
        super().__init__()
        check_order(order)
        if not max_step > 0:
            raise UserError(f"max_step must be positive; got {max_step}.")
        self.field = field
        self.initial = initial if initial is not None else nn.Identity()
        self.solver = solver
        self.max_step = max_step
        self.tolerances = {"rtol": rtol, "atol": atol}
        self.order = order
        self.field_input = field_input
        self._evaluations = 0

    @property
    def function_evaluations(self) -> int:
        """How often the field was evaluated in the last call, for the whole batch."""
        return self._evaluations

    def forward(self, code: Code, times: Times, *, seeds: Seeds | None = None) -> States:
        """The states at `times`; an ODE is deterministic, so `seeds` have no effect."""
        check_times(times, "LatentODE")
        with torch.autocast(code.device.type, enabled=False):
            precise = torch.promote_types(code.dtype, torch.float32)
            start, times = self.initial(code.to(precise)), times.to(precise)
            if start.shape[1] % self.order:
                raise UserError(
                    f"At order {self.order} `initial` must give the state and its derivatives, a multiple of "
                    f"{self.order} values; got {start.shape[1]}. Set its output size to {self.order} times the state's."
                )
            self._evaluations = 0
            forwards = self._walk(start, times.clamp(min=0))
            if bool((times < 0).any()):
                backwards = self._walk(start, times.clamp(max=0).flip(1)).flip(1)
                forwards = torch.where(_like(times < 0, forwards), backwards, forwards)
            return forwards if self.order == 1 else forwards.chunk(self.order, dim=2)[0]

    def _flow(self, jet: Tensor) -> Tensor:
        """The derivative of the solver's state: of each part the next part, of the last the field's output."""
        if self.order == 1:
            return self.field(jet)
        _, *higher = jet.chunk(self.order, dim=1)
        return torch.cat([*higher, self.field(jet if self.field_input == "all_derivatives" else higher[-1])], dim=1)

    def _walk(self, state: Tensor, times: Times) -> States:
        """States along `times`, which are monotone and do not cross 0."""
        if self.solver == "dopri5" and bool((times == times[:1]).all()):
            return self._one_grid(state, times[0])
        intervals = torch.diff(times, dim=1, prepend=torch.zeros_like(times[:, :1]))
        longest = intervals.abs().amax(dim=0).tolist()
        states = []
        for index, length in enumerate(longest):
            if length > 0:
                state = self._step(state, intervals[:, index], length)
            states.append(state)
        return torch.stack(states, dim=1)

    def _step(self, state: Tensor, interval: Float[Tensor, " batch"], longest: float) -> Tensor:
        speed = _like(interval, state)
        unit = torch.tensor([0.0, 1.0], device=state.device, dtype=state.dtype)
        field = self._counted(lambda z: speed * self._flow(z))
        if self.solver == "dopri5":
            return odeint(field, state, unit, method="dopri5", **self.tolerances)[-1]
        steps = max(1, math.ceil(longest / self.max_step - 1e-3))  # an interval of max_step up to rounding is one step
        return odeint(field, state, unit, method=self.solver, options={"step_size": 1 / steps})[-1]

    def _one_grid(self, state: Tensor, times: Float[Tensor, " time"]) -> States:
        """One adaptive solve through all times, as in the released code, for clips that share a grid."""
        starts_later = bool(times[0] != 0)
        grid = torch.cat([times.new_zeros(1), times]) if starts_later else times
        distinct, index = torch.unique_consecutive(grid, return_inverse=True)
        if len(distinct) == 1:
            return state[:, None].expand(-1, len(times), *state.shape[1:])
        solution = odeint(self._counted(self._flow), state, distinct, method="dopri5", **self.tolerances)
        return solution[index[1:] if starts_later else index].transpose(0, 1)

    def _counted(self, field: Callable[[Tensor], Tensor]) -> Callable[[Tensor, Tensor], Tensor]:
        def derivative(_: Tensor, state: Tensor) -> Tensor:
            self._evaluations += 1
            return field(state)

        return derivative


def _like(values: Tensor, state: Tensor) -> Tensor:
    """Values (B,) or (B, T) with axes of length 1 appended until they broadcast against the state."""
    return values.reshape(*values.shape, *[1] * (state.ndim - values.ndim))
