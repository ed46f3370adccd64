"""Precision and recall of generated clips: how many look real, and how much of the real they cover."""

from typing import Any, Literal

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from benchmarks.metrics.featured import Features, SetMetric
from benchmarks.metrics.features.extractor import Extractor, I3DFeatures

_CELLS = 1 << 24


class PrecisionRecall(SetMetric):
    """Improved precision or recall (Kynkäänniemi et al., 2019), of features of clips.

    Precision is the share of the answers that lie within reach of the truth, recall the share of the truth within reach
    of the answers; the reach of a clip is its distance to its `neighbours`-th neighbour. Both depend on the number of
    clips, which only `clips` fixes.

    Args:
        which: "precision" or "recall".
        network: what makes the features; None: I3D's logits.
        frames: how many frames the clips must have.
        clips: how many are compared, spread evenly over the ids; None: all that come.
        neighbours: 3 in the paper; another number stands in the name.
        kwargs: `start`, see `FeatureMetric`, and settings of `torchmetrics.Metric`.
    """

    higher_is_better: bool = True

    def __init__(
        self,
        which: Literal["precision", "recall"] = "precision",
        network: Extractor | None = None,
        *,
        frames: int = 16,
        clips: int | None = None,
        neighbours: int = 3,
        **kwargs: Any,
    ) -> None:
        if which not in ("precision", "recall") or neighbours < 1:
            raise ValueError(f"Ask for precision or recall with 1 neighbour at least; got {which!r} and {neighbours}.")
        suffix = "" if neighbours == 3 else f"_k{neighbours}"
        least = neighbours + 1
        super().__init__(
            which, network or I3DFeatures(), frames=frames, clips=clips, least=least, suffix=suffix, **kwargs
        )
        self.which = which
        self.neighbours = neighbours

    def statistic(self, *sets: Features) -> float:
        """The share of one set that lies within reach of the other."""
        answers, truths = sets
        asked, manifold = (answers, truths) if self.which == "precision" else (truths, answers)
        return float(within_reach(asked, manifold, self.neighbours).double().mean())


def within_reach(
    points: Float[Tensor, "n _width"], manifold: Float[Tensor, "_m _width"], neighbours: int = 3
) -> Bool[Tensor, " n"]:
    """Whether each point lies in a ball about a point of the manifold that reaches to that point's k-th neighbour.

    Equation 2 of the paper, in float64; a point of the manifold is no neighbour of itself.

    Raises:
        ValueError: for a manifold of no more points than neighbours.
    """
    if len(manifold) <= neighbours:
        raise ValueError(f"A {neighbours}-th neighbour needs {neighbours + 1} points at least; got {len(manifold)}.")
    points, manifold = points.double(), manifold.double()
    step = max(1, _CELLS // len(manifold))
    # the smallest of all is the point's distance to itself
    reach = torch.cat([_distances(part, manifold).kthvalue(neighbours + 1, 1).values for part in manifold.split(step)])
    return torch.cat([(_distances(part, manifold) <= reach).any(1) for part in points.split(step)])


def _distances(x: Tensor, y: Tensor) -> Tensor:
    # exact differences: by products, the distance of a point from its double is not zero
    return torch.cdist(x, y, compute_mode="donot_use_mm_for_euclid_dist")
