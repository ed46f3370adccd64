"""Tests of continuous time: higher frame rates, clips beyond the training length, and integrating backwards."""

from collections.abc import Sequence
from itertools import cycle
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from benchmarks.figures.base import Figure, Trained
from benchmarks.figures.latent_gan import gan_of, generate_clips, shapes_of
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
NOT_AVAILABLE = "-"


class LatentFrameRate(Figure):
    """Generated moving shapes at higher frame rates and beyond the training length against true ones, and reversal.

    Distances are Fréchet distances between paths of shapes (see `ShapePath`), divided by the number of frames, so that
    rates can be compared. Discrete temporal models are linearly interpolated between their states, which the column
    `between` says; what they do not support is "-". Two rows give the scale: the true shapes of other clips, and the
    same shapes standing still from the first compared time on.

    - `rate_<k>`: at k times the data's rate, for the same duration, against the true clips at that rate.
    - `same_<k>`: the largest difference, in [-1, 1], between the clip at the data's rate and the same frames of the
      clip at k times that rate: 0 means that both show the same motion.
    - `beyond`: the second half of clips of twice the length, against the true second halves.
    - `round_trip`: the largest error of the state after integrating to the end of the clip and back, divided by the
      standard deviation of the initial states.

    Args:
        factors: multiples of the data's frame rate.
        clips: how many are compared; at most half of the test clips, because the other half gives the true shapes of
            other clips.
    """

    def __init__(self, factors: Sequence[int] = (1, 2, 4), clips: int = 256) -> None:
        self.factors = tuple(factors)
        self.clips = clips

    def draw(self, rows: Sequence[Trained], folder: Path) -> list[Path]:
        """`frame_rate.csv`, a line for each row and seed, and `frame_rate.png`, each row's mean and its seeds."""
        data = {str(row.config["data"]): row for row in rows}
        references = {key: _ReferenceClips(row, self.clips) for key, row in data.items()}
        lines = [line for reference in references.values() for line in self._known(reference)]
        lines += [self._measured(row, references[str(row.config["data"])]) for row in rows]
        files = [save_numbers(folder / "frame_rate.csv", list(lines[0]), [list(line.values()) for line in lines])]
        return [*files, save(self._picture(lines), folder / "frame_rate.png")]

    def _known(self, reference: "_ReferenceClips") -> Lines:
        """The true shapes of other clips, moving and standing still."""
        usual, longer = _times(reference.frames, reference.rate), _times(2 * reference.frames, reference.rate)
        lines: Lines = []
        for label, pace in (("true shapes", 1.0), ("true shapes, still", 0.0)):
            line: dict[str, Any] = {"row": label, "seed": NOT_AVAILABLE, "between": NOT_AVAILABLE}
            for factor in self.factors:
                times = _times((len(usual) - 1) * factor + 1, reference.rate * factor)
                line[f"rate_{factor}"] = reference.distance(reference.others(times * pace), times)
                line[f"same_{factor}"] = NOT_AVAILABLE
            later = longer[reference.frames :]
            line["beyond"] = reference.distance(reference.others(later[0] + (later - later[0]) * pace), later)
            lines.append(line | {"round_trip": NOT_AVAILABLE})
        return lines

    def _measured(self, row: Trained, reference: "_ReferenceClips") -> dict[str, Any]:
        system, count = gan_of(row), reference.count
        line: dict[str, Any] = {"row": row.label, "seed": row.seed, "between": "its own"}
        usual = _times(reference.frames, reference.rate)
        clips = generate_clips(system, usual, count)
        for factor in self.factors:
            times = _times((reference.frames - 1) * factor + 1, reference.rate * factor)
            try:
                faster = generate_clips(system, times, count)
            except OffGridError:
                line["between"] = "blended states"
                faster = generate_clips(_blended(system, 1 / reference.rate), times, count)
            line[f"rate_{factor}"] = reference.distance(shape_paths(faster), times)
            line[f"same_{factor}"] = float((faster[:, ::factor] - clips).abs().max())
        longer = _times(2 * reference.frames, reference.rate)
        try:
            later = generate_clips(gan_of(row), longer, count)[:, reference.frames :]
            line["beyond"] = reference.distance(shape_paths(later), longer[reference.frames :])
        except OffGridError:
            line["beyond"] = NOT_AVAILABLE
        line["round_trip"] = round_trip(system, float(system.model_time(usual)[-1]))
        return line

    def _picture(self, lines: Lines) -> "Canvas":
        figure, (axes,) = canvas(1, 3, (15.0, 5.5))
        labels = list(dict.fromkeys(line["row"] for line in lines))
        bars = range(len(labels))
        for label, marker in zip(labels, cycle("osv^D")):
            values = np.array([[line[f"rate_{k}"] for k in self.factors] for line in lines if line["row"] == label])
            known = "black" if label == labels[0] else "grey" if label == labels[1] else None
            axes[0].plot(self.factors, values.mean(0), marker=marker, markersize=4, label=label, color=known)
        axes[0].set(title="distance of paths, per frame (mean of seeds)", xlabel="times the frame rate")
        axes[0].set(yscale="log", xticks=self.factors)
        axes[0].legend(fontsize="x-small", loc="upper left", bbox_to_anchor=(1, 1))
        for index, column, title in (
            (1, "beyond", "distance beyond the training length, per frame"),
            (2, "round_trip", "error of a round trip in time"),
        ):
            found = [[_number(line[column]) for line in lines if line["row"] == label] for label in labels]
            axes[index].barh(bars, [np.mean(seeds) for seeds in found], color="0.8")
            for bar, seeds in zip(bars, found, strict=True):
                axes[index].plot(seeds, [bar] * len(seeds), ".", color="C0")
            axes[index].set(title=title, xscale="log", yticks=list(bars), yticklabels=labels)
            axes[index].set(ylim=(len(labels) - 0.5, -0.5))
        return figure


class _ReferenceClips:
    """The true clips that generated ones are compared with, and as many others; paths are computed once."""

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
        """The true paths of as many other clips."""
        return _true_paths(self.source, self.count + np.arange(self.count), times)


class Jet(nn.Module):
    """The vector field of the jet (the state and its derivatives): an ODE of order k as one of order 1."""

    def __init__(self, dynamics: LatentODE) -> None:
        super().__init__()
        self.dynamics = dynamics

    def forward(self, jet: Float[Tensor, "batch jet"]) -> Float[Tensor, "batch jet"]:
        """The derivative of each part of the jet is the next part; that of the last part is the field's output."""
        _, *higher = jet.chunk(self.dynamics.order, dim=1)
        return torch.cat(
            [*higher, self.dynamics.field(jet if self.dynamics.field_input == "all_derivatives" else higher[-1])], dim=1
        )


@torch.no_grad()
def round_trip(system: LatentDynamicsGAN, end: float, count: int = 32) -> float | str:
    """The error of a state after integrating to model time `end` and back; "-" for dynamics that are not ODEs.

    The largest error, divided by the standard deviation of the initial states.
    """
    dynamics = system.network.dynamics
    if not isinstance(dynamics, LatentODE):
        return NOT_AVAILABLE
    start = dynamics.initial(_codes(system, count))
    field = Jet(dynamics) if dynamics.order > 1 else dynamics.field
    flow = LatentODE(field, solver=dynamics.solver, max_step=dynamics.max_step)
    there = flow(start, torch.full((count, 1), end))[:, 0]
    back = flow(there, torch.full((count, 1), -end))[:, 0]
    return float((back - start).abs().max() / start.std())


def _codes(system: LatentDynamicsGAN, count: int) -> Tensor:
    """The inputs of the dynamics when clips with the seeds 0, 1, 2, ... are generated."""
    codes: list[Tensor] = []
    handle = system.network.dynamics.register_forward_pre_hook(lambda _, inputs: codes.append(inputs[0]))
    try:
        system.generate(torch.zeros(count, 1), seeds=torch.arange(count))
    finally:
        handle.remove()
    return codes[0]


def _blended(system: LatentDynamicsGAN, interval: float) -> LatentDynamicsGAN:
    network = system.network
    if not isinstance(network.dynamics, Interpolated):
        network.dynamics = Interpolated(network.dynamics, interval / system.seconds_per_unit)
    return system


def _times(frames: int, rate: float) -> Float[Tensor, " time"]:
    return torch.arange(frames) / rate


def _true_paths(source: MovingShapesSource, clips: Indices, times: Float[Tensor, " time"]) -> Paths:
    """True paths, measured in rendered frames like the generated ones, so that both have the same error."""
    parts = []
    for some in np.array_split(clips, max(1, len(clips) // 32)):
        pictures = source.render(some, np.tile(times.double().numpy(), (len(some), 1)))
        parts.append(shape_paths(from_pixels(pictures)))
    return torch.cat(parts)


def _number(value: float | str) -> float:
    return float("nan") if isinstance(value, str) else value
