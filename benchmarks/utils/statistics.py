"""95 % intervals of a mean over a few seeds: Student's t and the bootstrap. Imports no torch, numpy or scipy."""

import math
import random
from collections.abc import Sequence
from functools import cache
from statistics import fmean, stdev

_RESAMPLES = 2000


def mean_and_half_width(values: Sequence[float | int]) -> tuple[float, float]:
    """The mean and half the width of its 95 % t-interval, which is infinite for a single value."""
    if len(values) < 2:
        return float(values[0]), math.inf
    return fmean(values), t_quantile(len(values) - 1) * stdev(values) / math.sqrt(len(values))


def bootstrap_mean_interval(values: Sequence[float | int], coverage: float = 0.95) -> tuple[float, float]:
    """The percentile bootstrap interval of the mean (Efron and Tibshirani, 1993, Sec. 13.3); infinite for one value.

    Li et al. (2019, Sec. 4.1) report such intervals over training runs. It is deterministic; for few values it is
    narrower than Student's.
    """
    if len(values) < 2:
        return -math.inf, math.inf
    return _bootstrap(tuple(sorted(values)), coverage)


@cache
def _bootstrap(values: tuple[float | int, ...], coverage: float) -> tuple[float, float]:
    means = sorted(fmean([values[index] for index in indices]) for indices in _resamples(len(values)))
    low, high = (share * (len(means) - 1) for share in ((1 - coverage) / 2, (1 + coverage) / 2))
    return _between(means, low), _between(means, high)


def _between(ordered: Sequence[float], position: float) -> float:
    """The value at a fractional index, interpolated linearly as in numpy's quantile."""
    below = min(math.floor(position), len(ordered) - 2)
    return ordered[below] + (position - below) * (ordered[below + 1] - ordered[below])


@cache
def _resamples(count: int) -> list[list[int]]:
    """The indices of each resample of `count` values; `random()` of a seed is the same in every Python version."""
    stream = random.Random(0)
    return [[int(count * stream.random()) for _ in range(count)] for _ in range(_RESAMPLES)]


@cache
def t_quantile(freedom: int, coverage: float = 0.95) -> float:
    """The t whose central interval [-t, t] has the coverage, for a whole number of degrees of freedom."""
    low, high = 0.0, math.pi / 2
    for _ in range(100):
        middle = (low + high) / 2
        low, high = (middle, high) if _central_probability(middle, freedom) < coverage else (low, middle)
    return math.sqrt(freedom) * math.tan(low)


def _central_probability(angle: float, freedom: int) -> float:
    """P(|t| < sqrt(freedom) tan(angle)): Abramowitz and Stegun, 26.7.3 and 26.7.4."""
    sine, cosine = math.sin(angle), math.cos(angle)
    first = 3 if freedom % 2 else 2
    term = cosine if freedom % 2 else 1.0
    total = 0.0
    for index in range(first, freedom + 1, 2):
        total += term
        term *= cosine**2 * (index - 1) / index
    return 2 / math.pi * (angle + sine * total) if freedom % 2 else sine * total
