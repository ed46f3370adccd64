"""Gallery: a few clips as one video, target on the left, prediction on the right, observed frames in a border."""

from pathlib import Path

import torch
from jaxtyping import Bool, Float, UInt8
from lightning.pytorch.loggers import Logger
from torch import Tensor
from torch.nn.functional import pad

from benchmarks.evaluation.tasks import Query
from benchmarks.loggers.results import log_gallery
from benchmarks.utils.pixels import to_pixels
from datamodules.clip import Sample, Trajectory

OBSERVED = (64, 192, 96)
"""The colour (RGB) of the border around observed frames."""

_MIN_SIDE = 96


class Gallery:
    """Collects the first clips of a pass, per task.

    Args:
        count: the number of clips.
    """

    def __init__(self, count: int) -> None:
        self.count = count
        self._rows: dict[str, list[UInt8[Tensor, "time 3 height width"]]] = {}
        self._rates: dict[str, float] = {}

    def show(self, label: str, query: Query, prediction: Sample) -> None:
        """Add clips of a batch until there are enough; samples without pixels have no gallery."""
        rows = self._rows.setdefault(label, [])
        frames = getattr(prediction, "frames", None)
        if frames is None or frames.shape[-3] not in (1, 3) or isinstance(query.target, Trajectory):
            return
        observed = getattr(query.observed, "frames", None)
        if observed is None:
            observed = frames[:, :0]
        times = torch.cat([query.observed.times, query.target.times], dim=1)
        for clip in range(min(self.count - len(rows), len(frames))):
            order = times[clip].argsort()
            is_observed = order < query.observed.times.shape[1]
            target = torch.cat([observed[clip], query.target.frames[clip]])[order]
            predicted = torch.cat([observed[clip], frames[clip]])[order]
            rows.append(torch.cat([picture(target, is_observed), picture(predicted, is_observed)], dim=-1).cpu())
            if label not in self._rates:
                span = float(times[clip].max() - times[clip].min())
                self._rates[label] = (len(order) - 1) / span if span > 0 else 1.0

    def save(self, folder: Path, stage: str, step: int, loggers: list[Logger]) -> list[Path]:
        """Write `<stage>-<task>-<step>.mp4` for each task, and show it in the loggers."""
        from datamodules.storage.video_writer import write_video

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
    frames: Float[Tensor, "time channel height width"], observed: Bool[Tensor, " time"]
) -> UInt8[Tensor, "time 3 tall wide"]:
    """[-1, 1] to RGB, small frames enlarged without smoothing, observed frames with a border."""
    pixels = to_pixels(frames, max(1, -(-_MIN_SIDE // min(frames.shape[-2:])))).expand(-1, 3, -1, -1)
    width = max(2, pixels.shape[-1] // 48)
    bordered = pad(pixels, (width,) * 4)
    colour = torch.tensor(OBSERVED, device=bordered.device, dtype=bordered.dtype)[:, None, None]
    inside = pad(torch.ones_like(pixels[:, :1], dtype=torch.bool), (width,) * 4)
    return torch.where(inside | ~observed[:, None, None, None], bordered, colour)
