"""The k-th samples of all queries make a set; each set is scored alone."""

import statistics
from typing import Literal

import pytest
import torch
from torch import Tensor

from benchmarks.metrics.gathered import GatheredMetric
from benchmarks.metrics.inception import InceptionScore
from benchmarks.metrics.over_fresh_samples import OverFreshSamples
from support.feature_maker import Tiny, clip, ids_of

CLIPS, SAMPLES = 24, 3


def predictions(sample: int) -> Tensor:
    return torch.rand(CLIPS, 16, 3, 4, 4, generator=torch.Generator().manual_seed(sample)) * 2 - 1


def score() -> InceptionScore:
    return InceptionScore(Tiny(), splits=1)


def updated(report: Literal["mean", "deviation"], batch: int, samples: int = SAMPLES) -> OverFreshSamples:
    """Updated as in an evaluation: batch by batch, each query once for every sample."""
    metric, ids = OverFreshSamples(score(), batches=SAMPLES, report=report), ids_of(CLIPS)
    for part in torch.arange(CLIPS).split(batch):
        for sample in range(samples):
            metric.update(clip(predictions(sample)[part]), clip(predictions(9)[part]), ids[part])
    return metric


def alone(sample: int) -> float:
    metric = score()
    metric.update(clip(predictions(sample)), clip(predictions(9)), ids_of(CLIPS))
    return metric.measurement().value


@pytest.mark.parametrize("batch", [CLIPS, 5])
def test_they_are_the_mean_and_deviation_of_scores_taken_alone(batch: int) -> None:
    theirs = [alone(sample) for sample in range(SAMPLES)]
    mean, deviation = updated("mean", batch).measurement(), updated("deviation", batch).measurement()
    assert mean.value == pytest.approx(statistics.mean(theirs), rel=1e-6)
    assert deviation.value == pytest.approx(statistics.stdev(theirs), rel=1e-4)
    assert mean.n == deviation.n == CLIPS


def test_further_samples_change_nothing_and_too_few_are_not_available() -> None:
    assert updated("mean", 8, SAMPLES + 2).measurement() == updated("mean", 8).measurement()
    with pytest.warns(UserWarning, match="needs 2 clips"):
        assert updated("deviation", 8, SAMPLES - 1).compute().isnan()


def test_names_and_directions() -> None:
    mean, deviation = OverFreshSamples(score()), OverFreshSamples(score(), report="deviation")
    assert mean.name == "is_16f_tiny8_1splits_mean_of_5"
    assert deviation.name == "is_16f_tiny8_1splits_deviation_of_5"
    assert (mean.higher_is_better, deviation.higher_is_better) == (True, False)
    assert mean.protocol == score().protocol
    with pytest.raises(ValueError, match=r"at least 2.*batches=1"):
        OverFreshSamples(score(), batches=1)


def test_what_is_forgotten_is_forgotten() -> None:
    metric = updated("mean", 8)
    metric.reset()
    part = metric.parts[0]
    assert isinstance(part, GatheredMetric)
    assert not len(part.kept("prediction")[0])
