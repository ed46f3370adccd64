"""How much Vid-ODE's frames depend on what else is asked: with and without a decode grid, at 1, 2 and 4 times the rate.

`python -m benchmarks.profiling.grid CHECKPOINT [--out FILE]` needs a Vid-ODE trained on `predict_bouncing_balls`, whose
truth is known at any frame rate.
"""

import argparse
import hashlib
import json
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from benchmarks.metrics.balls import BallPositionError
from benchmarks.metrics.base import ClipMetric
from benchmarks.metrics.reference import SSIM
from benchmarks.records.provenance import git_state
from datamodules.base.module import normalise
from datamodules.bouncing_balls import BouncingBalls
from datamodules.clip import KeypointClip, VideoClip, take_times
from datamodules.files import write_text
from datamodules.sampling import Regular
from lightning_modules.checkpoints.build import load
from lightning_modules.vid_ode import VidODE

RATE = 20
GIVEN, ASKED = 10, 10


def main() -> None:
    """Measure, print a Markdown table, and keep the numbers if asked to."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("--out", type=Path, help="a .json file for the numbers")
    arguments = parser.parse_args()
    system = load(arguments.checkpoint)
    if not isinstance(system, VidODE):
        raise SystemExit(f"{arguments.checkpoint} holds a {type(system).__name__}; the study is of VidODE.")
    rows = [row for grid in (None, 1 / RATE) for row in study(system, grid)]
    print("| decoded along | asked at | moved at shared times | SSIM, all frames | ball-position error, all frames |")
    print("| --- | --- | ---: | ---: | ---: |")
    for row in rows:
        print(
            f"| {row['decoded']} | {row['times']}x | {row['moved']:.2e} | {row['ssim']:.4f} "
            f"| {row['ball_position_error']:.3f} px |"
        )
    if arguments.out is not None:
        digest = hashlib.sha256(arguments.checkpoint.read_bytes()).hexdigest()
        content = {"checkpoint_sha256": digest, "git": git_state(), "rows": rows}
        write_text(arguments.out, json.dumps(content, indent=1, default=str) + "\n")


@torch.inference_mode()
def study(system: VidODE, grid: float | None) -> list[dict[str, Any]]:
    """One row for each frame rate: how far frames moved from the answer at 1x, and how good all frames are."""
    system.decode_interval = grid
    rows, at_once = [], None
    for times in (1, 2, 4):
        clip, ids = truth(times)
        shown = torch.arange(0, GIVEN * times, times)
        asked = torch.arange((GIVEN - 1) * times + 1, (GIVEN + ASKED - 1) * times + 1)
        observed, target = take_times(clip, shown), take_times(clip, asked)
        answer = system.predict(VideoClip(observed.frames, observed.times), target.times)
        shared = answer.frames[:, times - 1 :: times]
        at_once = shared if at_once is None else at_once
        metrics: list[ClipMetric] = [SSIM(), BallPositionError()]
        for metric in metrics:
            metric.update(answer, target, ids)
        row = {
            "decoded": "the asked times" if grid is None else "a grid of the trained interval",
            "times": times,
            "moved": float((shared - at_once).abs().mean() / 2),
        }
        rows.append(row | {metric.name: float(metric.compute()) for metric in metrics})
    return rows


def truth(times: int) -> tuple[KeypointClip, Tensor]:
    """The test clips at so many times the frame rate."""
    length = (GIVEN + ASKED - 1) * times + 1
    data = BouncingBalls(
        1, 1, 50, length, RATE * times, sampling=Regular(length, start="first"), batch_size=1, eval_batch_size=50
    )
    batch = normalise(next(iter(data.test_dataloader())))
    assert isinstance(batch.clip, KeypointClip)
    return batch.clip, batch.ids


if __name__ == "__main__":
    main()
