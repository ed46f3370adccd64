"""A distance of motion that content cannot hide: equal frames in a wrong order are far apart."""

from typing import Any

from benchmarks.metrics.features.motion import MotionHistograms
from benchmarks.metrics.streaming_frechet import FrechetMetric


class TemporalDistance(FrechetMetric):
    """The Fréchet distance between histograms of motion, to be read beside an FVD.

    FVD is biased towards content: good frames in a wrong order can score better than right motion of worse frames (Ge
    et al., 2024). These features see motion alone. See `MotionHistograms`. In squared pixels of a 64 x 64 picture a
    frame.

    Args:
        kwargs: `frames` (16 unless told), `clips`, `start`, `ddof`, `cap` and `draws`: see `FeatureMetric`,
            `DistributionMetric` and `FrechetMetric`.
    """

    def __init__(self, **kwargs: Any) -> None:
        super().__init__("temporal", MotionHistograms(), **kwargs)
