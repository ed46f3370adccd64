"""Moments of features (count, mean, scatter), in float64 and mergeable in any order, for distances of Gaussians."""

from collections.abc import Iterable
from functools import reduce
from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

from benchmarks.metrics.jackknife import GROUPS
from benchmarks.utils.errors import UserError

Matrix = Float[Tensor, "feature feature"]


class Moments(NamedTuple):
    """Count, mean and scatter of rows; the scatter is about the mean, so that a large mean causes no cancellation."""

    clips: int
    mean: Float[Tensor, " feature"]
    scatter: Matrix
    """The sum of outer products of the deviations from the mean."""

    @classmethod
    def of(cls, features: Float[Tensor, "_clips _features"]) -> "Moments":
        """The moments of these features.

        Raises:
            ValueError: if there are no features, or some are not finite.
        """
        if not len(features):
            raise ValueError("Moments need at least one row of features; got none.")
        features = finite(features)
        mean = features.mean(0)
        centred = features - mean
        return cls(len(features), mean, centred.T @ centred)

    def merge(self, other: "Moments") -> "Moments":
        """The moments of both sets together (Chan, Golub and LeVeque, 1983)."""
        clips = self.clips + other.clips
        apart = other.mean - self.mean
        mean = self.mean + apart * (other.clips / clips)
        between = torch.outer(apart, apart) * (self.clips * other.clips / clips)
        return Moments(clips, mean, self.scatter + other.scatter + between)

    def covariance(self, ddof: int = 1) -> Matrix:
        """The covariance matrix, unbiased for `ddof` 1."""
        return self.scatter / (self.clips - ddof)


Grouped = dict[int, Moments]
"""Moments of ten groups of sources, of which the jackknife leaves out one at a time."""
Packed = Float[Tensor, "_group _packed"]
"""One row for each group: its index, count, mean and scatter."""


def grouped(rows: Float[Tensor, "_row _width"], sources: Int[Tensor, " _row"]) -> Grouped:
    """The moments of each non-empty group of sources; a source belongs to the same group in every process."""
    # hashed, so that sources numbered in regular steps are spread over all groups
    mixed = sources
    for _ in range(2):
        mixed = (mixed ^ (mixed >> 16)) * 0x45D9F3B & 0xFFFFFFFF
    group = (mixed ^ (mixed >> 16)) % GROUPS
    return {int(index): Moments.of(rows[group == index]) for index in group.unique()}


def merged(parts: Iterable[Moments]) -> Moments:
    """The moments of all parts together; at least one is needed."""
    return reduce(Moments.merge, parts)


def merged_groups(first: Grouped, second: Grouped) -> Grouped:
    """The union of both, group by group."""
    both = {index: first[index].merge(second[index]) for index in first.keys() & second.keys()}
    return dict(sorted((first | second | both).items()))


def packed(groups: Grouped) -> Packed:
    """One row for each group (index, count, mean, scatter), which can be gathered from all processes."""
    return torch.stack(
        [
            torch.cat([torch.tensor([index, part.clips], dtype=torch.float64), part.mean, part.scatter.flatten()])
            for index, part in groups.items()
        ]
    )


def unpacked(rows: Packed, width: int) -> Grouped:
    """The inverse of `packed`; rows of one group, from several processes, are merged."""
    groups: Grouped = {}
    for row in rows.double().cpu():
        part = Moments(int(row[1]), row[2 : 2 + width], row[2 + width :].reshape(width, width))
        groups = merged_groups(groups, {int(row[0]): part})
    return groups


def finite(features: Float[Tensor, "_clips _features"]) -> Float[Tensor, "_clips _features"]:
    """The features in float64.

    Raises:
        UserError: if some are not finite.
    """
    if not bool(features.isfinite().all()):
        raise UserError("Features must be finite; some are NaN or infinite, so the network or its input is broken.")
    return features.double()
