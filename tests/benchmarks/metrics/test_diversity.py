"""Several samples of a clip: their distance from one another, and the best of them."""

from itertools import combinations

import numpy as np
import pytest
import torch
from scipy.spatial.distance import cosine
from torch import Tensor
from torch.nn.functional import cosine_similarity

from benchmarks.metrics.diversity import BestOfSSIM, Diversity, pairwise_distance
from benchmarks.metrics.reference import SSIM
from datamodules.clip import VideoClip
from support.feature_maker import Tiny, clip, ids_of, pair, rows


def num_samples(count: int, number: int, size: int = 8) -> tuple[list[VideoClip], VideoClip, Tensor]:
    generator = torch.Generator().manual_seed(0)
    shape = (number + 1, count, 4, 1, size, size)
    frames = torch.rand(shape, generator=generator) * 2 - 1
    return [clip(one) for one in frames[1:]], clip(frames[0]), ids_of(count)


def test_diversity_equals_scipys_cosine_over_all_pairs() -> None:
    several, target, ids = num_samples(12, 4)
    metric = Diversity(Tiny(), frames=4)
    for prediction in several:
        metric.update(prediction, target, ids)
    looked = [Tiny()(prediction.frames).double().numpy() for prediction in several]
    theirs = [np.mean([cosine(a[i], b[i]) for a, b in combinations(looked, 2)]) for i in range(12)]
    measurement = metric.measurement()
    assert measurement.value == pytest.approx(np.mean(theirs), rel=1e-9)
    assert float(metric.compute()) == measurement.value
    assert measurement.n == 12
    assert measurement.interval is not None
    assert measurement.interval[0] < measurement.value < measurement.interval[1]
    assert metric.name == "diversity_4f_tiny8"


def test_diversity_of_equal_samples_is_zero_and_of_opposite_ones_two() -> None:
    x = torch.randn(3, 7, generator=torch.Generator().manual_seed(0))
    ids = torch.tensor([4, 4, 9, 9, 9, 2])
    found, values = pairwise_distance(ids, torch.stack([x[0], 5 * x[0], x[1], x[1], x[1], x[2]]))
    assert found.tolist() == [4, 9]  # one sample has no distance
    torch.testing.assert_close(values, torch.zeros(2, dtype=torch.float64), rtol=0, atol=1e-12)
    assert float(pairwise_distance(ids[:2], torch.stack([x[0], -x[0]]))[1]) == pytest.approx(2)
    ours = float(pairwise_distance(ids[:2], x[:2])[1])
    assert ours == pytest.approx(1 - float(cosine_similarity(x[0], x[1], dim=0)), rel=1e-5)


def test_diversity_between_clips_does_not_count() -> None:
    prediction, target, ids = pair(6)
    metric = Diversity(Tiny(), frames=4)
    for _ in range(2):
        metric.update(prediction, target, ids)
    assert abs(metric.measurement().value) < 1e-9
    single = Diversity(Tiny(), frames=4)
    single.update(prediction, target, ids)
    with pytest.warns(UserWarning, match="two samples"):
        measurement = single.measurement()
    assert measurement.value is None
    assert measurement.n == 0


def test_the_best_sample_of_each_clip_counts_whatever_their_order() -> None:
    several, target, ids = num_samples(4, 3, size=16)
    each = []
    for prediction in several:
        one = SSIM()
        one.update(prediction, target, ids)
        each.append(one.kept("values")[1])
    stack = torch.stack(each)
    theirs = stack.mean(2).max(0).values
    straight, mixed = BestOfSSIM(3), BestOfSSIM(3)
    for prediction in several:
        straight.update(prediction, target, ids)
    for prediction in (several[2], several[0], several[1]):
        for i in (2, 0, 3, 1):
            mixed.update(rows(prediction, [i]), rows(target, [i]), ids[[i]])
    assert float(straight.compute()) == pytest.approx(float(theirs.mean()), rel=1e-12)
    assert straight.per_clip().values.tolist() == pytest.approx(theirs.tolist(), rel=1e-12)
    assert straight.measurement() == mixed.measurement()
    assert straight.measurement().n == 4
    assert float(straight.compute()) > float(stack.mean())
    assert straight.name == "ssim_best_of_3"


def test_the_number_of_samples_is_fixed() -> None:
    several, target, ids = num_samples(4, 3, size=16)
    metric, two = BestOfSSIM(2), BestOfSSIM(2)
    for prediction in several:
        metric.update(prediction, target, ids)
    for prediction in several[:2]:
        two.update(prediction, target, ids)
    assert metric.measurement() == two.measurement()  # the third is not looked at
    two.update(rows(target, [0]), rows(target, [0]), ids_of(6)[5:])
    with pytest.warns(UserWarning, match="1 of 5 clips have fewer"):
        assert two.measurement() == metric.measurement()
    with pytest.raises(ValueError, match="must be at least 2"):
        BestOfSSIM(1)


def test_the_best_of_a_deterministic_systems_samples_is_its_one_answer() -> None:
    frames = torch.rand(2, 3, 4, 1, 16, 16, generator=torch.Generator().manual_seed(0)) * 2 - 1
    metric, plain = BestOfSSIM(num_samples=1000), SSIM()
    metric.one_answer = True
    for one in (metric, plain):
        one.update(clip(frames[0]), clip(frames[1]), ids_of(3))
    assert metric.measurement().value == plain.measurement().value
    assert (metric.measurement().n, metric.measurement().samples, plain.measurement().samples) == (3, 1, None)
