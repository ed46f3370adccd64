"""A distance of motion that content cannot hide: equal frames in a wrong order are far apart."""

from typing import Any

from benchmarks.metrics.features.motion import MotionHistograms
from benchmarks.metrics.streamed import CAP, FrechetMetric


class TemporalDistance(FrechetMetric):
    """The Fréchet distance between histograms of motion, to be read beside an FVD.

    FVD is biased towards content: good frames in a wrong order can score better than right motion of worse frames (Ge
    et al., 2024). These features see motion alone. See `MotionHistograms`. In squared pixels of a 64 x 64 picture a
    frame.

    Args:
        frames: how many frames the clips must have.
        clips: how many are compared, spread evenly over the ids; None: all that come.
        cap: for how many clips each process keeps features; more are streamed into moments.
        draws: how many answers to each question count, each with a distance of its own; the mean is reported.
        start: the first frame that is looked at, of longer answers; None: answers have just `frames` frames.
        kwargs: settings of `torchmetrics.Metric`.
    """

    def __init__(
        self,
        *,
        frames: int = 16,
        clips: int | None = None,
        cap: int = CAP,
        draws: int = 1,
        start: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            "temporal", MotionHistograms(), frames=frames, clips=clips, cap=cap, draws=draws, start=start, **kwargs
        )
