"""FID of frames: the Fréchet distance between the features of the single frames of answers and truth."""

from typing import Any

from benchmarks.metrics.features.extractor import Extractor
from benchmarks.metrics.streaming_frechet import FrechetMetric


class FrechetInceptionDistance(FrechetMetric):
    """The Fréchet distance over frames (Heusel et al., 2017): how single frames look, blind to their order.

    All frames of each clip are taken; the interval leaves out source videos, because frames of one are not
    independent.

    Args:
        network: an extractor of images (`fewest_frames` 1); Inception-2015's pool features make it the FID.
        kwargs: `frames` (16 unless told), `clips`, `start`, `ddof`, `cap` and `draws`: see `FeatureMetric`,
            `DistributionMetric` and `FrechetMetric`.
    """

    def __init__(self, network: Extractor, **kwargs: Any) -> None:
        super().__init__("fid", network, each_frame=True, **kwargs)
