"""Precision and recall of generated clips: the share that looks real, and the share of real clips they cover."""

from typing import Any, ClassVar, Literal

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from benchmarks.metrics.distribution import DistributionMetric, Features
from benchmarks.metrics.features.extractor import Extractor
from benchmarks.utils.errors import UserError

_CELLS = 1 << 20
_PAIRS = 1 << 14


class PrecisionRecall(DistributionMetric):
    """Improved precision or recall (Kynkäänniemi et al., 2019) of features of clips.

    Precision is the share of predictions inside the targets' manifold, recall the share of targets inside the
    predictions' manifold. A manifold is the union of balls around its points that reach to their k-th neighbour. Both
    depend on the number of clips; fix it with `clips`.

    Args:
        which: "precision" or "recall".
        network: the feature extractor; None: I3D's logits.
        neighbours: k; 3 in the paper, any other number is part of the name.
        kwargs: `frames` (default 16), `clips` and `start`: see `FeatureMetric` and `DistributionMetric`.
    """

    higher_is_better: bool = True
    value_range: ClassVar[tuple[float, float]] = (0.0, 1.0)

    def __init__(
        self,
        which: Literal["precision", "recall"] = "precision",
        network: Extractor | None = None,
        *,
        neighbours: int = 3,
        **kwargs: Any,
    ) -> None:
        if which not in ("precision", "recall") or neighbours < 1:
            raise UserError(
                f"`which` must be precision or recall and neighbours at least 1; got {which!r} and {neighbours}."
            )
        suffix = "" if neighbours == 3 else f"_k{neighbours}"
        super().__init__(which, network, least=neighbours + 1, suffix=suffix, **kwargs)
        self.which = which
        self.neighbours = neighbours

    def statistic(self, *sets: Features) -> float:
        """The share of one set that lies in the other's manifold."""
        predictions, targets = sets
        points, manifold = (predictions, targets) if self.which == "precision" else (targets, predictions)
        return float(within_reach(points, manifold, self.neighbours).double().mean())


def within_reach(
    points: Float[Tensor, "n _width"], manifold: Float[Tensor, "_m _width"], neighbours: int = 3
) -> Bool[Tensor, " n"]:
    """Whether each point lies in a ball around a point of the manifold that reaches to that point's k-th neighbour.

    Equation 2 of the paper, in float64; a point is not its own neighbour. A matrix product decides nearly all pairs;
    those within its rounding error are computed exactly, so that ties and duplicates are handled correctly.

    Raises:
        UserError: if the manifold has no more points than neighbours.
    """
    if len(manifold) <= neighbours:
        raise UserError(f"{neighbours} neighbours need at least {neighbours + 1} points; got {len(manifold)}.")
    points, manifold = points.double(), manifold.double()
    step = max(1, _CELLS // len(manifold))
    reach = torch.cat([_reach(part, manifold, neighbours) for part in manifold.split(step)])
    return torch.cat([_within(part, manifold, reach) for part in points.split(step)])


def _reach(part: Tensor, manifold: Tensor, neighbours: int) -> Tensor:
    """The distance of each point of a part of the manifold to its k-th neighbour."""
    squared, slack = _roughly(part, manifold)
    # the smallest is the distance of the point to itself
    highest = (squared + slack).kthvalue(neighbours + 1, 1, keepdim=True).values
    near = squared - slack <= highest
    exact = torch.full_like(squared, torch.nan)
    exact[near] = _distances(part, manifold, near.nonzero())
    return exact.kthvalue(neighbours + 1, 1).values


def _within(part: Tensor, manifold: Tensor, reach: Tensor) -> Tensor:
    """Whether each point of a part lies in one of the balls."""
    squared, slack = _roughly(part, manifold)
    within = (squared + slack <= reach.square()).any(1)
    unsure = ((squared - slack <= reach.square()) & ~within[:, None]).nonzero()
    points, balls = unsure.unbind(1)
    within[points[_distances(part, manifold, unsure) <= reach[balls]]] = True
    return within


def _roughly(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """Squared distances by one matrix product, with a bound on the rounding error of each."""
    sizes = x.square().sum(1, keepdim=True) + y.square().sum(1)
    # at most 2 (d + 4) eps times the sizes, here and in the exact distances, for sums in any order; four times as much
    slack = sizes * (8 * (x.shape[1] + 8) * torch.finfo(x.dtype).eps)
    return torch.addmm(sizes, x, y.T, alpha=-2), slack


def _distances(x: Tensor, y: Tensor, pairs: Int[Tensor, "_pair 2"]) -> Tensor:
    """Distances of these pairs from exact differences: by products, the distance of duplicates would not be 0."""
    exactly = "donot_use_mm_for_euclid_dist"
    parts = [part.unbind(1) for part in pairs.split(_PAIRS)]
    return torch.cat([torch.cdist(x[i, None], y[j, None], compute_mode=exactly).flatten() for i, j in parts])
