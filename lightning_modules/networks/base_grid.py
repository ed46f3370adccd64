"""A regular grid of times per clip, on which frames are decoded one after another; other times are decoded from it."""

from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from lightning_modules.dynamics.base import Dynamics

_TOLERANCE = 1e-3  # of a grid step: a query so close to a base time is that time


class BaseGrid(NamedTuple):
    """Base times first, first + step, ... to the last query, and the position of each query among them.

    `parent` is the index of the last base time at or before a query, -1 before the first one; a query that equals its
    parent up to rounding is `on_grid`.
    """

    times: Float[Tensor, "batch base"]
    parent: Int[Tensor, "batch time"]
    on_grid: Bool[Tensor, "batch time"]


def base_grid(first: Float[Tensor, " batch"], step: float, queries: Float[Tensor, "batch time"]) -> BaseGrid:
    """The grid from each clip's `first` time in steps of `step`, all in model units."""
    position = (queries - first[:, None]) / step
    parent = (position + _TOLERANCE).floor().long()
    on_grid = ((position - parent).abs() < 2 * _TOLERANCE) & (parent >= 0)
    count = max(int(parent.max()) + 1, 0)
    return BaseGrid(first[:, None] + step * torch.arange(count, device=queries.device), parent, on_grid)


def solve_for_both(
    dynamics: Dynamics, code: Tensor, first: Float[Tensor, "batch base"], second: Float[Tensor, "batch time"]
) -> tuple[Tensor, Tensor]:
    """States at two lists of times from one solve, which needs increasing times."""
    times, order = torch.cat([first, second], dim=1).sort(dim=1)
    states = dynamics(code, times)
    index = order.argsort(dim=1).reshape(*order.shape, *[1] * (states.ndim - 2))
    states = states.gather(1, index.expand(-1, -1, *states.shape[2:]))
    return states[:, : first.shape[1]], states[:, first.shape[1] :]
