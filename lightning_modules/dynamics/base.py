"""The contract of a dynamics: a code and a list of times in, the states at those times out."""

from abc import ABC, abstractmethod

from jaxtyping import Float, Int
from torch import Tensor, nn

from datamodules.errors import UserError

Code = Float[Tensor, "batch *code"]
Times = Float[Tensor, "batch time"]
States = Float[Tensor, "batch time *state"]
Seeds = Int[Tensor, " batch"]


class Dynamics(nn.Module, ABC):
    """What turns a latent code and a list of times into states.

    Continuous members also obey `states(0) = initial(code)` and answer any times, negative ones by integrating outwards
    from 0. Discrete members refuse times off their grid with an error that names the way out. Whatever encodes the code
    (MLPs, one linear layer per order) belongs to the member and counts as its parameters.
    """

    @abstractmethod
    def forward(self, code: Code, times: Times, *, seeds: Seeds | None = None) -> States:
        """The states at `times` (model units, increasing along each row); noise is a function of each clip's seed."""

    @property
    def function_evaluations(self) -> int:
        """How often the network behind the dynamics ran in the last call; 0 where the question makes no sense."""
        return 0


def check_order(order: int) -> None:
    """Refuse orders of a differential equation that no member knows.

    Raises:
        UserError: if the order is not 1, 2 or 3.
    """
    if order not in (1, 2, 3):
        raise UserError(
            f"A differential equation here is of order 1, 2 or 3; got {order}. Write a higher one as an equation of "
            "order 1 of all its derivatives."
        )


class OffGridError(UserError):
    """A discrete member is asked for times that it does not know: a dash in a table, for this message's reason."""


def check_times(times: Times, name: str) -> None:
    """Refuse what is no list of moments.

    Args:
        times: model times.
        name: of the member, for the message.

    Raises:
        UserError: if there are no times, or one is not finite.
    """
    if not times.numel():
        raise UserError(f"{name} needs at least one time; got times of shape {tuple(times.shape)}. Ask for some.")
    if not bool(times.isfinite().all()):
        raise UserError(
            f"{name} needs finite times; {int((~times.isfinite()).sum())} of {times.numel()} are not. Look for NaN in "
            "the times of the data or of the query."
        )


def grid_steps(times: Times, interval: float, name: str, last: int | None = None) -> Int[Tensor, "batch time"]:
    """Which steps of a discrete member's grid the times are.

    Args:
        times: model times.
        interval: length of one step, in units of model time.
        name: of the member, for the message.
        last: the last step it knows; None is no end.

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
            f"{grid}; the query starts at {times.min().item():.4g}. Use LatentODE, which alone answers times before 0."
        )
    if off > 1e-2:
        raise OffGridError(
            f"{grid}; the query is {off:.3g} steps off it. If that step is meant to be the data's, correct "
            "seconds_per_unit, the seconds in a model unit; for times between wrap it in Interpolated, or use "
            "LatentODE or LatentSDE."
        )
    if last is not None and bool((steps > last).any()):
        raise OffGridError(
            f"{name} knows the steps 0 to {last}; the query goes to step {int(steps.max())}. Use a recurrent member, "
            "LatentODE or LatentSDE for longer clips."
        )
    return steps.long()
