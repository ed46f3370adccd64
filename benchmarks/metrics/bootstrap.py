"""The percentile bootstrap of a mean over clips, resampling source videos."""

from collections.abc import Callable

import torch
from jaxtyping import Float, Int
from torch import Tensor

RESAMPLES = 2000
_CELLS = 1 << 24


def bootstrap_mean(
    values: Float[Tensor, " clip"],
    sources: Int[Tensor, " clip"],
    finish: Callable[[Tensor], Tensor] = lambda mean: mean,
    *,
    coverage: float = 0.95,
    seed: int = 0,
) -> tuple[float, float] | None:
    """The percentile interval of `finish(mean of values)` over resampled sources; None for a single source.

    Windows of one video are not independent, so whole videos are resampled, with all their windows (Davison and
    Hinkley, 1997, Sec. 3.8). Deterministic: the resamples depend on `seed` and the number of sources only.
    """
    _, index = sources.unique(return_inverse=True)
    count = int(index.max()) + 1 if len(index) else 0
    if count < 2:
        return None
    sums = torch.zeros(count, dtype=torch.float64).index_add_(0, index, values.double())
    sizes = torch.bincount(index, minlength=count).double()
    generator = torch.Generator().manual_seed(seed)
    means = []
    for block in torch.arange(RESAMPLES).split(max(1, _CELLS // count)):
        drawn = torch.randint(count, (len(block), count), generator=generator)
        means.append(sums[drawn].sum(1) / sizes[drawn].sum(1))
    tail = (1 - coverage) / 2
    low, high = finish(torch.cat(means)).quantile(torch.tensor([tail, 1 - tail], dtype=torch.float64)).tolist()
    return low, high
