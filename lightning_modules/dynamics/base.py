"""The contract of a dynamics: from a latent code and times to the states at those times."""

from abc import ABC, abstractmethod

from jaxtyping import Float, Int
from torch import Tensor, nn

from datamodules.errors import UserError

Code = Float[Tensor, "batch *code"]
Times = Float[Tensor, "batch time"]
States = Float[Tensor, "batch time *state"]
Seeds = Int[Tensor, " batch"]


class Dynamics(nn.Module, ABC):
    """A temporal model: from a latent code and times to states.

    Continuous models also obey `states(0) = initial(code)` and support any times, negative ones by integrating outwards
    from 0. Discrete models raise `OffGridError` at times off their grid; its message names an alternative. Encoders of
    the code (MLPs, one linear layer per order) are part of the model and count as its parameters.
    """

    @abstractmethod
    def forward(self, code: Code, times: Times, *, seeds: Seeds | None = None) -> States:
        """The states at `times` (model units, increasing along each row); noise is a function of each clip's seed."""

    @property
    def function_evaluations(self) -> int:
        """How often the dynamics' network was evaluated in the last call; 0 where this does not apply."""
        return 0


def check_order(order: int) -> None:
    """Check that an order of a differential equation is supported.

    Raises:
        UserError: if the order is not 1, 2 or 3.
    """
    if order not in (1, 2, 3):
        raise UserError(
            f"The order of a differential equation must be 1, 2 or 3; got {order}. Write a higher order as an equation "
            "of order 1 in all derivatives."
        )


class OffGridError(UserError):
    """A discrete model does not support a time; a table shows n/a, with this message as the reason."""


def check_times(times: Times, name: str) -> None:
    """Check that there are times, and that all are finite.

    Args:
        times: model times.
        name: of the model, for the message.

    Raises:
        UserError: if there are no times, or one is not finite.
    """
    if not times.numel():
        raise UserError(f"{name} needs at least one time; got times of shape {tuple(times.shape)}.")
    if not bool(times.isfinite().all()):
        raise UserError(
            f"{name} needs finite times; {int((~times.isfinite()).sum())} of {times.numel()} are not. Check the "
            "times of the data and the target times for NaN."
        )


def grid_steps(times: Times, interval: float, name: str, last: int | None = None) -> Int[Tensor, "batch time"]:
    """The steps of a discrete model's grid at the times.

    Args:
        times: model times.
        interval: length of one step, in units of model time.
        name: of the model, for the message.
        last: the last step it supports; None: no limit.

    Raises:
        OffGridError: if a time is off the grid, before 0, or beyond the last step.
        UserError: if there are no times, or one is not finite.
    """
    check_times(times, name)
    steps = (times / interval).round()
    off = (times / interval - steps).abs().max().item()
    grid = f"{name} only knows times on its grid of {interval:g} model units from 0 on"
    if bool((times / interval < -1e-2).any()):
        raise OffGridError(
            f"{grid}; the first time is {times.min().item():.4g}. Use LatentODE, which supports times before 0."
        )
    if off > 1e-2:
        raise OffGridError(
            f"{grid}; a time is {off:.3g} steps off it. If the step is meant to be the data's, correct "
            "seconds_per_unit, the seconds in a model unit; for times in between wrap it in Interpolated, or use "
            "LatentODE or LatentSDE."
        )
    if last is not None and bool((steps > last).any()):
        raise OffGridError(
            f"{name} supports the steps 0 to {last}; a time is at step {int(steps.max())}. Use a recurrent model, "
            "LatentODE or LatentSDE for longer clips."
        )
    return steps.long()
