"""FID of frames: the Fréchet distance between features of the single frames of predictions and targets."""

from typing import Any

from benchmarks.metrics.features.extractor import Extractor
from benchmarks.metrics.streaming_frechet import FrechetMetric


class FrechetInceptionDistance(FrechetMetric):
    """The Fréchet distance over frames (Heusel et al., 2017): appearance of single frames, regardless of their order.

    All frames of each clip are used. The jackknife leaves out whole sources, because the frames of one film are not
    independent.

    Args:
        network: an image network (`fewest_frames` 1); with Inception-2015's pooled features this is the standard FID.
        kwargs: `frames` (default 16), `clips`, `start`, `ddof`, `cap` and `num_samples`: see `FeatureMetric`,
            `DistributionMetric` and `FrechetMetric`.
    """

    def __init__(self, network: Extractor, **kwargs: Any) -> None:
        super().__init__("fid", network, each_frame=True, **kwargs)
