"""One live table of all launched jobs: state, progress, time left, best metric so far. Imports no torch."""

import csv
import json
import time
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from types import TracebackType
from typing import NamedTuple

from rich.console import Console
from rich.live import Live
from rich.table import Table

from benchmarks.runs.launchers.scheduler import JobProgress

_EVERY = 2.0
_STYLES = {"waiting": "dim", "running": "cyan", "done": "green", "failed": "bold red"}


class TrainingStatus(NamedTuple):
    """The progress of a training, read from its run's folder.

    Args:
        fraction: of the training that is completed; None without a limit or before the first report.
        seconds_left: of the training.
        best: the metric and its best value so far.
    """

    fraction: float | int | None = None
    seconds_left: float | int | None = None
    best: str = ""


def status_of(folder: Path, metric: str | None = None) -> TrainingStatus:
    """Read `progress.json` and `measurements.csv` of a run's folder.

    Args:
        folder: of the run; missing files (not yet written, or on another machine) are not shown.
        metric: whose best value is shown; None: the first one measured.
    """
    try:
        content = json.loads((folder / "progress.json").read_text(encoding="utf-8"))
        fraction, left = content["fraction"], content["seconds_left"]
    except (OSError, ValueError, KeyError):
        fraction, left = None, None
    return TrainingStatus(fraction, left, best_of(folder / "measurements.csv", metric))


def status_of_all(folders: Sequence[Path], metric: str | None = None) -> TrainingStatus:
    """The status of several trainings that run one after another: the share of all, and the last one's best value.

    The time left is known once the last training has begun.
    """
    sights = [status_of(folder, metric) for folder in folders]
    if len(sights) == 1:
        return sights[0]
    known = [sight.fraction for sight in sights if sight.fraction is not None]
    fraction = sum(known) / len(sights) if known else None
    lefts = [sight.seconds_left for sight in sights if sight.seconds_left is not None]
    best = next((sight.best for sight in reversed(sights) if sight.best), "")
    return TrainingStatus(fraction, sum(lefts) if sights and len(lefts) == len(sights) else None, best)


def best_of(path: Path, metric: str | None) -> str:
    """`psnr 21.3 (predict, val)`: the best value of a metric so far; empty where there is none."""
    try:
        with path.open(encoding="utf-8", newline="") as file:
            rows = [row for row in csv.DictReader(file) if row["frame"] == "" and metric in (None, row["metric"])]
        first = rows[0]
        same = [row for row in rows if all(row[key] == first[key] for key in ("metric", "task"))]
        pick = max if first["higher_is_better"] == "1" else min
        best = pick(same, key=lambda row: float(row["value"]))
        return f"{best['metric']} {float(best['value']):.4g} ({best['task']}, {best['stage']})"
    except (OSError, IndexError, KeyError, TypeError, ValueError):  # none yet, or just being written
        return ""


class LiveTable(AbstractContextManager["LiveTable"]):
    """Redraws the table in a terminal; elsewhere prints a line whenever a state changes.

    Args:
        folders: the run folders of each job's trainings, in their order, by the job's name.
        metric: whose best value is shown.
        console: where; None: the standard output.
    """

    def __init__(
        self, folders: Mapping[str, Sequence[Path]], metric: str | None = None, console: Console | None = None
    ) -> None:
        self._folders = folders
        self._metric = metric
        self._console = console or Console()
        self._live = Live(console=self._console, auto_refresh=False) if self._console.is_terminal else None
        self._said: dict[str, tuple[str, int]] = {}
        self._drawn = 0.0

    def __enter__(self) -> "LiveTable":
        if self._live:
            self._live.start()
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._live:
            self._live.stop()

    def show(self, jobs: Sequence[JobProgress]) -> None:
        """Show how the jobs stand."""
        ended = all(job.outcome is not None for job in jobs)
        if self._live is None:
            for job in jobs:
                if self._said.get(job.spec.name, ("waiting", 0)) != (job.state, job.lost):
                    again = f", worker lost {job.lost} times" if job.lost else ""
                    self._console.print(f"{job.spec.name}: {job.state}{again}", highlight=False, soft_wrap=True)
                self._said[job.spec.name] = (job.state, job.lost)
        elif ended or time.monotonic() - self._drawn >= _EVERY:
            self._drawn = time.monotonic()
            self._live.update(self.table(jobs), refresh=True)

    def table(self, jobs: Sequence[JobProgress]) -> Table:
        """The table, as things stand."""
        table = Table(title=f"{sum(job.outcome is not None for job in jobs)} of {len(jobs)} jobs ended")
        for heading in ("job", "state", "training", "time", "left", "best so far"):
            table.add_column(heading, justify="right" if heading in ("time", "left") else "left")
        for job in jobs:
            seen = status_of_all(self._folders.get(job.spec.name, ()), self._metric)
            running = job.state == "running" and job.started is not None
            spent = time.monotonic() - job.started if running and job.started is not None else job.seconds
            state = job.state + (f", again after {job.lost} lost" if job.lost else "")
            table.add_row(
                job.spec.name,
                f"[{_STYLES[job.state]}]{state}[/]",
                _bar(seen.fraction) if job.state != "waiting" or job.lost else "",
                clock(spent) if spent else "",
                clock(seen.seconds_left) if running and seen.seconds_left is not None else "",
                seen.best,
            )
        return table


def clock(seconds: float | int) -> str:
    """0:07, 12:05 or 3:00:00."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def _bar(fraction: float | int | None, width: int = 12) -> str:
    if fraction is None:
        return ""
    full = round(fraction * width)
    return f"{'━' * full}[dim]{'━' * (width - full)}[/] {fraction:4.0%}"
