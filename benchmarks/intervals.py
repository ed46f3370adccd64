"""Student's t: the 95 % interval of a mean over a few seeds. Imports neither torch nor scipy."""

import math
from collections.abc import Sequence
from functools import cache
from statistics import fmean, stdev


def mean_and_half_width(values: Sequence[float | int]) -> tuple[float, float]:
    """The mean and half the width of its 95 % t-interval: infinite for a single value."""
    if len(values) < 2:
        return float(values[0]), math.inf
    return fmean(values), t_quantile(len(values) - 1) * stdev(values) / math.sqrt(len(values))


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
