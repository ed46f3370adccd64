"""What only continuous time can do: higher frame rates, clips beyond the training length, and the way back."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from benchmarks.figures.base import Figure, Trained
from benchmarks.figures.latent_gan import drawn, gan_of, shapes_of
from benchmarks.figures.plotting import canvas, save, save_numbers
from benchmarks.metrics.features.shape_path import shape_paths
from benchmarks.metrics.frechet import frechet_distance
from benchmarks.pixels import from_pixels
from datamodules.moving_shapes import MovingShapesSource
from lightning_modules.dynamics import Interpolated, LatentODE
from lightning_modules.latent_dynamics import LatentDynamicsGAN

Paths = Float[Tensor, "clip time 2"]
DASH = "-"


class LatentFrameRate(Figure):
    """Generated moving shapes at raised frame rates and beyond the training length against true ones, and reversal.

    Distances are Fréchet distances of shapes' paths (see `ShapePath`), divided by the frames, so that rates compare.
    A member that knows no times between frames is asked through a linear blend of its states, and the numbers say so;
    what it cannot answer at all is a dash.

    - `rate_<k>`: at k times the data's rate, over the same seconds, against the true clips at that rate.
    - `same_<k>`: the largest difference between the frames that the clip at the data's rate and the one at k times it
      have in common, in [-1, 1]: 0 says that it is one clip, seen more often.
    - `beyond`: the second half of clips of twice the length, against the true second halves.
    - `round_trip`: there and back along the whole clip, the largest error of the jet over its deviation.

    Args:
        factors: times the data's frame rate.
        clips: how many are compared.
    """

    def __init__(self, factors: Sequence[int] = (1, 2, 4), clips: int = 256) -> None:
        self.factors = tuple(factors)
        self.clips = clips

    def draw(self, rows: Sequence[Trained], folder: Path) -> list[Path]:
        """`frame_rate.csv` and `frame_rate.png`."""
        lines = [self._measured(row) for row in rows]
        columns = list(lines[0])
        figure, (axes,) = canvas(1, 3, (13.0, 4.0))
        for line in lines:
            name = f"{line['row']}, seed {line['seed']}"
            axes[0].plot(self.factors, [_number(line[f"rate_{k}"]) for k in self.factors], ".-", label=name)
        places = range(len(lines))
        for place, column, title in ((1, "beyond", "beyond the training length"), (2, "round_trip", "there and back")):
            axes[place].barh(places, [_number(line[column]) for line in lines])
            axes[place].set(title=title, yticks=list(places), yticklabels=[line["row"] for line in lines])
            axes[place].invert_yaxis()
        axes[0].set(title="distance of paths, per frame", xlabel="times the frame rate", xticks=self.factors)
        axes[0].legend(fontsize="xx-small")
        axes[2].set_xscale("log")
        files = [save_numbers(folder / "frame_rate.csv", columns, [list(line.values()) for line in lines])]
        return [*files, save(figure, folder / "frame_rate.png")]

    def _measured(self, row: Trained) -> dict[str, Any]:
        system = gan_of(row)
        source, frames, rate = shapes_of(row)
        line: dict[str, Any] = {"row": row.label, "seed": row.seed, "between": "its own"}
        usual = _times(frames, rate)
        clips = drawn(system, usual, self.clips)
        for factor in self.factors:
            times = _times((frames - 1) * factor + 1, rate * factor)
            try:
                faster = drawn(system, times, self.clips)
            except ValueError:
                line["between"] = "blended states"
                faster = drawn(_blended(system, 1 / rate), times, self.clips)
            line[f"rate_{factor}"] = self._distance(source, faster, times)
            line[f"same_{factor}"] = float((faster[:, ::factor] - clips).abs().max())
        longer = _times(2 * frames, rate)
        try:
            later = drawn(gan_of(row), longer, self.clips)[:, frames:]
            line["beyond"] = self._distance(source, later, longer[frames:])
        except ValueError:
            line["beyond"] = DASH
        line["round_trip"] = round_trip(system, float(system.model_time(usual)[-1]))
        return line

    def _distance(self, source: MovingShapesSource, frames: Tensor, times: Float[Tensor, " time"]) -> float:
        truth = _true_paths(source, self.clips, times)
        return frechet_distance(shape_paths(frames).flatten(1), truth.flatten(1)) / len(times)


class Jet(nn.Module):
    """The field of the whole jet: a state of order k as one of order 1."""

    def __init__(self, dynamics: LatentODE) -> None:
        super().__init__()
        self.dynamics = dynamics

    def forward(self, jet: Float[Tensor, "batch jet"]) -> Float[Tensor, "batch jet"]:
        """Each part's derivative is the next part, the last one's the field's answer."""
        _, *higher = jet.chunk(self.dynamics.order, dim=1)
        return torch.cat([*higher, self.dynamics.field(jet if self.dynamics.sees == "jet" else higher[-1])], dim=1)


@torch.no_grad()
def round_trip(system: LatentDynamicsGAN, end: float, count: int = 32) -> float | str:
    """How far from its start a state comes back to, going to model time `end` and back; a dash where there is no way.

    The largest error over the deviation of the states at the start.
    """
    dynamics = system.network.dynamics
    if not isinstance(dynamics, LatentODE):
        return DASH
    start = dynamics.initial(_codes(system, count))
    field = Jet(dynamics) if dynamics.order > 1 else dynamics.field
    flow = LatentODE(field, solver=dynamics.solver, max_step=dynamics.max_step)
    there = flow(start, torch.full((count, 1), end))[:, 0]
    back = flow(there, torch.full((count, 1), -end))[:, 0]
    return float((back - start).abs().max() / start.std())


def _codes(system: LatentDynamicsGAN, count: int) -> Tensor:
    """What the dynamics is given when clips of the seeds 0, 1, 2, ... are drawn."""
    seen: list[Tensor] = []
    handle = system.network.dynamics.register_forward_pre_hook(lambda _, given: seen.append(given[0]))
    try:
        system.generate(torch.zeros(count, 1), seeds=torch.arange(count))
    finally:
        handle.remove()
    return seen[0]


def _blended(system: LatentDynamicsGAN, interval: float) -> LatentDynamicsGAN:
    network = system.network
    if not isinstance(network.dynamics, Interpolated):
        network.dynamics = Interpolated(network.dynamics, interval / system.seconds_per_unit)
    return system


def _times(frames: int, rate: float) -> Float[Tensor, " time"]:
    return torch.arange(frames) / rate


def _true_paths(source: MovingShapesSource, count: int, times: Float[Tensor, " time"]) -> Paths:
    """Seen as the answers are, in pictures, so that what seeing adds is in both."""
    clips = np.arange(min(count, len(source)))
    parts = []
    for some in np.array_split(clips, max(1, len(clips) // 32)):
        pictures = source.draw(some, np.tile(times.double().numpy(), (len(some), 1)))
        parts.append(shape_paths(from_pixels(pictures)))
    return torch.cat(parts)


def _number(value: float | str) -> float:
    return float("nan") if isinstance(value, str) else value
