"""The delete-group jackknife: intervals for statistics that a bootstrap, which repeats clips, would bias."""

import math
from collections.abc import Callable

import torch
from jaxtyping import Bool, Int
from torch import Tensor

from benchmarks.utils.statistics import t_quantile

GROUPS = 10


def delete_group_jackknife(
    value: float, sources: Int[Tensor, " clip"], without: Callable[[Bool[Tensor, " clip"]], float]
) -> tuple[float, float] | None:
    """The 95 % interval around `value`, from the spread of the statistic when a tenth of the sources is left out.

    It covers the expected statistic at this number of clips and excludes the small-sample bias of a Fréchet distance.
    The repeated clips of a bootstrap would bias the distance upwards (Shao and Tu, 1995, Sec. 2.3).

    Args:
        value: the statistic of all clips.
        sources: the source video of each clip; windows of one video are left out together.
        without: computes the statistic of the clips where its argument is True.

    Returns:
        The interval, or None for fewer than 10 sources.
    """
    group = source_groups(sources)
    if group is None:
        return None
    return jackknife_interval(value, [without(group != index) for index in range(GROUPS)])


def source_groups(sources: Int[Tensor, " clip"]) -> Int[Tensor, " clip"] | None:
    """Which of the ten groups each clip leaves with, as all clips of its source do; None for too few sources."""
    unique, place = sources.unique(return_inverse=True)
    if len(unique) < GROUPS:
        return None
    order = torch.randperm(len(unique), generator=torch.Generator().manual_seed(0))
    return (order % GROUPS)[place]


def jackknife_interval(value: float, left_out: list[float]) -> tuple[float, float]:
    """The 95 % interval around `value`, given the statistic without each of the ten groups."""
    values = torch.tensor(left_out, dtype=torch.float64)
    error = math.sqrt((GROUPS - 1) / GROUPS * float((values - values.mean()).square().sum()))
    half = t_quantile(GROUPS - 1) * error
    return value - half, value + half
