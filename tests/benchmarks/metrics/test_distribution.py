"""Numbers made of kept features: parity with independent implementations, and the laws that all of them keep."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from scipy.spatial.distance import cdist
from torch import Tensor
from torchmetrics.image.inception import InceptionScore as TorchmetricsInceptionScore
from torchmetrics.image.kid import poly_mmd

from benchmarks.metrics.distribution import DistributionMetric
from benchmarks.metrics.fid import FrechetInceptionDistance
from benchmarks.metrics.frechet import frechet_distance
from benchmarks.metrics.fvd import FrechetVideoDistance, FVDInfinity, extrapolated_distance, rank_of
from benchmarks.metrics.inception import InceptionScore, inception_score
from benchmarks.metrics.mmd import MaximumMeanDiscrepancy, polynomial_mmd
from benchmarks.metrics.precision_recall import PrecisionRecall, within_reach
from support.feature_maker import Long, Tiny, clip, ids_of, pair, rows

SETS: list[Callable[[], DistributionMetric]] = [
    lambda: FrechetVideoDistance(Tiny(), frames=4),
    lambda: FrechetVideoDistance(Tiny(), frames=4, cap=7, clips=20),
    lambda: FVDInfinity(Tiny(3), frames=4),
    lambda: FrechetInceptionDistance(Tiny(), frames=4),
    lambda: MaximumMeanDiscrepancy(Tiny(), frames=4),
    lambda: PrecisionRecall("precision", Tiny(), frames=4),
    lambda: PrecisionRecall("recall", Tiny(), frames=4, neighbours=2),
    lambda: InceptionScore(Tiny(), frames=4, splits=2),
    lambda: InceptionScore(Tiny(), "target", frames=4),
]


def gaussian(count: int, width: int, seed: int, scale: float = 1.0) -> Tensor:
    return scale * torch.randn(count, width, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.mark.parametrize("make", SETS)
def test_neither_order_nor_repetition_matters(make: Callable[[], DistributionMetric]) -> None:
    prediction, target, ids = pair(24)
    straight, shuffled = make(), make()
    straight.update(prediction, target, ids)
    for group in ([23, 1], [5, 0, 1], [5], [i for i in range(23, -1, -1) if i not in (0, 1, 5, 23)]):
        shuffled.update(rows(prediction, group), rows(target, group), ids[group])
    ours, theirs = straight.measurement(), shuffled.measurement()
    assert ours.value == pytest.approx(theirs.value, rel=1e-6)  # float32 features of batches of other sizes
    assert ours.n == theirs.n == (straight.clips or 24)
    assert ours.value == float(straight.compute())
    assert ours.interval is not None
    assert ours.interval[0] <= ours.value <= ours.interval[1]


@pytest.mark.parametrize("make", SETS)
def test_a_clip_that_comes_again_counts_as_it_came_first(make: Callable[[], DistributionMetric]) -> None:
    prediction, target, ids = pair(24)
    once, twice = make(), make()
    once.update(prediction, target, ids)
    twice.update(prediction, target, ids)
    twice.update(clip(-prediction.frames), clip(-target.frames), ids)
    assert float(twice.compute()) == float(once.compute())


@pytest.mark.parametrize("make", SETS)
def test_too_few_clips_are_not_available(make: Callable[[], DistributionMetric]) -> None:
    metric = make()
    prediction, target, ids = pair(metric.least - 1)
    metric.update(prediction, target, ids)
    with pytest.warns(UserWarning, match=f"needs {max(metric.least, metric.clips or 0)} clips"):
        measurement = metric.measurement()
    assert measurement.value is None
    assert measurement.interval is None


def test_names_say_the_protocol() -> None:
    names = [make().name for make in SETS]
    assert len(set(names)) == len(names)
    assert names[1] == "fvd20_4f_tiny8"
    assert names[6] == "recall_4f_tiny8_k2"
    assert names[7:] == ["is_4f_tiny8_2splits", "is_real_4f_tiny8"]
    assert FrechetInceptionDistance(Tiny(), ddof=0, clips=50).name == "fid50_16f_tiny8_ddof0"


@pytest.mark.parametrize("inference", [False, True])
def test_metrics_that_look_through_one_network_look_once(inference: bool) -> None:
    with torch.inference_mode(inference):
        _look_once()


def _look_once() -> None:
    prediction, target, ids = pair(6)
    network = Tiny()
    for metric in (FrechetVideoDistance(network, frames=4), MaximumMeanDiscrepancy(network, frames=4)):
        metric.update(prediction, target, ids)
    assert network.looks == 2  # one for each side
    before = network(prediction.frames)
    prediction.frames.mul_(0.5)  # frames that were written to are others
    metric = MaximumMeanDiscrepancy(network, frames=4)
    metric.update(prediction, target, ids)
    assert network.looks == 4  # one was for `before`
    torch.testing.assert_close(metric.kept("prediction")[1], before / 2)
    other = FrechetVideoDistance(Tiny(seed=1), frames=4)
    other.update(prediction, target, ids)
    assert other.network.looks == 2  # type: ignore[attr-defined]


def test_fid_is_the_distance_of_single_frames() -> None:
    prediction, target, ids = pair(9)
    fid = FrechetInceptionDistance(Tiny(), frames=4)
    fid.update(prediction, target, ids)
    ours = fid.compute()
    looked = [Tiny()(sample.frames.reshape(36, 1, 1, 8, 8)) for sample in (prediction, target)]
    assert float(ours) == pytest.approx(frechet_distance(*looked), rel=1e-6)
    backwards = FrechetInceptionDistance(Tiny(), frames=4)
    backwards.update(clip(target.frames.flip(1)), target, ids)
    assert float(backwards.compute()) == pytest.approx(0, abs=1e-6)  # blind to the order of frames
    with pytest.raises(ValueError, match="image network"):
        FrechetInceptionDistance(Long(), frames=16)


@pytest.mark.parametrize(
    ("clips", "width", "true", "defined"),
    [
        (512, 50, 7.37, True),  # a quarter, 128 clips, has more clips than the features have dimensions
        (256, 400, 7.37, False),
        (200, 50, 7.37, False),  # a quarter has as many
    ],
)
def test_fvd_infinity_is_available_where_its_parts_have_more_clips_than_the_features_rank(
    clips: int, width: int, true: float, defined: bool
) -> None:
    apart = (true / width) ** 0.5  # of each of the means
    estimates = [
        extrapolated_distance(gaussian(clips, width, seed), apart + gaussian(clips, width, 50 + seed))
        for seed in range(4)
    ]
    metric = FVDInfinity(Tiny(width), frames=4)
    ids = ids_of(clips)
    metric.keep("prediction", ids, gaussian(clips, width, 0))
    metric.keep("target", ids, apart + gaussian(clips, width, 50))
    measured = metric.measurement()
    assert measured.sources == clips
    if defined:
        assert np.mean(estimates) == pytest.approx(true, rel=0.1)
        assert measured.value == pytest.approx(estimates[0])
        assert measured.interval is not None
        assert measured.interval[0] < true < measured.interval[1]
        return
    assert measured.value is None
    assert measured.interval is None
    rank = min(width, clips - 1)
    assert f"smallest subset has {clips // 4} clips, no more than the features' rank of {rank}" in str(measured.reason)
    assert f"needs {4 * (rank + 1)} clips or more" in str(measured.reason)
    assert np.isnan(float(metric.compute()))
    if width > clips // 2:
        assert np.mean(estimates) > 2 * true  # what it would have said


def test_the_rank_is_that_of_the_features_that_vary() -> None:
    rows = gaussian(60, 8, 0)
    assert rank_of(rows) == 8
    assert rank_of(torch.cat([rows, rows, torch.ones(60, 5).double()], 1)) == 8
    assert rank_of(rows[:5]) == 4


def test_fvd_infinity_finds_the_distance_that_a_finite_number_of_clips_exaggerates() -> None:
    true = 24 * (0.5**2 + 0.2**2)  # means 0.5 apart, standard deviations 1 and 1.2
    errors, finite_errors = [], []
    for seed in range(8):
        x, y = gaussian(800, 24, seed), 0.5 + gaussian(800, 24, 100 + seed, 1.2)
        errors.append(extrapolated_distance(x, y) - true)
        finite_errors.append(frechet_distance(x, y) - true)
    assert np.mean(finite_errors) > 0.2
    assert abs(np.mean(errors)) < 0.2 * np.mean(finite_errors)
    with pytest.raises(ValueError, match="at least 16"):
        extrapolated_distance(x[:15], y[:15])


def test_mmd_equals_torchmetrics() -> None:
    x, y = gaussian(40, 6, 0), gaussian(40, 6, 1, 1.3) + 0.2
    assert polynomial_mmd(x, y) == pytest.approx(float(poly_mmd(x, y)), rel=1e-12)


def test_mmd_is_unbiased() -> None:
    same = [polynomial_mmd(gaussian(10, 4, 2 * seed), gaussian(14, 4, 2 * seed + 1)) for seed in range(300)]
    assert min(same) < 0 < max(same)
    assert abs(np.mean(same)) < 3 * np.std(same) / 300**0.5
    with pytest.raises(ValueError, match="two rows"):
        polynomial_mmd(gaussian(1, 4, 0), gaussian(4, 4, 0))


def test_mmd_and_reach_of_blocks_are_those_of_the_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    x, y = gaussian(30, 5, 0), gaussian(20, 5, 1)
    whole, reached = polynomial_mmd(x, y), within_reach(x, y)
    monkeypatch.setattr("benchmarks.metrics.mmd._CELLS", 60)
    monkeypatch.setattr("benchmarks.metrics.precision_recall._CELLS", 60)
    monkeypatch.setattr("benchmarks.metrics.precision_recall._PAIRS", 7)
    assert polynomial_mmd(x, y) == pytest.approx(whole, rel=1e-12)
    assert within_reach(x, y).equal(reached)


@pytest.mark.parametrize("neighbours", [1, 3, 5])
def test_reach_equals_scipys_distances(neighbours: int) -> None:
    points, manifold = gaussian(60, 5, 0, 1.5), gaussian(50, 5, 1)
    manifold[7] = manifold[3]  # a clip that is there twice is its own neighbour
    reach = np.sort(cdist(manifold, manifold), axis=1)[:, neighbours]
    theirs = (cdist(points, manifold) <= reach).any(1)
    assert within_reach(points, manifold, neighbours).numpy().tolist() == theirs.tolist()
    assert 0 < theirs.mean() < 1


@pytest.mark.parametrize("neighbours", [1, 3])
def test_reach_is_exact_where_products_are_not(neighbours: int) -> None:
    """Ties on a grid, doubles, and a cloud that is small against its distance from the origin."""
    coarse = [gaussian(60, 6, seed, 0.7).round() for seed in (0, 1)]
    twice = gaussian(12, 3, 0).repeat(5, 1)
    far = [1e6 + 1e-9 * gaussian(60, 6, seed).double() for seed in (2, 3)]
    for points, manifold in (coarse, (twice, twice), (gaussian(20, 3, 1), twice), far):
        reach = np.sort(cdist(manifold, manifold), axis=1)[:, neighbours]
        theirs = (cdist(points, manifold) <= reach).any(1)
        assert within_reach(points, manifold, neighbours).numpy().tolist() == theirs.tolist()


def test_precision_is_of_predictions_and_recall_of_targets() -> None:
    wide, narrow, far = gaussian(200, 3, 0), gaussian(200, 3, 1, 0.1), gaussian(200, 3, 2) + 20

    def both(predictions: Tensor, targets: Tensor) -> tuple[float, float]:
        precision, recall = (PrecisionRecall(which, Tiny(), frames=4) for which in ("precision", "recall"))
        return precision.statistic(predictions, targets), recall.statistic(predictions, targets)

    precision, recall = both(narrow, wide)  # all look real, and they are all alike
    assert precision > 0.95
    assert recall < 0.1
    assert both(wide, narrow) == (recall, precision)
    assert both(far, wide) == (0, 0)
    assert both(wide, wide) == (1, 1)


@pytest.mark.parametrize("splits", [1, 3, 10])
@pytest.mark.filterwarnings("ignore:Metric `InceptionScore`")
def test_inception_score_equals_torchmetrics(splits: int) -> None:
    logits = gaussian(61, 7, 0, 2)
    theirs = TorchmetricsInceptionScore(feature=torch.nn.Identity(), splits=splits)
    theirs.features = [logits]
    torch.manual_seed(3)
    expected = float(theirs.compute()[0])
    torch.manual_seed(3)
    shuffled = logits[torch.randperm(61)]
    ours = np.mean([inception_score(part) for part in shuffled.chunk(splits)])  # theirs cuts 61 into parts of 7
    assert ours == pytest.approx(expected, rel=1e-9)
    if splits == 1:
        assert inception_score(shuffled, splits) == pytest.approx(expected, rel=1e-9)


def test_inception_score_lies_between_one_and_the_number_of_classes() -> None:
    sure = torch.eye(5, dtype=torch.float64).repeat(20, 1) * 1e3
    assert inception_score(sure) == pytest.approx(5)
    assert inception_score(sure, 10) == pytest.approx(5)  # every part of ten has all five
    assert inception_score(torch.zeros(20, 5)) == pytest.approx(1)
    assert inception_score(sure[::5]) == pytest.approx(1)  # sure of one class only
    with pytest.raises(ValueError, match=r"3 clips.* 4 subsets"):
        inception_score(sure[:3], 4)


def test_the_score_is_that_of_random_parts() -> None:
    logits = gaussian(60, 5, 0, 2)
    shuffled = logits[torch.randperm(60, generator=torch.Generator().manual_seed(0))]
    ours = [InceptionScore(Tiny(), frames=4, splits=splits).statistic(logits) for splits in (1, 3, 10)]
    assert ours == [inception_score(shuffled, splits) for splits in (1, 3, 10)]
    assert ours[0] > ours[1] > ours[2]  # a part of few clips scores low


def test_the_ceiling_is_the_score_of_the_targets() -> None:
    prediction, target, ids = pair(40)
    real, swapped = InceptionScore(Tiny(), "target", frames=4), InceptionScore(Tiny(), frames=4)
    real.update(prediction, target, ids)
    swapped.update(target, prediction, ids)
    assert real.compute() == swapped.compute()


def test_windows_of_one_video_leave_together() -> None:
    prediction, target, _ = pair(40)
    alone, together = (MaximumMeanDiscrepancy(Tiny(), frames=4) for _ in range(2))
    alone.update(prediction, target, ids_of(40))
    together.update(prediction, target, ids_of(40, windows=8))
    assert alone.measurement().interval is not None
    assert together.measurement().interval is None  # five videos are too few


def test_what_does_not_fit_is_refused() -> None:
    for make, message in [
        (lambda: FrechetVideoDistance(Tiny(), ddof=2), "ddof must be 0 or 1"),
        (lambda: FrechetVideoDistance(Tiny(), cap=1), "cap at least 2"),
        (lambda: FrechetVideoDistance(Tiny(), clips=1), "at least 2 clips"),
        (lambda: PrecisionRecall("recall", Tiny(), neighbours=0), "neighbours at least 1"),
        (lambda: InceptionScore(Tiny(), splits=0), "splits at least 1"),
        (lambda: MaximumMeanDiscrepancy(Long(), frames=4), "at least 9 frames"),
    ]:
        with pytest.raises(ValueError, match=message):
            make()
