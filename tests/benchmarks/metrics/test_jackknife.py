"""The delete-group jackknife covers distances of Gaussians, also by few sources, which leave together."""

import pytest
import torch

from benchmarks.metrics.frechet import frechet_distance
from benchmarks.metrics.jackknife import FEWEST_SOURCES, delete_group_jackknife, jackknife_interval
from benchmarks.metrics.mmd import polynomial_mmd
from benchmarks.metrics.precision_recall import within_reach


def test_it_covers_the_frechet_distance_that_so_many_clips_have_in_the_mean() -> None:
    generator = torch.Generator().manual_seed(0)
    intervals, values = [], []
    for _ in range(100):
        x, y = torch.randn(60, 3, generator=generator), 0.5 + 1.5 * torch.randn(60, 3, generator=generator)
        values.append(frechet_distance(x, y))
        found = delete_group_jackknife(values[-1], torch.arange(60), lambda kept: frechet_distance(x[kept], y[kept]))  # noqa: B023
        assert found is not None
        intervals.append(found)
    mean = sum(values) / len(values)
    assert 0.85 < sum(low < mean < high for low, high, _ in intervals) / 100 <= 1
    assert 0 < mean - 3 * (0.5**2 + 0.5**2) < 0.6  # the true distance lies below: the bias of 60 clips


def test_of_a_mean_it_is_the_t_interval_of_group_means() -> None:
    values = torch.randn(200, generator=torch.Generator().manual_seed(0)).double()
    interval = delete_group_jackknife(float(values.mean()), torch.arange(200), lambda kept: float(values[kept].mean()))
    assert interval is not None
    expected = 2.262 * float(values.std()) / 200**0.5  # nine degrees of freedom
    assert (interval[1] - interval[0]) / 2 == pytest.approx(expected, rel=0.5)
    assert (interval[0] + interval[1]) / 2 == pytest.approx(float(values.mean()))


def test_of_a_mean_of_ten_equal_groups_it_is_exactly_their_t_interval() -> None:
    means = torch.tensor([0.0, 1, 2, 3, 4, 5, 6, 7, 8, 14], dtype=torch.float64)
    interval = jackknife_interval(5.0, [float((50 - mean) / 9) for mean in means])
    assert interval is not None
    half = 2.262157 * float(means.std()) / 10**0.5  # the 97.5 % quantile of Student's t with nine degrees of freedom
    assert (interval.low, interval.high) == pytest.approx((5 - half, 5 + half), rel=1e-6)


def test_windows_of_one_video_leave_together() -> None:
    left = []

    def without(kept: torch.Tensor) -> float:
        left.append(set((~kept).nonzero().flatten().tolist()))
        return 0.0

    sources = torch.arange(24).repeat_interleave(3)
    assert delete_group_jackknife(0.0, sources, without) is None  # what never changes has no interval of no width
    assert len(left) == 10
    assert set.union(*left) == set(range(72))
    assert all({3 * (i // 3) + k for k in range(3)} <= gone for gone in left for i in gone)
    assert delete_group_jackknife(0.0, sources[: 3 * FEWEST_SOURCES - 3], lambda kept: float(kept.sum())) is None
    assert delete_group_jackknife(0.0, sources[: 3 * FEWEST_SOURCES], lambda kept: float(kept[:7].sum())) is not None


@pytest.mark.parametrize("statistic", ["frechet", "mmd", "precision"])
def test_it_covers_by_twenty_sources_of_unequal_numbers_of_clips(statistic: str) -> None:
    """Clips of one source share two thirds of their variance; the truth is the mean over many data sets."""
    of = {
        "frechet": frechet_distance,
        "mmd": polynomial_mmd,
        "precision": lambda x, y: float(within_reach(x, y).double().mean()),
    }[statistic]
    generator, trials = torch.Generator().manual_seed(1), 100
    values, intervals = [], []
    for _ in range(trials):
        sources = torch.arange(20).repeat_interleave(torch.randint(1, 6, (20,), generator=generator))
        x, y = (
            torch.randn(20, 3, generator=generator)[sources]
            + torch.randn(len(sources), 3, generator=generator) / 2**0.5
            for _ in range(2)
        )
        x[:, 0] += 1
        values.append(of(x, y))
        found = delete_group_jackknife(values[-1], sources, lambda kept: of(x[kept], y[kept]))  # noqa: B023
        assert found is not None
        intervals.append(found)
    mean = sum(values) / trials
    # 100 trials of one that covers 93 to 95 % hold fewer than 87 in two of a hundred cases
    assert sum(low < mean < high for low, high, _ in intervals) >= 86
