"""A distance of motion that is independent of content: the same frames in wrong order are far apart."""

from typing import Any

from benchmarks.metrics.features.motion import MotionHistograms
from benchmarks.metrics.streaming_frechet import FrechetMetric


class TemporalDistance(FrechetMetric):
    """The Fréchet distance between motion histograms, a complement to FVD.

    FVD is biased towards content: good frames in wrong order can score better than correct motion of worse frames (Ge
    et al., 2024). These features depend on motion only; see `MotionHistograms`. In squared pixels per frame, at
    64 x 64 pixels.

    Args:
        kwargs: `frames` (default 16), `clips`, `start`, `ddof`, `cap` and `num_samples`: see `FeatureMetric`,
            `DistributionMetric` and `FrechetMetric`.
    """

    def __init__(self, **kwargs: Any) -> None:
        super().__init__("temporal", MotionHistograms(), **kwargs)
