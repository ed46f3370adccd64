"""MMD: the unbiased squared discrepancy of two sets of features under a cubic kernel, as in KID."""

from math import inf
from typing import Any, ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from benchmarks.metrics.distribution import DistributionMetric, Features
from benchmarks.metrics.features.extractor import Extractor
from benchmarks.utils.errors import UserError

_CELLS = 1 << 24


class MaximumMeanDiscrepancy(DistributionMetric):
    """The squared maximum mean discrepancy between the features of predictions and targets (Bińkowski et al., 2018).

    Unbiased at any number of clips, so values of different `n` are comparable, and free of a Gaussian assumption.
    Computed over all clips, where KID averages over random subsets: the same expectation with less variance. For equal
    distributions it scatters around 0 and may be negative.

    Args:
        network: the feature extractor; None: I3D's logits.
        kwargs: `frames` (default 16), `clips` and `start`: see `FeatureMetric` and `DistributionMetric`.
    """

    higher_is_better: bool = False
    value_range: ClassVar[tuple[float, float]] = (-inf, inf)

    def __init__(self, network: Extractor | None = None, **kwargs: Any) -> None:
        super().__init__("mmd", network, **kwargs)

    def statistic(self, *sets: Features) -> float:
        """See `polynomial_mmd`."""
        return polynomial_mmd(*sets)


def polynomial_mmd(x: Float[Tensor, "_n _width"], y: Float[Tensor, "_m _width"]) -> float:
    """The U-statistic of the squared MMD under (x . y / d + 1)^3 (Bińkowski et al., 2018, Eq. 4), in float64.

    Raises:
        UserError: if a side has fewer than two rows.
    """
    if min(len(x), len(y)) < 2:
        raise UserError(f"An unbiased MMD needs at least two rows on each side; got {len(x)} and {len(y)}.")
    x, y = x.double(), y.double()
    within = sum(
        (_total(rows, rows) - _kernel((rows * rows).sum(1), x)) / (len(rows) * (len(rows) - 1)) for rows in (x, y)
    )
    return float(within - 2 * _total(x, y) / (len(x) * len(y)))


def _total(x: Tensor, y: Tensor) -> Tensor:
    """The sum of the kernel over all pairs, computed in blocks of rows."""
    parts = x.split(max(1, _CELLS // len(y)))
    return torch.stack([_kernel(part @ y.T, x) for part in parts]).sum()


def _kernel(products: Tensor, rows: Tensor) -> Tensor:
    return (products / rows.shape[1] + 1).pow(3).sum()
