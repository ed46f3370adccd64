"""Inception score: how surely a classifier names each clip, and how many classes it names over all."""

import math
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from benchmarks.metrics.distribution import DistributionMetric, Features, Side
from benchmarks.metrics.features.extractor import Extractor
from benchmarks.utils.errors import UserError


class InceptionScore(DistributionMetric):
    """exp of the mean Kullback-Leibler divergence of a clip's classes from all clips' (Salimans et al., 2016).

    From 1 to the number of classes. The score of the real data (`of="target"`) is the ceiling: above it, a score means
    that the classifier is fooled. Scores of different networks share neither name nor column.

    Args:
        network: an extractor whose features are logits of classes: C3D's for the papers' video IS, or I3D's.
        of: "prediction", or "target" for the ceiling, which the name then says (`is_real`).
        splits: into how many random parts they are cut, whose scores are averaged: 10 in the paper. A part of few
            clips scores low, so splits other than 10 stand in the name.
        kwargs: `frames` (16 unless told), `clips` and `start`: see `FeatureMetric` and `DistributionMetric`.
    """

    higher_is_better: bool = True

    def __init__(
        self,
        network: Extractor,
        of: Side = "prediction",
        *,
        splits: int = 10,
        **kwargs: Any,
    ) -> None:
        if of not in ("prediction", "target") or splits < 1:
            raise UserError(f"`of` must be answer or truth and splits 1 at least; got {of!r} and {splits}.")
        suffix = "" if splits == 10 else f"_{splits}splits"
        measure = "is" if of == "prediction" else "is_real"
        super().__init__(measure, network, (of,), least=2 * splits, suffix=suffix, **kwargs)
        self.splits = splits

    def statistic(self, *sets: Features) -> float:
        """The mean score of random parts, for ever the same."""
        logits = sets[0]
        order = torch.randperm(len(logits), generator=torch.Generator().manual_seed(0))
        return inception_score(logits[order], self.splits)


def inception_score(logits: Float[Tensor, "_clip _class"], splits: int = 1) -> float:
    """The mean over consecutive parts of exp(mean KL(p(y|x) || p(y))), in float64.

    Raises:
        UserError: for fewer clips than parts.
    """
    if len(logits) < splits:
        raise UserError(f"{len(logits)} clips cannot be cut into {splits} parts. Lower `splits`.")
    scores = []
    for part in logits.double().tensor_split(splits):
        conditional = part.log_softmax(1)
        marginal = conditional.logsumexp(0) - math.log(len(part))
        scores.append((conditional.exp() * (conditional - marginal)).sum(1).mean().exp())
    return float(torch.stack(scores).mean())
