"""Fresh batches are the draws of every question, each measured by itself."""

import statistics
from typing import Literal

import pytest
import torch
from torch import Tensor

from benchmarks.metrics.gathered import GatheredMetric
from benchmarks.metrics.inception import InceptionScore
from benchmarks.metrics.over_fresh_samples import OverFreshSamples
from support.feature_maker import Tiny, clip, ids_of

CLIPS, DRAWS = 24, 3


def answers(draw: int) -> Tensor:
    return torch.rand(CLIPS, 16, 3, 4, 4, generator=torch.Generator().manual_seed(draw)) * 2 - 1


def score() -> InceptionScore:
    return InceptionScore(Tiny(), splits=1)


def asked(report: Literal["mean", "deviation"], batch: int, draws: int = DRAWS) -> OverFreshSamples:
    """As an exam asks: batch by batch, each question again and again."""
    metric, ids = OverFreshSamples(score(), batches=DRAWS, report=report), ids_of(CLIPS)
    for part in torch.arange(CLIPS).split(batch):
        for draw in range(draws):
            metric.update(clip(answers(draw)[part]), clip(answers(9)[part]), ids[part])
    return metric


def alone(draw: int) -> float:
    metric = score()
    metric.update(clip(answers(draw)), clip(answers(9)), ids_of(CLIPS))
    return metric.measurement().value


@pytest.mark.parametrize("batch", [CLIPS, 5])
def test_they_are_the_mean_and_deviation_of_scores_taken_alone(batch: int) -> None:
    theirs = [alone(draw) for draw in range(DRAWS)]
    mean, deviation = asked("mean", batch).measurement(), asked("deviation", batch).measurement()
    assert mean.value == pytest.approx(statistics.mean(theirs), rel=1e-6)
    assert deviation.value == pytest.approx(statistics.stdev(theirs), rel=1e-4)
    assert mean.n == deviation.n == CLIPS


def test_further_draws_change_nothing_and_too_few_are_no_number() -> None:
    assert asked("mean", 8, DRAWS + 2).measurement() == asked("mean", 8).measurement()
    with pytest.warns(UserWarning, match="needs 2 clips"):
        assert asked("deviation", 8, DRAWS - 1).compute().isnan()


def test_names_and_directions() -> None:
    mean, deviation = OverFreshSamples(score()), OverFreshSamples(score(), report="deviation")
    assert mean.name == "is_16f_tiny8_1splits_mean_of_5"
    assert deviation.name == "is_16f_tiny8_1splits_deviation_of_5"
    assert (mean.higher_is_better, deviation.higher_is_better) == (True, False)
    assert mean.protocol == score().protocol
    with pytest.raises(ValueError, match=r"at least 2.*batches=1"):
        OverFreshSamples(score(), batches=1)


def test_what_is_forgotten_is_forgotten() -> None:
    metric = asked("mean", 8)
    metric.reset()
    part = metric.parts[0]
    assert isinstance(part, GatheredMetric)
    assert not len(part.kept("prediction")[0])
