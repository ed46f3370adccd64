"""Every metric states the range of its values, and no interval leaves it."""

import importlib
import inspect
import pkgutil
from math import isfinite

import pytest
import torch

import benchmarks.metrics
from benchmarks.metrics.base import ClipMetric
from benchmarks.metrics.over_fresh_samples import OverFreshSamples
from benchmarks.metrics.precision_recall import PrecisionRecall
from benchmarks.metrics.reference import SSIM
from benchmarks.utils.by_source import Interval
from support.feature_maker import Tiny, clip, ids_of


def every_metric() -> list[type[ClipMetric]]:
    """All concrete metrics of the package, found."""
    for module in pkgutil.iter_modules(benchmarks.metrics.__path__, "benchmarks.metrics."):
        importlib.import_module(module.name)
    found, waiting = [], [ClipMetric]
    while waiting:
        cls = waiting.pop()
        waiting += cls.__subclasses__()
        if (
            not inspect.isabstract(cls)
            and not cls.__name__.startswith("_")
            and cls.__module__.startswith("benchmarks.")
        ):
            found.append(cls)
    return sorted(set(found), key=lambda cls: cls.__name__)


@pytest.mark.parametrize("cls", every_metric(), ids=lambda cls: cls.__name__)
def test_a_metric_states_its_range_and_no_interval_leaves_it(cls: type[ClipMetric]) -> None:
    stated = [base for base in cls.__mro__[: cls.__mro__.index(ClipMetric)] if "value_range" in vars(base)]
    assert stated, f"{cls.__name__} must state `value_range`"
    if cls is OverFreshSamples:  # it has that of its metric
        assert OverFreshSamples(SSIM()).value_range == SSIM.value_range
        return
    metric = cls.__new__(cls)
    torch.nn.Module.__init__(metric)
    low, high = metric.value_range
    assert low < high
    measured = metric._measured(0.0 if low <= 0 <= high else low, 12, Interval(low - 1, high + 1, "wide"), sources=12)
    if isfinite(low) and isfinite(high):
        assert measured.interval == (low, high)
    elif isfinite(low):
        near = metric._measured(low, 12, Interval(low - 1, low + 1, "wide"), sources=12)
        assert near.interval == (low, low + 1)
        assert (near.sources, near.interval_method) == (12, "wide")


def test_precision_of_real_features_stays_a_share() -> None:
    """Clips of which nearly all lie in the manifold: value plus half-width is above 1 without the range."""
    generator = torch.Generator().manual_seed(4)
    target = torch.rand(40, 4, 1, 8, 8, generator=generator) * 2 - 1
    prediction = torch.cat([target[:38] * 0.98, torch.full((2, 4, 1, 8, 8), 0.95)])
    metric = PrecisionRecall("precision", Tiny(), frames=4)
    metric.update(clip(prediction), clip(target), ids_of(40))
    measured = metric.measurement()
    assert 0.9 < measured.value < 1
    assert measured.interval is not None
    assert 0 <= measured.interval[0] < measured.value < measured.interval[1] == 1
    assert measured.sources == 40
