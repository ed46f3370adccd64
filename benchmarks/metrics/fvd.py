"""FVD: the Fréchet distance between the features of answered and of true clips, and what it tends to."""

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from benchmarks.metrics.distribution import DistributionMetric, Features
from benchmarks.metrics.features.extractor import Extractor
from benchmarks.metrics.frechet import frechet_distance
from benchmarks.metrics.streaming_frechet import FrechetMetric
from benchmarks.utils.errors import UserError

POINTS = 4
"""The extrapolation fits the distances of all clips, of halves, thirds and quarters."""
_FEWEST = 4 * POINTS


class FrechetVideoDistance(FrechetMetric):
    """The Fréchet video distance (Unterthiner et al., 2018), between Gaussians fitted to features of clips.

    The distance of few clips is larger than that of many (from one distribution: 443 at 64, 25 at 2048), so only equal
    numbers compare: `clips` fixes it and stands in the name, as do the frames, the network and its layer.

    Features are kept with the clips' ids: neither order nor processes matter, and a clip that comes twice counts once,
    as it came first. The interval is a delete-group jackknife over source videos.

    Args:
        network: what makes the features; None: I3D's logits.
        kwargs: `frames` (16 unless told), `clips`, `start`, `ddof`, `cap` and `draws`: see `FeatureMetric`,
            `DistributionMetric` and `FrechetMetric`.
    """

    def __init__(self, network: Extractor | None = None, **kwargs: Any) -> None:
        super().__init__("fvd", network, **kwargs)


class FVDInfinity(DistributionMetric):
    """The FVD that infinitely many clips would have: a line in 1/n, fitted to the distances of parts of the clips.

    After Chong and Forsyth (2020), but with the truth cut like the answers, for both sets are small, and with all the
    disjoint parts of each size, so that every clip serves at every size. It may be negative: it is an unbiased guess
    at a small number, to first order in 1/n, and that asks for parts of more clips than the features' effective rank.

    Args:
        network: what makes the features; None: I3D's logits.
        kwargs: `frames` (16 unless told), `clips` and `start`: see `FeatureMetric` and `DistributionMetric`.
    """

    higher_is_better: bool = False

    def __init__(self, network: Extractor | None = None, **kwargs: Any) -> None:
        super().__init__("fvd_infinity", network, least=_FEWEST, **kwargs)

    def statistic(self, *sets: Features) -> float:
        """See `extrapolated_distance`."""
        return extrapolated_distance(*sets)


def extrapolated_distance(x: Float[Tensor, "_n _width"], y: Float[Tensor, "_n _width"]) -> float:
    """The Fréchet distance extrapolated to 1/n = 0 by least squares over n, n/2, n/3 and n/4.

    Args:
        x: features of one set; the order decides what parts it is cut into, at random but for ever the same.
        y: as many features of the other.

    Raises:
        UserError: for sets of different sizes, or of fewer than 16.
    """
    count = len(x)
    if len(y) != count or count < _FEWEST:
        raise UserError(f"The extrapolation needs as many of either set, {_FEWEST} at least; got {count}, {len(y)}.")
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
