"""Metrics over several processes: the same digits from one, two or three, with uneven shares and with none."""

from multiprocessing import get_context
from pathlib import Path

import torch
from torch import distributed
from torch.multiprocessing import start_processes

from benchmarks.metrics.base import ScoresClips
from benchmarks.metrics.features.extractor import UntrainedFeatures
from benchmarks.metrics.fvd import FrechetVideoDistance
from benchmarks.metrics.motion_course import MotionCourseDistance
from benchmarks.metrics.reference import SSIM, PooledPSNR
from benchmarks.records.parts import Measurement
from datamodules.clip import VideoClip, sample_id

CLIPS = 13
IDS = torch.tensor([sample_id(source, 0) for source in range(CLIPS)])


def _pair() -> tuple[VideoClip, VideoClip]:
    frames = torch.rand(2, CLIPS, 4, 1, 16, 16, generator=torch.Generator().manual_seed(0))
    times = torch.arange(4.0).expand(CLIPS, -1)
    return VideoClip(frames[0], times), VideoClip(frames[1], times)


def _rank(rank: int, world: int, folder: str) -> None:
    """Measure every `world`-th clip; the last of three processes has none; write what this process found."""
    distributed.init_process_group("gloo", init_method=f"file://{folder}/meet{world}", rank=rank, world_size=world)
    workers = 2 if world == 3 else world
    prediction, target = _pair()
    summaries = []
    for metric in (
        SSIM(),
        PooledPSNR(),
        FrechetVideoDistance(UntrainedFeatures(), frames=4),
        MotionCourseDistance(frames=4),
    ):
        mine = range(rank, CLIPS, workers) if rank < workers else range(0)
        for index in mine:
            metric.update(
                *(VideoClip(*(field[[index]] for field in case)) for case in (prediction, target)), IDS[[index]]
            )
        kept = torch.from_numpy(metric.per_clip().values) if isinstance(metric, ScoresClips) else IDS
        summaries.append((metric.measurement(), float(metric.compute()), kept))
    torch.save(summaries, f"{folder}/{world}-{rank}.pt")
    distributed.destroy_process_group()


def test_any_number_of_processes_gives_the_same_numbers(tmp_path: Path) -> None:
    _rank(0, 1, str(tmp_path))
    # one process imports torch, the others are forked from it
    get_context("forkserver").set_forkserver_preload(["benchmarks.metrics.fvd", "pytest"])
    contexts = [
        start_processes(_rank, args=(world, str(tmp_path)), nprocs=world, join=False, start_method="forkserver")
        for world in (2, 3)
    ]
    for context in contexts:
        while not context.join():
            pass
    load = torch.serialization.safe_globals([Measurement])
    with load:
        alone = torch.load(tmp_path / "1-0.pt", weights_only=True)
        for path in [f"{world}-{rank}.pt" for world in (2, 3) for rank in range(world)]:
            for ours, theirs in zip(torch.load(tmp_path / path, weights_only=True), alone, strict=True):
                assert ours[0] == theirs[0]  # value, interval and all frames, to the last digit
                assert ours[0].n == CLIPS
                assert ours[1] == theirs[1]
                assert ours[2].equal(theirs[2])
