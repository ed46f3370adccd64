"""What only continuous time can do: higher frame rates, clips beyond the training length, and the way back."""

from collections.abc import Sequence
from itertools import cycle
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from benchmarks.figures.base import Figure, Trained
from benchmarks.figures.latent_gan import drawn, gan_of, shapes_of
from benchmarks.figures.plotting import canvas, save, save_numbers
from benchmarks.metrics.features.shape_path import shape_paths
from benchmarks.metrics.frechet import frechet_distance
from benchmarks.utils.pixels import from_pixels
from datamodules.base.clip_source import Indices
from datamodules.moving_shapes import MovingShapesSource
from lightning_modules.dynamics import Interpolated, LatentODE
from lightning_modules.dynamics.base import OffGridError
from lightning_modules.latent_dynamics import LatentDynamicsGAN

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Canvas

Paths = Float[Tensor, "clip time 2"]
Lines = list[dict[str, Any]]
DASH = "-"


class LatentFrameRate(Figure):
    """Generated moving shapes at raised frame rates and beyond the training length against true ones, and reversal.

    Distances are Fréchet distances of shapes' paths (see `ShapePath`), divided by the frames, so that rates compare.
    A member that knows no times between frames is asked through a linear blend of its states, and the numbers say so;
    what it cannot answer at all is a dash. Two rows say how to read the others: true shapes of other clips, and the
    same standing still from the first of the compared moments on.

    - `rate_<k>`: at k times the data's rate, over the same seconds, against the true clips at that rate.
    - `same_<k>`: the largest difference between the frames that the clip at the data's rate and the one at k times it
      have in common, in [-1, 1]: 0 says that it is one clip, seen more often.
    - `beyond`: the second half of clips of twice the length, against the true second halves.
    - `round_trip`: there and back along the whole clip, the largest error of the jet over its deviation.

    Args:
        factors: times the data's frame rate.
        clips: how many are compared; at most half of the test clips, the others being the true ones beside them.
    """

    def __init__(self, factors: Sequence[int] = (1, 2, 4), clips: int = 256) -> None:
        self.factors = tuple(factors)
        self.clips = clips

    def draw(self, rows: Sequence[Trained], folder: Path) -> list[Path]:
        """`frame_rate.csv`, a line for each row and seed, and `frame_rate.png`, the mean of a row and its extremes."""
        data = {str(row.config["data"]): row for row in rows}
        truths = {key: _Truth(row, self.clips) for key, row in data.items()}
        lines = [line for truth in truths.values() for line in self._known(truth)]
        lines += [self._measured(row, truths[str(row.config["data"])]) for row in rows]
        files = [save_numbers(folder / "frame_rate.csv", list(lines[0]), [list(line.values()) for line in lines])]
        return [*files, save(self._picture(lines), folder / "frame_rate.png")]

    def _known(self, truth: "_Truth") -> Lines:
        """True shapes of other clips, and the same standing still."""
        usual, longer = _times(truth.frames, truth.rate), _times(2 * truth.frames, truth.rate)
        lines: Lines = []
        for label, pace in (("true shapes", 1.0), ("true shapes, still", 0.0)):
            line: dict[str, Any] = {"row": label, "seed": DASH, "between": DASH}
            for factor in self.factors:
                times = _times((len(usual) - 1) * factor + 1, truth.rate * factor)
                line[f"rate_{factor}"] = truth.distance(truth.others(times * pace), times)
                line[f"same_{factor}"] = DASH
            later = longer[truth.frames :]
            line["beyond"] = truth.distance(truth.others(later[0] + (later - later[0]) * pace), later)
            lines.append(line | {"round_trip": DASH})
        return lines

    def _measured(self, row: Trained, truth: "_Truth") -> dict[str, Any]:
        system, count = gan_of(row), truth.count
        line: dict[str, Any] = {"row": row.label, "seed": row.seed, "between": "its own"}
        usual = _times(truth.frames, truth.rate)
        clips = drawn(system, usual, count)
        for factor in self.factors:
            times = _times((truth.frames - 1) * factor + 1, truth.rate * factor)
            try:
                faster = drawn(system, times, count)
            except OffGridError:
                line["between"] = "blended states"
                faster = drawn(_blended(system, 1 / truth.rate), times, count)
            line[f"rate_{factor}"] = truth.distance(shape_paths(faster), times)
            line[f"same_{factor}"] = float((faster[:, ::factor] - clips).abs().max())
        longer = _times(2 * truth.frames, truth.rate)
        try:
            later = drawn(gan_of(row), longer, count)[:, truth.frames :]
            line["beyond"] = truth.distance(shape_paths(later), longer[truth.frames :])
        except OffGridError:
            line["beyond"] = DASH
        line["round_trip"] = round_trip(system, float(system.model_time(usual)[-1]))
        return line

    def _picture(self, lines: Lines) -> "Canvas":
        figure, (axes,) = canvas(1, 3, (15.0, 5.5))
        labels = list(dict.fromkeys(line["row"] for line in lines))
        places = range(len(labels))
        for label, marker in zip(labels, cycle("osv^D")):
            values = np.array([[line[f"rate_{k}"] for k in self.factors] for line in lines if line["row"] == label])
            known = "black" if label == labels[0] else "grey" if label == labels[1] else None
            axes[0].plot(self.factors, values.mean(0), marker=marker, markersize=4, label=label, color=known)
        axes[0].set(title="distance of paths, per frame (mean of seeds)", xlabel="times the frame rate")
        axes[0].set(yscale="log", xticks=self.factors)
        axes[0].legend(fontsize="x-small", loc="upper left", bbox_to_anchor=(1, 1))
        for place, column, title in (
            (1, "beyond", "distance beyond the training length, per frame"),
            (2, "round_trip", "there and back"),
        ):
            found = [[_number(line[column]) for line in lines if line["row"] == label] for label in labels]
            axes[place].barh(places, [np.mean(seeds) for seeds in found], color="0.8")
            for bar, seeds in zip(places, found, strict=True):
                axes[place].plot(seeds, [bar] * len(seeds), ".", color="C0")
            axes[place].set(title=title, xscale="log", yticks=list(places), yticklabels=labels)
            axes[place].set(ylim=(len(labels) - 0.5, -0.5))
        return figure


class _Truth:
    """The true clips that those of a row are compared with, and others beside them; each path is looked at once."""

    def __init__(self, row: Trained, count: int) -> None:
        self.source, self.frames, self.rate = shapes_of(row)
        self.count = min(count, len(self.source) // 2)
        self._paths: dict[tuple[float, ...], Paths] = {}

    def distance(self, paths: Paths, times: Float[Tensor, " time"]) -> float:
        """The Fréchet distance of whole paths from the true ones at the same times, per frame."""
        key = tuple(times.tolist())
        if key not in self._paths:
            self._paths[key] = _true_paths(self.source, np.arange(self.count), times)
        return frechet_distance(paths.flatten(1), self._paths[key].flatten(1)) / len(times)

    def others(self, times: Float[Tensor, " time"]) -> Paths:
        """As many other true paths."""
        return _true_paths(self.source, self.count + np.arange(self.count), times)


class Jet(nn.Module):
    """The field of the whole jet: a state of order k as one of order 1."""

    def __init__(self, dynamics: LatentODE) -> None:
        super().__init__()
        self.dynamics = dynamics

    def forward(self, jet: Float[Tensor, "batch jet"]) -> Float[Tensor, "batch jet"]:
        """Each part's derivative is the next part, the last one's the field's answer."""
        _, *higher = jet.chunk(self.dynamics.order, dim=1)
        return torch.cat(
            [*higher, self.dynamics.field(jet if self.dynamics.field_input == "all_derivatives" else higher[-1])], dim=1
        )


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


def _true_paths(source: MovingShapesSource, clips: Indices, times: Float[Tensor, " time"]) -> Paths:
    """Seen as the answers are, in pictures, so that what seeing adds is in both."""
    parts = []
    for some in np.array_split(clips, max(1, len(clips) // 32)):
        pictures = source.render(some, np.tile(times.double().numpy(), (len(some), 1)))
        parts.append(shape_paths(from_pixels(pictures)))
    return torch.cat(parts)


def _number(value: float | str) -> float:
    return float("nan") if isinstance(value, str) else value
