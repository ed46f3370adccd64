"""Paired test of two systems on the same clips: their difference with an interval and a permutation p-value."""

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
    """The share of random sign flips, per source, with a difference at least as large; None for a single source."""
    sources: int


def paired_difference(
    first: Values,
    second: Values,
    sources: Int[Tensor, " clip"],
    finish: Callable[[Tensor], Tensor] = lambda mean: mean,
    *,
    seed: int = 0,
) -> Difference:
    """`finish(mean of first) - finish(mean of second)` for the scores of two systems on the same clips.

    Difficulty that a clip has for both systems cancels, so far smaller differences are detected than by comparing two
    separate intervals. The interval resamples whole source videos (Davison and Hinkley, 1997, Sec. 3.8); p is Fisher's
    permutation test, which exchanges whole sources between the systems (Good, 2005, Sec. 3.2) and includes the observed
    arrangement, so it is never 0. Deterministic for a given seed.

    Args:
        first: each clip's score under one system.
        second: each clip's score under the other, in the same order.
        sources: the source video of each clip.
        finish: maps a mean score to the reported value.
        seed: of the resamples and permutations.

    Raises:
        UserError: if there are no clips.
    """
    if not len(first):
        raise UserError("A paired test needs at least one clip that both systems were scored on; there is none.")
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
    # the slack counts arrangements that equal the observed one up to rounding
    as_large = torch.cat(exchanged_values).abs() >= abs(value) * (1 - 1e-9)
    return Difference(value, (low, high), (1 + int(as_large.sum())) / (1 + RESAMPLES), count)


def _exchanged(sums: Float[Tensor, "2 source"], exchange: Bool[Tensor, "draw source"]) -> Float[Tensor, "2 draw"]:
    """The totals of both systems after exchanging the sources where `exchange` is True."""
    mine, other = sums
    return torch.stack([torch.where(exchange, other, mine).sum(-1), torch.where(exchange, mine, other).sum(-1)])
