"""Paired test of two systems on the same clips: their difference with an interval and a p-value. Imports no torch."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from jaxtyping import Float64, Int64

from benchmarks.records.clip_scores import PerClip
from benchmarks.utils.by_source import Finish, Interval, Sources, first, mean_interval, paired_p
from benchmarks.utils.errors import UserError

Values = Float64[np.ndarray, " clip"]

_LEAST_ERROR = 1e-10
"""The mean squared error of 100 dB, which a pooled PSNR takes for less (`benchmarks.metrics.reference.PEAK`)."""


class Difference(NamedTuple):
    """The first system's value minus the second's."""

    value: float
    interval: Interval | None
    """95 %, over sources; None for fewer than 10."""
    p: float | None
    """The share of exchanges of whole sources with a difference at least as large; None for fewer than 10 sources."""
    sources: int


def paired_difference(
    ours: Values,
    theirs: Values,
    origins: Int64[np.ndarray, " clip"],
    finish: Finish = first,
    *,
    interval: bool = True,
) -> Difference:
    """`finish(mean of ours) - finish(mean of theirs)` for the scores of two systems on the same clips.

    Difficulty that a clip has for both systems cancels, so far smaller differences are detected than by comparing two
    separate intervals. Interval and p-value resample whole sources: `benchmarks.utils.by_source`.

    Args:
        ours: each clip's score under one system.
        theirs: each clip's score under the other, in the same order.
        origins: the source of each clip.
        finish: maps a mean score to the reported value.
        interval: whether the interval is wanted, which takes most of the time.

    Raises:
        UserError: if there are no clips.
    """
    if not len(ours):
        raise UserError("A paired test needs at least one clip that both systems were scored on; there is none.")
    values = np.stack([ours, theirs], axis=1)

    def apart(means: Float64[np.ndarray, "*draw 2"]) -> Float64[np.ndarray, "*draw"]:
        return finish(means[..., :1]) - finish(means[..., 1:])

    value = float(apart(values.mean(0)[None])[0])
    sums, sizes = Sources.of(values, origins)
    found = mean_interval(values, origins, apart) if interval else None
    return Difference(value, found, paired_p(sums[..., None], sizes, finish), len(sizes))


def same_clips(ours: PerClip, theirs: PerClip) -> bool:
    """Whether two systems were scored on the same clips, whose sources are the same."""
    return np.array_equal(ours.ids, theirs.ids) and np.array_equal(ours.origins, theirs.origins)


def ends_of(metric: str) -> tuple[Callable[[Values], Values], Finish]:
    """Functions from a clip's value to what is averaged, and from the average to what is reported."""
    if metric == "psnr_pooled":
        return lambda decibels: 10 ** (-decibels / 10), pooled_decibels
    return lambda value: value, first


def pooled_decibels(means: Float64[np.ndarray, "*draw 1"]) -> Float64[np.ndarray, "*draw"]:
    """The PSNR of a mean squared error, as `benchmarks.metrics.reference.decibel`."""
    return -10 * np.log10(np.maximum(means[..., 0], _LEAST_ERROR))
