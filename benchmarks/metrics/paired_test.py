"""The paired test of two systems on the same clips: the difference with an interval, and how often chance makes it."""

from collections.abc import Callable
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from benchmarks.utils.errors import UserError

RESAMPLES = 2000
_CELLS = 1 << 22

Values = Float[Tensor, " clip"]


class Difference(NamedTuple):
    """The first system's value minus the second's."""

    value: float
    interval: tuple[float, float] | None
    """95 %, by a percentile bootstrap over source videos; None for a single source."""
    p: float | None
    """The share of random exchanges of the two systems, source by source, that differ as much; None likewise."""
    sources: int


def paired_difference(
    first: Values,
    second: Values,
    sources: Int[Tensor, " clip"],
    finish: Callable[[Tensor], Tensor] = lambda mean: mean,
    *,
    seed: int = 0,
) -> Difference:
    """`finish(mean of first) - finish(mean of second)`, of values that the same clips have under two systems.

    What is common to a clip (it is dark, it is fast) cancels, so that far smaller differences show than between two
    separate intervals. Whole source videos are drawn for the interval (Davison and Hinkley, 1997, Sec. 3.8), and whole
    sources are exchanged between the systems for p (Fisher's permutation test; Good, 2005, Sec. 3.2), which counts the
    observed arrangement too and so is never 0. The same values give the same answer for ever.

    Args:
        first: each clip's value under one system.
        second: under the other, in the same order.
        sources: the source video of each clip.
        finish: what is reported of a mean.
        seed: of the draws.

    Raises:
        UserError: if there are no clips.
    """
    if not len(first):
        raise UserError("A paired test needs one clip at least, measured under both systems; there is none.")
    unique, index = sources.unique(return_inverse=True)
    count = len(unique)
    sums = torch.zeros(2, count, dtype=torch.float64)
    sums.index_add_(1, index, torch.stack([first, second]).double())
    sizes = torch.bincount(index, minlength=count).double()

    def statistic(totals: Float[Tensor, "2 *draw"], clips: Float[Tensor, "*draw"]) -> Float[Tensor, "*draw"]:
        return finish(totals[0] / clips) - finish(totals[1] / clips)

    value = float(statistic(sums.sum(1), sizes.sum()))
    if count < 2:
        return Difference(value, None, None, count)
    generator = torch.Generator().manual_seed(seed)
    drawn_values, exchanged_values = [], []
    for block in torch.arange(RESAMPLES).split(max(1, _CELLS // count)):
        drawn = torch.randint(count, (len(block), count), generator=generator)
        drawn_values.append(statistic(sums[:, drawn].sum(-1), sizes[drawn].sum(-1)))
        exchange = torch.rand(len(block), count, generator=generator) < 0.5
        exchanged_values.append(statistic(_exchanged(sums, exchange), sizes.sum().expand(len(block))))
    low, high = torch.cat(drawn_values).quantile(torch.tensor([0.025, 0.975], dtype=torch.float64)).tolist()
    # the slack keeps arrangements that equal the observed one but for rounding
    as_large = torch.cat(exchanged_values).abs() >= abs(value) * (1 - 1e-9)
    return Difference(value, (low, high), (1 + int(as_large.sum())) / (1 + RESAMPLES), count)


def _exchanged(sums: Float[Tensor, "2 source"], exchange: Bool[Tensor, "draw source"]) -> Float[Tensor, "2 draw"]:
    """The two systems' totals when the sources where `exchange` is True have changed sides."""
    mine, other = sums
    return torch.stack([torch.where(exchange, other, mine).sum(-1), torch.where(exchange, mine, other).sum(-1)])
