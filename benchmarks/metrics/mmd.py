"""MMD: the unbiased distance of two sets of features under a cubic kernel, as in KID."""

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from benchmarks.metrics.distribution import DistributionMetric, Features
from benchmarks.metrics.features.extractor import Extractor
from benchmarks.utils.errors import UserError

_CELLS = 1 << 24


class MaximumMeanDiscrepancy(DistributionMetric):
    """The squared maximum mean discrepancy between the features of answers and of truth (Bińkowski et al., 2018).

    Unbiased at any number of clips, so numbers of different `n` compare, and assumes no Gaussian. Over all clips, where
    KID averages random subsets: the same expectation with less noise. Near 0, and as often below, for equal sets.

    Args:
        network: what makes the features; None: I3D's logits.
        kwargs: `frames` (16 unless told), `clips` and `start`: see `FeatureMetric` and `DistributionMetric`.
    """

    higher_is_better: bool = False

    def __init__(self, network: Extractor | None = None, **kwargs: Any) -> None:
        super().__init__("mmd", network, **kwargs)

    def statistic(self, *sets: Features) -> float:
        """See `polynomial_mmd`."""
        return polynomial_mmd(*sets)


def polynomial_mmd(x: Float[Tensor, "_n _width"], y: Float[Tensor, "_m _width"]) -> float:
    """The U-statistic of the squared MMD under (x . y / d + 1)^3 (Bińkowski et al., 2018, Eq. 4), in float64.

    Raises:
        UserError: for fewer than two rows on a side.
    """
    if min(len(x), len(y)) < 2:
        raise UserError(f"An unbiased MMD needs two rows on either side at least; got {len(x)} and {len(y)}.")
    x, y = x.double(), y.double()
    within = sum(
        (_total(rows, rows) - _kernel((rows * rows).sum(1), x)) / (len(rows) * (len(rows) - 1)) for rows in (x, y)
    )
    return float(within - 2 * _total(x, y) / (len(x) * len(y)))


def _total(x: Tensor, y: Tensor) -> Tensor:
    """The sum of the kernel over all pairs, some rows at a time."""
    parts = x.split(max(1, _CELLS // len(y)))
    return torch.stack([_kernel(part @ y.T, x) for part in parts]).sum()


def _kernel(products: Tensor, rows: Tensor) -> Tensor:
    return (products / rows.shape[1] + 1).pow(3).sum()
