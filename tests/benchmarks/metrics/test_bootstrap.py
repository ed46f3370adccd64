"""The bootstrap covers what it says it covers, resamples videos and not windows, and never changes."""

import pytest
import torch
from torch.testing import assert_close

from benchmarks.metrics.bootstrap import bootstrap_mean


def test_it_covers_the_true_mean_as_often_as_it_says() -> None:
    generator = torch.Generator().manual_seed(0)
    covered = 0
    for _ in range(200):
        interval = bootstrap_mean(torch.randn(40, generator=generator).double() + 3, torch.arange(40))
        assert interval is not None
        covered += interval[0] < 3 < interval[1]
    assert 0.88 < covered / 200 < 0.99


def test_windows_of_one_video_are_not_independent() -> None:
    per_video = torch.randn(20, generator=torch.Generator().manual_seed(0)).double()
    windows, sources = per_video.repeat_interleave(50), torch.arange(20).repeat_interleave(50)
    by_video = bootstrap_mean(windows, sources)
    by_window = bootstrap_mean(windows, torch.arange(1000))
    assert by_video is not None
    assert by_window is not None
    assert by_video[1] - by_video[0] > 4 * (by_window[1] - by_window[0])
    assert_close(by_video, bootstrap_mean(per_video, torch.arange(20)))


def test_the_end_transform_is_applied_to_the_mean() -> None:
    values, sources = torch.rand(30, generator=torch.Generator().manual_seed(0)).double(), torch.arange(30)
    plain, logarithm = bootstrap_mean(values, sources), bootstrap_mean(values, sources, torch.log)
    assert plain is not None
    assert logarithm == pytest.approx(torch.tensor(plain).double().log().tolist(), rel=1e-3)


def test_it_is_the_same_for_ever() -> None:
    values = torch.linspace(0, 1, 11).double()
    interval = bootstrap_mean(values, torch.arange(11))
    assert interval == bootstrap_mean(values, torch.arange(11) + 5)
    assert interval == pytest.approx((0.318182, 0.690909), abs=0.02)


def test_one_source_has_no_interval() -> None:
    assert bootstrap_mean(torch.ones(5).double(), torch.zeros(5, dtype=torch.int64)) is None
