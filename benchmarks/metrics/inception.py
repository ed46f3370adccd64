"""Inception score: confidence of a classifier on each clip, and diversity of its classes over all clips."""

import math
from typing import Any, ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from benchmarks.metrics.distribution import DistributionMetric, Features, Side
from benchmarks.metrics.features.extractor import Extractor
from benchmarks.utils.errors import UserError


class InceptionScore(DistributionMetric):
    """exp of the mean KL divergence between each clip's class distribution and the marginal (Salimans et al., 2016).

    Between 1 and the number of classes. The score of the real data (`of="target"`) is the ceiling: a higher score means
    that the classifier is fooled. Scores of different networks are different metrics.

    Args:
        network: an extractor whose features are class logits: C3D's for the papers' video IS, or I3D's.
        of: "prediction", or "target" for the ceiling, whose name is then `is_real`.
        splits: the number of random subsets whose scores are averaged: 10 in the paper. Small subsets score lower, so
            any other number is part of the name.
        kwargs: `frames` (default 16), `clips` and `start`: see `FeatureMetric` and `DistributionMetric`.
    """

    higher_is_better: bool = True
    value_range: ClassVar[tuple[float, float]] = (1.0, math.inf)

    def __init__(
        self,
        network: Extractor,
        of: Side = "prediction",
        *,
        splits: int = 10,
        **kwargs: Any,
    ) -> None:
        if of not in ("prediction", "target") or splits < 1:
            raise UserError(f"`of` must be prediction or target and splits at least 1; got {of!r} and {splits}.")
        suffix = "" if splits == 10 else f"_{splits}splits"
        measure = "is" if of == "prediction" else "is_real"
        super().__init__(measure, network, (of,), least=2 * splits, suffix=suffix, **kwargs)
        self.splits = splits

    def statistic(self, *sets: Features) -> float:
        """The mean score of random subsets, with a fixed seed."""
        logits = sets[0]
        order = torch.randperm(len(logits), generator=torch.Generator().manual_seed(0))
        return inception_score(logits[order], self.splits)


def inception_score(logits: Float[Tensor, "_clip _class"], splits: int = 1) -> float:
    """The mean over `splits` consecutive subsets of exp(mean KL(p(y|x) || p(y))), in float64.

    Raises:
        UserError: if there are fewer clips than subsets.
    """
    if len(logits) < splits:
        raise UserError(f"{len(logits)} clips cannot be split into {splits} subsets. Lower `splits`.")
    scores = []
    for part in logits.double().tensor_split(splits):
        conditional = part.log_softmax(1)
        marginal = conditional.logsumexp(0) - math.log(len(part))
        scores.append((conditional.exp() * (conditional - marginal)).sum(1).mean().exp())
    return float(torch.stack(scores).mean())
