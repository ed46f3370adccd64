"""Winds as arrows: each row's prediction and the target (Vid-ODE's Fig. 7)."""

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from benchmarks.evaluation.tasks import Predict
from benchmarks.figures.base import Figure, Trained, query_of_row
from benchmarks.figures.plotting import canvas, save
from benchmarks.figures.vid_ode_frames import frames_of
from benchmarks.utils.errors import UserError
from datamodules.clip import VideoClip

HOUR = 3600


class WindVectors(Figure):
    """Zonal and meridional wind (the first two channels) as arrows over wind speed: observed, target, predictions.

    The data module scales each channel from -1 at its minimum to 1 at its maximum. Arrows are in the fields' own units
    if the data module has `bounds`; else the middle of the scale counts as zero wind.

    Args:
        context: number of observed frames.
        clips: how many test clips.
        arrows: number of arrows along the longer side.
    """

    def __init__(self, context: int = 5, clips: int = 1, arrows: int = 24) -> None:
        if min(context, clips, arrows) < 1:
            raise UserError(f"context, clips and arrows must be at least 1; got {context}, {clips} and {arrows}.")
        self.context = context
        self.clips = clips
        self.arrows = arrows

    def draw(self, rows: Sequence[Trained], folder: Path) -> list[Path]:
        """`seed<n>-clip<number>.png`."""
        files = []
        for seed in dict.fromkeys(row.seed for row in rows):
            chosen = [row for row in rows if row.seed == seed]
            task = Predict(context=self.context)
            query = query_of_row(chosen[0], self.clips, task)
            observed, target = frames_of(query)
            if observed.shape[2] < 2:
                raise UserError("Arrows need two channels, zonal and meridional wind; these data have one.")
            bounds = getattr(chosen[0].data(), "bounds", [(-1.0, 1.0)] * 2)
            lines = [("input", observed, query.observed.times), ("target", target, query.target.times)]
            for row in chosen:
                with torch.inference_mode():
                    prediction = task.run(row.system(), query)
                assert isinstance(prediction, VideoClip)
                lines.append((row.label, prediction.frames, prediction.times))
            for clip in range(self.clips):
                parts = [(label, _winds(frames[clip], bounds), times[clip]) for label, frames, times in lines]
                files.append(self._picture(parts, folder / f"seed{seed}-clip{clip}.png"))
        return files

    def _picture(self, lines: Sequence[tuple[str, Tensor, Tensor]], path: Path) -> Path:
        columns = max(len(winds) for _, winds, _ in lines)
        height, width = lines[0][1].shape[-2:]
        figure, axes = canvas(len(lines), columns, (2.2 * columns, (2.2 * height / width + 0.3) * len(lines)))
        step = max(1, max(height, width) // self.arrows)
        y, x = torch.meshgrid(torch.arange(0, height, step), torch.arange(0, width, step), indexing="ij")
        fastest = float(torch.cat([winds for _, winds, _ in lines[:2]]).square().sum(dim=1).max().sqrt())
        for line, (label, winds, times) in zip(axes, lines, strict=True):
            for number, axis in enumerate(line):
                axis.set_axis_off()
                if number >= len(winds):
                    continue
                east, north = winds[number]
                axis.imshow((east**2 + north**2).sqrt(), cmap="viridis", vmin=0, vmax=fastest, alpha=0.6)
                axis.quiver(x, y, east[::step, ::step], north[::step, ::step], angles="uv", scale=12 * fastest)
                axis.set_title(f"{float(times[number]) / HOUR:,.0f} h", fontsize=6, pad=1)
            line[0].text(-0.02, 0.5, label, transform=line[0].transAxes, ha="right", va="center", fontsize=7)
        return save(figure, path, dots_per_inch=150)


def _winds(frames: Tensor, bounds: Sequence[tuple[float, float]]) -> Tensor:
    """The first two channels in their own unit."""
    low, high = (torch.tensor([pair[end] for pair in bounds[:2]])[:, None, None] for end in (0, 1))
    return low + (frames[:, :2].float() + 1) / 2 * (high - low)
