"""Moments: equal to numpy's, merged in any order, and a Fréchet metric that streams into them forgets nothing else."""

from multiprocessing import get_context
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, distributed
from torch.multiprocessing import start_processes

from benchmarks.metrics.fid import FrechetInceptionDistance
from benchmarks.metrics.fvd import FrechetVideoDistance
from benchmarks.metrics.jackknife import GROUPS
from benchmarks.metrics.moments import Moments, grouped, merged, merged_groups, packed, unpacked
from benchmarks.metrics.streaming_frechet import FrechetMetric
from support.feature_maker import Tiny, ids_of, pair, rows


def features(count: int, width: int = 6) -> Tensor:
    """Far from the origin, where sums of squares cancel."""
    return 30 + torch.randn(count, width, generator=torch.Generator().manual_seed(0))


def agree(ours: Moments, theirs: Moments) -> None:
    assert ours.clips == theirs.clips
    torch.testing.assert_close(ours.mean, theirs.mean, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(ours.scatter, theirs.scatter, rtol=1e-12, atol=1e-9)


def test_streamed_moments_equal_numpys() -> None:
    x = features(2000)
    streamed = merged(Moments.of(part) for part in x.split(7))
    np.testing.assert_allclose(streamed.mean, x.double().numpy().mean(0), rtol=1e-12)
    np.testing.assert_allclose(streamed.covariance(), np.cov(x.double().numpy().T), rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(streamed.covariance(0), np.cov(x.double().numpy().T, ddof=0), rtol=1e-12, atol=1e-12)


def test_the_order_of_a_merge_does_not_matter() -> None:
    parts = [Moments.of(part) for part in features(100).split([1, 30, 2, 60, 7])]
    agree(merged(parts), merged(reversed(parts)))
    agree(parts[0].merge(parts[1].merge(parts[2])), parts[0].merge(parts[1]).merge(parts[2]))


def test_groups_come_back_from_their_packing() -> None:
    x, sources = features(300), torch.arange(0, 3000, 10)  # counted in tens, and yet in all groups
    groups = grouped(x, sources)
    assert len(groups) == GROUPS
    assert min(part.clips for part in groups.values()) > 10
    agree(merged(groups.values()), Moments.of(x))
    back = unpacked(torch.cat([packed(grouped(x[:9], sources[:9])), packed(grouped(x[9:], sources[9:]))]), 6)
    for index in range(GROUPS):
        agree(back[index], groups[index])
    assert merged_groups({}, groups).keys() == groups.keys()


def test_what_has_no_moments_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one row"):
        Moments.of(torch.zeros(0, 3))
    with pytest.raises(ValueError, match="must be finite"):
        Moments.of(torch.tensor([[float("nan")]]))


@pytest.mark.parametrize("metric", [FrechetVideoDistance, FrechetInceptionDistance])
def test_beyond_the_cap_the_number_is_the_same_and_memory_does_not_grow(metric: type[FrechetMetric]) -> None:
    prediction, target, ids = pair(120)
    whole, streamed = metric(Tiny(), frames=4), metric(Tiny(), frames=4, cap=8)  # type: ignore[call-arg]
    sizes = set()
    for part in torch.arange(120).split(5):
        for each in (whole, streamed):
            each.update(rows(prediction, part.tolist()), rows(target, part.tolist()), ids[part])
        state = [tensor for name in streamed._defaults if name != "origins" for tensor in getattr(streamed, name)]
        sizes.add(sum(tensor.numel() for tensor in state))
        assert sum(map(len, streamed.prediction_rows)) <= 8  # type: ignore[arg-type]
    assert len(streamed.prediction_moments)  # type: ignore[arg-type]
    ours, theirs = streamed.measurement(), whole.measurement()
    assert ours.value == pytest.approx(theirs.value, rel=1e-9)
    assert float(streamed.compute()) == ours.value
    assert ours.n == theirs.n == 120
    assert ours.interval is not None and theirs.interval is not None  # noqa: PT018
    width, expected = (interval[1] - interval[0] for interval in (ours.interval, theirs.interval))
    assert 0.3 < width / expected < 3  # other groups of videos
    largest = 2 * (GROUPS * (2 + 8 + 8 * 8) + 8 * (8 * 4 + 1))
    assert max(sizes) <= largest
    streamed.reset()
    assert not len(streamed.prediction_moments)  # type: ignore[arg-type]


def _rank(rank: int, world: int, folder: str) -> None:
    """Of three processes the first streams, the second has too few clips to, the third has none."""
    distributed.init_process_group("gloo", init_method=f"file://{folder}/meet{world}", rank=rank, world_size=world)
    prediction, target, _ = pair(83)
    ids = ids_of(83)
    share = [range(83)] if world == 1 else [range(79), range(79, 83), range(0)]
    found = []
    for metric in (FrechetVideoDistance(Tiny(), frames=4, cap=6), FrechetInceptionDistance(Tiny(), frames=4, cap=6)):
        for part in torch.tensor(share[rank], dtype=torch.int64).split(4):
            if len(part):
                metric.update(rows(prediction, part.tolist()), rows(target, part.tolist()), ids[part])
        measurement = metric.measurement()
        assert measurement.interval is not None
        found.append([measurement.value, float(measurement.n), *measurement.interval, float(metric.compute())])
    torch.save(torch.tensor(found, dtype=torch.float64), f"{folder}/{world}-{rank}.pt")
    distributed.destroy_process_group()


def test_processes_that_stream_and_processes_that_keep_agree(tmp_path: Path) -> None:
    _rank(0, 1, str(tmp_path))
    get_context("forkserver").set_forkserver_preload(["benchmarks.metrics.fvd", "benchmarks.metrics.fid", "pytest"])
    context = start_processes(_rank, args=(3, str(tmp_path)), nprocs=3, join=False, start_method="forkserver")
    while not context.join():
        pass
    alone = torch.load(tmp_path / "1-0.pt", weights_only=True)
    for rank in range(3):
        torch.testing.assert_close(torch.load(tmp_path / f"3-{rank}.pt", weights_only=True), alone, rtol=1e-9, atol=0)


def test_the_cap_of_a_distance_of_frames_counts_frames() -> None:
    """At 16 frames a clip, 50,000 kept clips would be 6.5 GB a side for Inception's features."""
    prediction, target, ids = pair(12)
    fid = FrechetInceptionDistance(Tiny(), frames=4, cap=16)
    fvd = FrechetVideoDistance(Tiny(), frames=4, cap=16)
    for at in range(0, 12, 2):
        index = list(range(at, at + 2))
        for metric in (fid, fvd):
            metric.update(rows(prediction, index), rows(target, index), ids[index])
        held = sum(part.shape[0] * part.shape[1] // fid.network.width for part in fid.prediction_rows)
        assert held <= 16
    assert len(fid.prediction_moments)
    assert not len(fvd.prediction_moments)
    whole = FrechetInceptionDistance(Tiny(), frames=4)
    whole.update(prediction, target, ids)
    assert float(fid.compute()) == pytest.approx(float(whole.compute()), rel=1e-9)
