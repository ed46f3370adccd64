"""The cost of each temporal generator, and a metric during training: columns that an evaluation does not measure."""

import csv
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks.figures.base import Figure, Trained
from benchmarks.figures.latent_gan import gan_of, generate_clips, times_of
from benchmarks.figures.plotting import canvas, save, save_numbers

COLUMNS = (
    "group",
    "row",
    "seed",
    "temporal_parameters",
    "generator_parameters",
    "function_evaluations",
    "samples_per_second",
)


class LatentCost(Figure):
    """Parameters of the temporal model, evaluations of its field, samples per second; and a metric during training.

    Args:
        curve: a column of the run's metrics.csv, such as an inception score measured during training; None for no plot.
        clips: how many samples are timed.
        repeats: how often they are timed; the fastest run counts.
    """

    def __init__(self, curve: str | None = None, clips: int = 32, repeats: int = 3) -> None:
        self.curve = curve
        self.clips = clips
        self.repeats = repeats

    def draw(self, rows: Sequence[Trained], folder: Path) -> list[Path]:
        """`cost.csv`, and `curve.png` and `curve.csv` if any row has the column."""
        files = [save_numbers(folder / "cost.csv", COLUMNS, [self._cost(row) for row in rows])]
        curves = {row: points for row in range(len(rows)) if (points := self._along(rows[row]))}
        if not curves:
            return files
        figure, axes = canvas(1, 1, (7.0, 4.0))
        for index, points in curves.items():
            axes[0][0].plot(*zip(*points, strict=True), label=f"{rows[index].label}, seed {rows[index].seed}")
        axes[0][0].set(xlabel="updates of the generator", ylabel=self.curve)
        axes[0][0].legend(fontsize="x-small")
        numbers = (
            (rows[i].group, rows[i].label, rows[i].seed, *point) for i, points in curves.items() for point in points
        )
        files.append(save(figure, folder / "curve.png"))
        files.append(save_numbers(folder / "curve.csv", ("group", "row", "seed", "updates", self.curve or ""), numbers))
        return files

    def _cost(self, row: Trained) -> tuple[str | int | float, ...]:
        system, times = gan_of(row), times_of(row)
        generator = system.network
        spent = []
        for _ in range(1 + self.repeats):  # the first is a warm-up
            start = time.perf_counter()
            generate_clips(system, times, self.clips)
            spent.append(time.perf_counter() - start)
        sizes = [sum(p.numel() for p in part.parameters()) for part in (generator.dynamics, generator)]
        evaluations = system.function_evaluations
        return row.group, row.label, row.seed, *sizes, evaluations, round(self.clips / min(spent[1:]), 2)

    def _along(self, row: Trained) -> list[tuple[float, float]]:
        """Updates and values of the column, if the row was trained here and logged it."""
        path = row.checkpoint.parent.parent / "metrics.csv" if row.checkpoint else None
        if self.curve is None or path is None or not path.is_file():
            return []
        with path.open(newline="") as file:
            lines = [line for line in csv.DictReader(file) if line.get(self.curve)]
        return [(float(line["step"]), float(line[self.curve])) for line in lines]
