"""Curves over what a task varies, drawn from the records: a metric against the sampling rate (Vid-ODE's Fig. 6)."""

from collections.abc import Sequence
from pathlib import Path

from benchmarks.figures.base import Figure, Trained
from benchmarks.figures.plotting import canvas, save, save_numbers
from benchmarks.utils.errors import UserError


class RateCurves(Figure):
    """Each metric against one setting of the task, a line for each row, the mean over seeds and their range.

    Args:
        metrics: the short names of the metrics, one picture each.
        setting: of the task: `rate` is the share of the shown frames that is there.
        label: what stands at the axis.
    """

    def __init__(
        self,
        metrics: Sequence[str] = ("lpips_alex", "mse"),
        setting: str = "rate",
        label: str = "share of the input frames that is there",
    ) -> None:
        self.metrics = list(metrics)
        self.setting = setting
        self.label = label

    def draw(self, rows: Sequence[Trained], folder: Path) -> list[Path]:
        """`<metric>.png`, and the numbers of all in `curves.csv`; a metric without a value leaves its picture out."""
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
                f"No record has {' or '.join(self.metrics)} at a known `{self.setting}` of its task. Give the "
                f"benchmark tasks with `{self.setting}`, and metrics that can be measured here."
            )
        files = [self._picture(metric, found, folder) for metric in self.metrics if any(k[0] == metric for k in found)]
        numbers = ((*key, sum(values) / len(values), min(values), max(values)) for key, values in found.items())
        columns = ("metric", "row", self.setting, "mean", "lowest", "highest")
        return [*files, save_numbers(folder / "curves.csv", columns, numbers)]

    def _picture(self, metric: str, found: dict[tuple[str, str, float], list[float]], folder: Path) -> Path:
        figure, axes = canvas(1, 1, (4.2, 3.2))
        place = axes[0][0]
        for label in dict.fromkeys(key[1] for key in found if key[0] == metric):
            points = sorted((key[2], values) for key, values in found.items() if key[:2] == (metric, label))
            settings, values = [point[0] for point in points], [point[1] for point in points]
            place.plot(settings, [sum(some) / len(some) for some in values], ".-", label=label)
            place.fill_between(settings, [min(some) for some in values], [max(some) for some in values], alpha=0.15)
        place.set(xlabel=self.label, ylabel=metric)
        place.grid(alpha=0.3)
        place.legend(fontsize="x-small")
        return save(figure, folder / f"{metric}.png")
