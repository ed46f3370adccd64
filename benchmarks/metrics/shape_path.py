"""The Fréchet distance between the paths of predicted and target shapes on moving-shapes data."""

from typing import Any

from benchmarks.metrics.features.shape_path import ShapePath
from benchmarks.metrics.streaming_frechet import FrechetMetric


class ShapePathDistance(FrechetMetric):
    """The Fréchet distance between paths of predicted and target shapes, each flattened over time into one vector.

    FVD is biased towards content; this metric depends on motion only: start, direction, speed, smoothness and variety.
    See `ShapePath`. In squared units, in which the frame is 2 wide, summed over the frames.

    Args:
        kwargs: `frames` (default 16), `clips`, `start`, `ddof`, `cap` and `num_samples`: see `FeatureMetric`,
            `DistributionMetric` and `FrechetMetric`.
    """

    def __init__(self, **kwargs: Any) -> None:
        super().__init__("distance", ShapePath(), **kwargs)
