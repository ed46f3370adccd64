"""Curves of metrics over a setting of the task, from the records: the sampling rate in Vid-ODE's Fig. 6."""

from collections.abc import Sequence
from pathlib import Path

from benchmarks.figures.base import Figure, Trained
from benchmarks.figures.plotting import canvas, save, save_numbers
from benchmarks.utils.errors import UserError


class RateCurves(Figure):
    """Each metric against one setting of the task; a line for each row, its mean over seeds and their range.

    Args:
        metrics: the short names of the metrics, one plot each.
        setting: the task's setting on the x axis: `rate` is the share of the context frames that is kept.
        label: of the x axis.
    """

    shows_scale = True

    def __init__(
        self,
        metrics: Sequence[str] = ("lpips_alex", "mse"),
        setting: str = "rate",
        label: str = "share of the input frames that is kept",
    ) -> None:
        self.metrics = list(metrics)
        self.setting = setting
        self.label = label

    def draw(self, rows: Sequence[Trained], folder: Path) -> list[Path]:
        """`<metric>.png` for each metric with a value, and the numbers of all in `curves.csv`."""
        found: dict[tuple[str, str, float], list[float]] = {}
        for row in rows:
            for record in row.records:
                setting = record.task.get(self.setting)
                for metric in self.metrics:
                    entry = record.metrics.get(metric)
                    if setting is not None and entry is not None and entry.value is not None:
                        found.setdefault((metric, row.label, float(setting)), []).append(entry.value)
        if not found:
            raise UserError(
                f"No record has {' or '.join(self.metrics)} and a task with `{self.setting}`. Give the benchmark tasks "
                f"with `{self.setting}`, and metrics that are available here."
            )
        files = [self._picture(metric, found, folder) for metric in self.metrics if any(k[0] == metric for k in found)]
        numbers = ((*key, sum(values) / len(values), min(values), max(values)) for key, values in found.items())
        columns = ("metric", "row", self.setting, "mean", "lowest", "highest")
        return [*files, save_numbers(folder / "curves.csv", columns, numbers)]

    def _picture(self, metric: str, found: dict[tuple[str, str, float], list[float]], folder: Path) -> Path:
        figure, axes = canvas(1, 1, (4.2, 3.2))
        plot = axes[0][0]
        for label in dict.fromkeys(key[1] for key in found if key[0] == metric):
            points = sorted((key[2], values) for key, values in found.items() if key[:2] == (metric, label))
            settings, values = [point[0] for point in points], [point[1] for point in points]
            plot.plot(settings, [sum(some) / len(some) for some in values], ".-", label=label)
            plot.fill_between(settings, [min(some) for some in values], [max(some) for some in values], alpha=0.15)
        plot.set(xlabel=self.label, ylabel=metric)
        plot.grid(alpha=0.3)
        plot.legend(fontsize="x-small")
        return save(figure, folder / f"{metric}.png")
