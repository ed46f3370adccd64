"""How Vid-ODE's frames depend on the other target times: with and without a decode grid, at 1, 2 and 4 times the rate.

`python -m benchmarks.profiling.grid CHECKPOINT [--out FILE]` needs a Vid-ODE trained on `predict_bouncing_balls`, whose
target frames are known at any frame rate.
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
CONTEXT, TARGETS = 10, 10


def main() -> None:
    """Measure, print a Markdown table, and write the numbers to --out."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("--out", type=Path, help="a .json file for the numbers")
    arguments = parser.parse_args()
    system = load(arguments.checkpoint)
    if not isinstance(system, VidODE):
        raise SystemExit(f"{arguments.checkpoint} holds a {type(system).__name__}; this study needs a VidODE.")
    rows = [row for grid in (None, 1 / RATE) for row in study(system, grid)]
    print("| decoded at | frame rate | change at shared times | SSIM, all frames | ball-position error, all frames |")
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
    """One row per frame rate: the change of shared frames from the prediction at 1x, and the quality of all frames."""
    system.decode_interval = grid
    rows, reference = [], None
    for times in (1, 2, 4):
        clip, ids = test_clips(times)
        context = torch.arange(0, CONTEXT * times, times)
        targets = torch.arange((CONTEXT - 1) * times + 1, (CONTEXT + TARGETS - 1) * times + 1)
        observed, target = take_times(clip, context), take_times(clip, targets)
        prediction = system.predict(VideoClip(observed.frames, observed.times), target.times)
        shared = prediction.frames[:, times - 1 :: times]
        reference = shared if reference is None else reference
        metrics: list[ClipMetric] = [SSIM(), BallPositionError()]
        for metric in metrics:
            metric.update(prediction, target, ids)
        row = {
            "decoded": "the target times" if grid is None else "a grid of the trained interval",
            "times": times,
            "moved": float((shared - reference).abs().mean() / 2),
        }
        rows.append(row | {metric.name: float(metric.compute()) for metric in metrics})
    return rows


def test_clips(times: int) -> tuple[KeypointClip, Tensor]:
    """The test clips at `times` times the frame rate."""
    length = (CONTEXT + TARGETS - 1) * times + 1
    data = BouncingBalls(
        1, 1, 50, length, RATE * times, sampling=Regular(length, start="first"), batch_size=1, eval_batch_size=50
    )
    batch = normalise(next(iter(data.test_dataloader())))
    assert isinstance(batch.clip, KeypointClip)
    return batch.clip, batch.ids


if __name__ == "__main__":
    main()
