"""FID of frames: the Fréchet distance between the features of the single frames of answers and truth."""

from typing import Any

from benchmarks.metrics.features.extractor import Extractor
from benchmarks.metrics.streamed import CAP, FrechetMetric


class FrechetInceptionDistance(FrechetMetric):
    """The Fréchet distance over frames (Heusel et al., 2017): how single frames look, blind to their order.

    All frames of each clip are taken; the interval leaves out source videos, because frames of one are not
    independent.

    Args:
        network: an extractor of images (`fewest_frames` 1); Inception-2015's pool features make it the FID.
        frames: how many frames the clips must have.
        clips: how many clips are compared, spread evenly over the ids; None: all that come.
        ddof: 1 for unbiased covariances, as in the published FID; 0 otherwise, which the name then says.
        cap: for how many clips each process keeps features; more are streamed into moments.
        draws: how many answers to each question count, each with a distance of its own; the mean is reported.
        start: the first frame that is looked at, of longer answers; None: answers have just `frames` frames.
        kwargs: settings of `torchmetrics.Metric`.
    """

    def __init__(
        self,
        network: Extractor,
        *,
        frames: int = 16,
        clips: int | None = None,
        ddof: int = 1,
        cap: int = CAP,
        draws: int = 1,
        start: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            "fid",
            network,
            frames=frames,
            clips=clips,
            ddof=ddof,
            cap=cap,
            draws=draws,
            start=start,
            each_frame=True,
            **kwargs,
        )
