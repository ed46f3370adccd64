"""FVD: the Fréchet distance between features of predicted and target clips, and its limit for many clips."""

from math import inf
from typing import Any, ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from benchmarks.metrics.distribution import DistributionMetric, Features
from benchmarks.metrics.features.extractor import Extractor
from benchmarks.metrics.frechet import frechet_distance
from benchmarks.metrics.streaming_frechet import FrechetMetric
from benchmarks.utils.errors import UserError

POINTS = 4
"""The extrapolation fits the distances of all clips, halves, thirds and quarters."""
_FEWEST = 4 * POINTS


class FrechetVideoDistance(FrechetMetric):
    """The Fréchet video distance (Unterthiner et al., 2018), between Gaussians fitted to features of clips.

    FVD is biased upwards for few clips (between samples of one distribution: 443 at 64 clips, 25 at 2048), so only
    values with equal numbers of clips are comparable: `clips` fixes the number and is part of the name, as are the
    frames, the network and its layer.

    Features are kept with the clips' ids, so neither the order of clips nor the number of processes matters; of a
    repeated clip the first counts. The interval is a delete-group jackknife over sources.

    Args:
        network: the feature extractor; None: I3D's logits.
        kwargs: `frames` (default 16), `clips`, `start`, `ddof`, `cap` and `num_samples`: see `FeatureMetric`,
            `DistributionMetric` and `FrechetMetric`.
    """

    def __init__(self, network: Extractor | None = None, **kwargs: Any) -> None:
        super().__init__("fvd", network, **kwargs)


class FVDInfinity(DistributionMetric):
    """FVD extrapolated to infinitely many clips: a line in 1/n, fitted to the distances of subsets of the clips.

    After Chong and Forsyth (2020), with two changes: the targets are split like the predictions, because both sets are
    small, and all disjoint subsets of each size are used, so that every clip contributes at every size. The estimate is
    unbiased to first order in 1/n and may therefore be negative. Below the features' rank the distance is not linear in
    1/n, and the line is wrong far beyond its interval (22.7 for a true 7.37 with 256 clips of 400 features): it is n/a
    unless the smallest subset, a quarter, has more clips than the features have dimensions that vary.

    Args:
        network: the feature extractor; None: I3D's logits.
        kwargs: `frames` (default 16), `clips` and `start`: see `FeatureMetric` and `DistributionMetric`.
    """

    higher_is_better: bool = False
    value_range: ClassVar[tuple[float, float]] = (-inf, inf)

    def __init__(self, network: Extractor | None = None, **kwargs: Any) -> None:
        super().__init__("fvd_infinity", network, least=_FEWEST, **kwargs)

    def statistic(self, *sets: Features) -> float:
        """See `extrapolated_distance`."""
        return extrapolated_distance(*sets)

    def undefined(self, *sets: Features) -> str | None:
        """A reason if the smallest subset has no more clips than the rank of the features."""
        smallest, rank = len(sets[0]) // POINTS, max(map(rank_of, sets))
        if smallest > rank:
            return None
        return (
            f"the extrapolation's smallest subset has {smallest} clips, no more than the features' rank of {rank}; it "
            f"needs {POINTS * (rank + 1)} clips or more"
        )


def rank_of(features: Features) -> int:
    """The number of directions in which features vary: whose deviation is above a millionth of the largest."""
    spread = torch.linalg.svdvals(features.double() - features.double().mean(0))
    return int((spread > 1e-6 * spread[0]).sum())


def extrapolated_distance(x: Float[Tensor, "_n _width"], y: Float[Tensor, "_n _width"]) -> float:
    """The Fréchet distance extrapolated to 1/n = 0 by least squares over n, n/2, n/3 and n/4.

    Args:
        x: features of one set; split into subsets at random, with a fixed seed.
        y: features of the other set, as many.

    Raises:
        UserError: if the sets differ in size or have fewer than 16 rows.
    """
    count = len(x)
    if len(y) != count or count < _FEWEST:
        raise UserError(f"Extrapolation needs two sets of equal size, at least {_FEWEST}; got {count} and {len(y)}.")
    generator = torch.Generator().manual_seed(0)
    x, y = (rows[torch.randperm(count, generator=generator)] for rows in (x, y))
    inverse, distances = [], []
    for parts in range(1, POINTS + 1):
        size = count // parts
        pieces = zip(x.split(size)[:parts], y.split(size)[:parts], strict=True)
        inverse.append([1.0, 1 / size])
        distances.append([sum(frechet_distance(a, b) for a, b in pieces) / parts])
    line = torch.linalg.lstsq(
        torch.tensor(inverse, dtype=torch.float64), torch.tensor(distances, dtype=torch.float64)
    ).solution
    return float(line[0, 0])
