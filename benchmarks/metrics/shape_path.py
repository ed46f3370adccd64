"""How far generated moving shapes move from how true ones move, as distributions of whole paths."""

from typing import Any

from benchmarks.metrics.features.shape_path import ShapePath
from benchmarks.metrics.streamed import CAP, FrechetMetric


class ShapePathDistance(FrechetMetric):
    """The Fréchet distance between the paths of answered and of true shapes, each path one vector of all its moments.

    An FVD is biased towards content; this sees motion alone: where things start, which way they go, how fast, how
    smoothly and how variously. See `ShapePath`. The unit is squared, the picture 2 wide, summed over the frames.

    Args:
        frames: how many frames the clips must have.
        clips: how many are compared, spread evenly over the ids; None: all that come.
        cap: for how many clips each process keeps paths; more are streamed into moments.
        kwargs: settings of `torchmetrics.Metric`.
    """

    def __init__(self, *, frames: int = 16, clips: int | None = None, cap: int = CAP, **kwargs: Any) -> None:
        super().__init__("distance", ShapePath(), frames=frames, clips=clips, cap=cap, **kwargs)
