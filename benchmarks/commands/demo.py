"""The demo (`make demo`): Vid-ODE on bouncing balls, ranked beside trivial baselines, rendered at 4x the frame rate."""

import argparse
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table

from benchmarks.commands import run
from benchmarks.records.record import Record, read_records
from benchmarks.runs.spec import BenchmarkSpec, read_benchmark
from benchmarks.runs.standing import results_and_retired

BENCHMARK = Path("configs/benchmark/demo.yaml")
OURS = "Vid-ODE, extrapolate, 200 s"
FRAMES = (1, 2, 3, 4, 5)
CLIP = 3
"""Index of the rendered test clip."""


def main(folder: Path = Path("runs/demo")) -> int:
    """Run everything; returns 1 only if a row fails, not if the short training misses its goal."""
    start = time.monotonic()
    console = Console()
    spec = read_benchmark(BENCHMARK)
    results = folder / "results"
    parser = argparse.ArgumentParser()
    run.add_arguments(parser)
    code = run.main(parser.parse_args([str(BENCHMARK), "--runs", str(folder), "--results", str(results)]))
    records, retired = results_and_retired(read_records(results).values(), {spec.name: spec})
    for row in retired:
        console.print(f"{row.label} is left out: {row.why}.")
    for task in ("predict", "interpolate"):
        for table in tables(spec, [record for record in records if record.task["name"] == task], task):
            console.print(table)
    console.print(verdict(records))
    for checkpoint in sorted((folder / "predict_bouncing_balls" / "vid_ode_demo").rglob("last.ckpt"))[-1:]:
        for path in render(checkpoint, folder):
            console.print(f"Look at {path}")
    console.print(f"The demo took {(time.monotonic() - start) / 60:.1f} minutes. The records are in {results}.")
    return code


def tables(spec: BenchmarkSpec, records: Sequence[Record], task: str) -> list[Table]:
    """The leaderboard of one task, over all frames and per frame, best first."""
    first = spec.metrics[0]
    ranked = sorted(records, key=lambda record: _value(record, first))
    overall = Table(title=f"{task}: {records[0].protocol.id if records else ''}", title_justify="left")
    overall.add_column("row")
    for metric in spec.metrics:
        overall.add_column(f"{metric.replace('_', ' ')} {_arrow(ranked, metric)}", justify="right")
    for record in ranked:
        overall.add_row(record.row, *(f"{_value(record, metric):.4f}" for metric in spec.metrics))
    pages = [overall]
    for metric, frames in spec.per_frame.items():
        page = Table(
            title=f"{task}: {metric.replace('_', ' ')} {_arrow(ranked, metric)} by frame", title_justify="left"
        )
        page.add_column("row")
        usable = [f for f in frames if all(f <= len(_per_frame(record, metric)) for record in ranked)]
        for frame in usable:
            page.add_column(str(frame), justify="right")
        for record in ranked:
            page.add_row(record.row, *(f"{_per_frame(record, metric)[frame - 1]:.4f}" for frame in usable))
        pages.append(page)
    return pages


def verdict(records: Sequence[Record]) -> str:
    """Whether the short training is better than every trivial baseline, with the numbers."""
    predicted = {record.row: record for record in records if record.task["name"] == "predict"}
    if OURS not in predicted:
        return f"'{OURS}' has no record, so it cannot be compared."
    ours = predicted[OURS]
    baselines = [record for label, record in predicted.items() if not label.startswith("Vid-ODE")]
    best_baseline = min(baselines, key=lambda record: _value(record, "ball_position_error"))
    position = _value(ours, "ball_position_error")
    better_position = position < _value(best_baseline, "ball_position_error")
    lines = [
        f"Ball-position error: {position:.3f} px, against {_value(best_baseline, 'ball_position_error'):.3f} px of "
        f"the best trivial baseline ({best_baseline.row}): {'better' if better_position else 'NOT better'}."
    ]
    missed = []
    for frame in FRAMES:
        best = max(baselines, key=lambda record: _per_frame(record, "ssim")[frame - 1])
        mine, theirs = (_per_frame(record, "ssim")[frame - 1] for record in (ours, best))
        lines.append(f"SSIM of frame {frame}: {mine:.4f}, against {theirs:.4f} ({best.row}).")
        if mine <= theirs:
            missed.append(str(frame))
    if better_position and not missed:
        lines.append(
            "The goal is reached: better ball positions and better SSIM at frames 1 to 5 than every trivial baseline."
        )
    else:
        what = ([] if better_position else ["ball positions"]) + (
            [f"SSIM at frames {', '.join(missed)}"] * bool(missed)
        )
        lines.append(f"The goal is MISSED by this short training: {' and '.join(what)}. Longer trainings do better.")
    return "\n".join(lines)


def render(checkpoint: Path, folder: Path) -> list[Path]:
    """One test clip, predicted at 1x and at 4x the frame rate, in slow motion; and both beside the target.

    The picture in README is `render(Path("benchmarks/results/demo/vid_ode_small.safetensors"), ...)`.
    """
    import numpy as np
    import torch

    from benchmarks.commands.sample.cli import continued
    from benchmarks.evaluation.capabilities import Predicts
    from benchmarks.evaluation.gallery import picture
    from benchmarks.utils.pixels import from_pixels, to_pictures
    from datamodules.base.module import ClipDataModule
    from datamodules.bouncing_balls import BouncingBalls
    from datamodules.clip import VideoClip
    from datamodules.sampling import Regular
    from datamodules.storage.video_writer import write_video
    from lightning_modules.checkpoints.build import load

    system = load(checkpoint)
    assert isinstance(system, Predicts)

    def target(rate: int) -> VideoClip:
        length = 19 * rate // 20 + 1
        data: ClipDataModule = BouncingBalls(1, 1, CLIP + 1, length, rate, sampling=Regular(length, start="first"))
        source = data.source("test")
        frames = source.read(np.array([CLIP]), np.arange(length)[None])
        return VideoClip(from_pixels(frames), torch.from_numpy(source.times(CLIP))[None].float())

    clip = target(20)
    observed = VideoClip(clip.frames[:, :10], clip.times[:, :10])
    written, panels = [], []
    fine = target(80).frames[0]
    panels.append((fine, torch.arange(len(fine)) <= 36))
    for times in (1, 4):
        with torch.inference_mode():
            frames = continued(system, observed, 10, 0.5, 20 * times, 0, "cpu")
        for suffix in ("mp4", "gif"):
            path = folder / f"vid_ode_{times}x.{suffix}"
            write_video(path, to_pictures(frames, 6), 5 * times)  # a quarter of the speed: 1x jumps, 4x flows
            written.append(path)
        held = torch.tensor(
            [4] * 9 + [4 // times] * (len(frames) - 9)
        )  # steps of the fine grid for which a frame is shown
        steady = frames.repeat_interleave(held, dim=0)
        panels.append((steady[: len(fine)], torch.arange(len(fine)) < int(held[:10].sum())))
    path = folder / "target_1x_4x.gif"
    write_video(path, torch.cat([picture(*panel) for panel in panels], dim=-1).numpy(), 20)
    return [*written, path]


def _value(record: Record, metric: str) -> float:
    entry = record.metrics[metric]
    return float("inf") if entry.value is None else float(entry.value)


def _per_frame(record: Record, metric: str) -> list[float]:
    return [float(value) for value in record.metrics[metric].per_frame or []]


def _arrow(records: Sequence[Record], metric: str) -> str:
    return "↑" if records and records[0].metrics[metric].higher_is_better else "↓"


if __name__ == "__main__":
    sys.exit(main())
