"""Motion course: when in a clip its pictures change; a film that holds, jumps and holds is far from one that moves."""

from typing import Any, ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from benchmarks.metrics.distribution import DistributionMetric, Features
from benchmarks.metrics.features.extractor import Extractor, Frames, Rows
from benchmarks.records.clip_scores import PerClip

Courses = Float[Tensor, "clip step"]

_BLOCK = 1024


class MotionCourse(Extractor):
    """The share of a clip's change that falls into each step from one frame to the next.

    With m(t) = mean |x(t+1) - x(t)| over pixels and channels, the share of step t is m(t) / sum of m. A last number is
    1 for a clip that does not change at all, else 0, so that the numbers of every clip add up to 1. No weights.
    """

    trained: ClassVar[bool] = True  # a definition, which needs no training
    fewest_frames: ClassVar[int] = 3

    @property
    def name(self) -> str:
        """motion_course."""
        return "motion_course"

    @property
    def protocol(self) -> dict[str, str]:
        """See `Extractor`; there are no weights to hash."""
        return {"extractor": "share of the change in each step, mean over pixels", "resize": "none"}

    def prepare(self) -> None:
        """Nothing to load."""

    def __call__(self, frames: Frames) -> Rows:
        """See `Extractor`; one clip at a time, so that memory is bounded."""
        with torch.no_grad():
            changes = [clip.diff(dim=1).abs().flatten(2).mean(2, dtype=torch.float64) for clip in frames.split(1)]
        change = torch.cat(changes)
        total = change.sum(dim=1, keepdim=True)
        still = (total == 0).double()
        return torch.cat([change / (total + still), still], dim=1).float()


class MotionCourseDistance(DistributionMetric):
    """The energy distance between the motion courses of predictions and of real clips, from 0 to 1.

    E d(X, Y) - E d(X, X') / 2 - E d(Y, Y') / 2 (Székely and Rizzo, 2013, halved), where X and Y are the courses
    of a predicted and of a real clip (`MotionCourse`) and d is the total variation distance, half the sum of absolute
    differences: the share of one clip's change that falls into other steps of the other.

    It is 0 if the shares at each step are distributed alike, whatever moves, how much of it and how bright: other real
    clips are near 0, and what a system need not know, the course of the one true clip, does not count. It is near 1 if
    all change of all predictions falls into one step, while real clips change throughout. It sees nothing else: steady
    noise or a cross-fade changes throughout too, so it belongs beside a metric of looks.

    The expectations are means over all pairs of the clips at hand, so it is exactly 0 for a set and itself, and about
    E d(X, X') / n for two samples of n clips of one distribution. Predictions between or after observed frames are
    scored with the observed frames next to them, so that a jump there counts; `frames` includes those.

    Args:
        kwargs: `frames` (default 16), `clips` and `start`: see `FeatureMetric` and `DistributionMetric`.
    """

    higher_is_better: bool = False
    value_range: ClassVar[tuple[float, float]] = (0.0, 1.0)
    with_neighbours: bool = True

    def __init__(self, **kwargs: Any) -> None:
        super().__init__("motion_course_distance", MotionCourse(), **kwargs)

    @property
    def name(self) -> str:
        """For example motion_course_distance_16f."""
        return f"{self.measure}_{self.frames}f{self.suffix}"

    def statistic(self, *sets: Features) -> float:
        """See `energy_distance`."""
        return energy_distance(*sets)

    def per_clip(self) -> PerClip:
        """The jackknife pseudo-value of each clip with its target (Tukey, 1958). Every process must call it.

        n D - (n - 1) D without the clip: their mean is the distance without the part that is due to the number of
        clips, and their spread is its uncertainty.
        """
        with self.gathered():
            ids, (x, y) = self._selected()
            origins = self.origins_of(ids)
        return PerClip(ids.numpy(), origins.numpy(), pseudo_values(x, y).numpy())


def energy_distance(x: Courses, y: Float[Tensor, "other step"]) -> float:
    """E d(X, Y) - E d(X, X') / 2 - E d(Y, Y') / 2 with d half the L1 distance; means over all pairs, in float64."""
    between, within, other = (
        float(_row_sums(one, two).sum()) / (len(one) * len(two)) for one, two in ((x, y), (x, x), (y, y))
    )
    return max(0.0, between - within / 2 - other / 2)  # never below 0 but by rounding


def pseudo_values(x: Courses, y: Courses) -> Float[Tensor, " clip"]:
    """n D(x, y) - (n - 1) D(x without clip i, y without clip i), for each i; NaN for fewer than two clips."""
    count = len(x)
    between, back, within, other = (_row_sums(one, two) for one, two in ((x, y), (y, x), (x, x), (y, y)))
    own = (x.double() - y.double()).abs().sum(dim=1) / 2
    total = between.sum() - within.sum() / 2 - other.sum() / 2
    without = total - (between + back - own) + within + other
    return total / count - without / (count - 1)


def _row_sums(x: Courses, y: Float[Tensor, "other step"]) -> Float[Tensor, " clip"]:
    """For each row of x the sum of its distances to all rows of y, computed in blocks of rows."""
    x, y = x.double(), y.double()
    return torch.cat([torch.cdist(part, y, p=1).sum(dim=1) / 2 for part in x.split(_BLOCK)])
