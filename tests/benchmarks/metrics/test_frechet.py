"""The Fréchet distance: equal to scipy's matrix square root where that works, and sound where it does not."""

import math
import warnings

import numpy as np
import pytest
import torch
from scipy.linalg import sqrtm
from torch import Tensor

from benchmarks.metrics import frechet
from benchmarks.metrics.frechet import Moments, frechet_distance, frechet_distance_of_moments


def features(count: int, width: int, seed: int, *, shift: float = 0.0, decay: float = 0.5) -> Tensor:
    """Correlated features whose spectrum falls off like those of a network."""
    generator = torch.Generator().manual_seed(seed)
    mixing = torch.linalg.qr(torch.randn(width, width, generator=torch.Generator().manual_seed(99))).Q
    scale = torch.arange(1, width + 1) ** -decay
    return torch.randn(count, width, generator=generator) * scale @ mixing + shift


def theirs(x: Tensor, y: Tensor, ddof: int = 1) -> float:
    """The textbook formula, by way of scipy's `sqrtm`."""
    a, b = x.double().numpy(), y.double().numpy()
    cx, cy = np.cov(a, rowvar=False, ddof=ddof), np.cov(b, rowvar=False, ddof=ddof)
    root = sqrtm(cx @ cy)
    return float(((a.mean(0) - b.mean(0)) ** 2).sum() + np.trace(cx + cy) - 2 * np.trace(root).real)


@pytest.mark.parametrize("ddof", [0, 1])
@pytest.mark.parametrize(("n", "m", "width"), [(500, 300, 50), (2000, 2000, 120), (130, 101, 100)])
def test_it_equals_sqrtm_at_full_rank(n: int, m: int, width: int, ddof: int) -> None:
    x, y = features(n, width, 0), features(m, width, 1, shift=0.1, decay=0.7)
    assert frechet_distance(x, y, ddof=ddof) == pytest.approx(theirs(x, y, ddof), rel=1e-6)


def test_a_product_in_blocks_is_the_product(monkeypatch: pytest.MonkeyPatch) -> None:
    """Several blocks, the last of them narrower: as wide features have them."""
    x, y = features(500, 100, 0), features(400, 100, 1, shift=0.1)
    whole = frechet_distance(x, y)
    monkeypatch.setattr(frechet, "_BLOCK", 16)
    assert frechet_distance(x, y) == pytest.approx(whole, rel=1e-12)
    assert whole == pytest.approx(theirs(x, y), rel=1e-6)


@pytest.mark.slow  # importing torchmetrics.image takes 10 s and more
def test_it_equals_torchmetrics() -> None:
    from torchmetrics.image.fid import _compute_fid

    x, y = features(500, 60, 0), features(400, 60, 1, shift=0.1)
    mx, my = Moments.of(x), Moments.of(y)
    other = _compute_fid(mx.mean, mx.covariance(), my.mean, my.covariance())
    assert frechet_distance(x, y) == pytest.approx(float(other), rel=1e-9)


def test_of_known_gaussians() -> None:
    """N(0, 1) and N(3, 4) in one direction: 9 + (1 - 2)^2."""
    x = torch.tensor([[-1.0], [1.0]]).double() / math.sqrt(2)
    assert frechet_distance(x, 2 * x + 3) == pytest.approx(10, rel=1e-12)


SINGULAR = [(20, 30), (20, 20), (64, 30), (64, 64), (63, 100), (65, 64), (100, 64), (32, 31), (10, 500)]


@pytest.mark.parametrize(("n", "m"), SINGULAR)
def test_all_ways_agree_when_there_are_few_clips(n: int, m: int) -> None:
    """Width 64; the low-rank way on zero-padded features must equal the way of covariances."""
    x, y = features(n, 64, 0), features(m, 64, 1, shift=0.2)
    wide = [
        torch.nn.functional.pad(f, (0, 600)) for f in (x, y)
    ]  # dead units change nothing, and force the low-rank way
    low_rank = frechet_distance(*wide)
    assert frechet_distance_of_moments(Moments.of(x), Moments.of(y)) == pytest.approx(low_rank, rel=1e-6)
    assert frechet_distance(x, y) == pytest.approx(low_rank, rel=1e-6)
    assert frechet_distance(y, x) == pytest.approx(low_rank, rel=1e-6)


@pytest.mark.parametrize("count", [2, 16, 63, 64, 65, 200])
@pytest.mark.parametrize(
    "broken", ["nothing", "dead unit", "duplicates", "all dead but one", "large offset", "tiny", "huge"]
)
def test_a_set_is_at_distance_zero_from_itself(count: int, broken: str) -> None:
    x = features(count, 64, 0)
    if broken == "dead unit":
        x[:, 5] = 0
    elif broken == "duplicates":
        x[count // 2 :] = x[: count - count // 2].clone()
    elif broken == "all dead but one":
        x[:, 1:] = 3
    elif broken == "large offset":
        x += 30
    else:
        x *= {"tiny": 1e-12, "huge": 1e12}.get(broken, 1)
    scale = float(Moments.of(x).covariance().trace())
    for distance in (frechet_distance(x, x), frechet_distance_of_moments(Moments.of(x), Moments.of(x))):
        assert 0 <= distance <= 1e-6 * scale + 1e-300


def test_sets_that_do_not_vary() -> None:
    assert frechet_distance(torch.ones(5, 8), torch.ones(5, 8)) == 0
    assert frechet_distance(torch.ones(5, 8), torch.zeros(50, 8)) == pytest.approx(8)


def test_it_is_sound_where_sqrtm_goes_wrong() -> None:
    x, y = features(16, 64, 0, decay=2.0), features(16, 64, 1, decay=2.0)
    exact = frechet_distance(x, y)
    assert exact > 0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert abs(theirs(x, y) - exact) < 1e-2 * exact + 1e-2


def test_moments_of_pieces_are_the_moments_of_the_whole() -> None:
    x = features(103, 20, 0, shift=30)
    whole, pieces = Moments.of(x), Moments.of(x[:10])
    for piece in x[10:].split(31):
        pieces = pieces.merge(Moments.of(piece))
    assert pieces.clips == whole.clips
    torch.testing.assert_close(pieces.mean, whole.mean, rtol=1e-12, atol=0)
    torch.testing.assert_close(pieces.scatter, whole.scatter, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_what_cannot_be_measured_is_refused(bad: float) -> None:
    x = features(10, 4, 0)
    broken = x.clone()
    broken[3, 2] = bad
    with pytest.raises(ValueError, match="must be finite"):
        frechet_distance(x, broken)
    with pytest.raises(ValueError, match="two clips"):
        frechet_distance(x, x[:1])
    with pytest.raises(ValueError, match="same width"):
        frechet_distance(x, x[:, :3])
