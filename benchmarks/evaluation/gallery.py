"""Galleries: a few clips as one video, truth on the left and answer on the right, given frames in a border."""

from pathlib import Path

import torch
from jaxtyping import Bool, Float, UInt8
from lightning.pytorch.loggers import Logger
from torch import Tensor
from torch.nn.functional import pad

from benchmarks.evaluation.tasks import Case
from benchmarks.loggers.results import log_gallery
from benchmarks.utils.pixels import to_pixels
from datamodules.clip import Sample, Trajectory

GIVEN = (64, 192, 96)
"""The colour (RGB) around a frame that the system was given."""

_MIN_SIDE = 96


class Gallery:
    """Gathers the first clips of a pass, per task.

    Args:
        count: how many clips are shown.
    """

    def __init__(self, count: int) -> None:
        self.count = count
        self._rows: dict[str, list[UInt8[Tensor, "time 3 height width"]]] = {}
        self._rates: dict[str, float] = {}

    def show(self, label: str, case: Case, answer: Sample) -> None:
        """Add clips of a batch until there are enough; samples without pixels have no gallery."""
        rows = self._rows.setdefault(label, [])
        frames = getattr(answer, "frames", None)
        if frames is None or frames.shape[-3] not in (1, 3) or isinstance(case.target, Trajectory):
            return
        shown = getattr(case.observed, "frames", None)
        if shown is None:
            shown = frames[:, :0]
        times = torch.cat([case.observed.times, case.target.times], dim=1)
        for clip in range(min(self.count - len(rows), len(frames))):
            order = times[clip].argsort()
            given = order < case.observed.times.shape[1]
            truth = torch.cat([shown[clip], case.target.frames[clip]])[order]
            ours = torch.cat([shown[clip], frames[clip]])[order]
            rows.append(torch.cat([picture(truth, given), picture(ours, given)], dim=-1).cpu())
            if label not in self._rates:
                span = float(times[clip].max() - times[clip].min())
                self._rates[label] = (len(order) - 1) / span if span > 0 else 1.0

    def save(self, folder: Path, stage: str, step: int, loggers: list[Logger]) -> list[Path]:
        """Write `<stage>-<task>-<step>.mp4` for each task, and show it in the loggers."""
        from datamodules.storage.video import write_video

        paths = []
        for label, rows in self._rows.items():
            if not rows:
                continue
            path = folder / f"{stage}-{label}-{step}.mp4"
            frames = torch.cat(rows, dim=-2).numpy()
            write_video(path, frames, self._rates[label])
            paths.append(path)
            log_gallery(loggers, f"{stage}/{label}/gallery", path, frames, self._rates[label], step)
        return paths


def picture(
    frames: Float[Tensor, "time channel height width"], given: Bool[Tensor, " time"]
) -> UInt8[Tensor, "time 3 tall wide"]:
    """[-1, 1] to RGB, small frames enlarged without smoothing, a border around what was given."""
    pixels = to_pixels(frames, max(1, -(-_MIN_SIDE // min(frames.shape[-2:])))).expand(-1, 3, -1, -1)
    width = max(2, pixels.shape[-1] // 48)
    bordered = pad(pixels, (width,) * 4)
    colour = torch.tensor(GIVEN, device=bordered.device, dtype=bordered.dtype)[:, None, None]
    inside = pad(torch.ones_like(pixels[:, :1], dtype=torch.bool), (width,) * 4)
    return torch.where(inside | ~given[:, None, None, None], bordered, colour)
