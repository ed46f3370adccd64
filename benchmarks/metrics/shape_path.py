"""How far generated moving shapes move from how true ones move, as distributions of whole paths."""

from typing import Any

from benchmarks.metrics.features.shape_path import ShapePath
from benchmarks.metrics.streaming_frechet import FrechetMetric


class ShapePathDistance(FrechetMetric):
    """The Fréchet distance between the paths of answered and of true shapes, each path one vector of all its moments.

    An FVD is biased towards content; this sees motion alone: where things start, which way they go, how fast, how
    smoothly and how variously. See `ShapePath`. The unit is squared, the picture 2 wide, summed over the frames.

    Args:
        kwargs: `frames` (16 unless told), `clips`, `start`, `ddof`, `cap` and `draws`: see `FeatureMetric`,
            `DistributionMetric` and `FrechetMetric`.
    """

    def __init__(self, **kwargs: Any) -> None:
        super().__init__("distance", ShapePath(), **kwargs)
