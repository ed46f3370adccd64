"""Figures: what a benchmark of kind `curve` or `gallery` plots from its finished rows."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.config.build import build, build_data_of
from benchmarks.records.record import Record
from benchmarks.runs.job import Job
from benchmarks.runs.spec import BenchmarkSpec
from benchmarks.runs.standing import retired_because
from benchmarks.utils.errors import UserError

if TYPE_CHECKING:
    from jaxtyping import Float
    from torch import Tensor

    from benchmarks.evaluation.tasks import Query, Task
    from datamodules.base.module import ClipDataModule
    from lightning_modules.system import System


@dataclass(frozen=True)
class Trained:
    """A finished row of the benchmark with one seed.

    Args:
        label: the row's.
        group: the row's.
        seed: of the run.
        config: the run's configuration as plain data: `model`, `data` and so on, overrides applied.
        checkpoint: its weights; None for a model without training.
        records: one for each task that it was evaluated on, if it is a result now (see `standing`).
    """

    label: str
    group: str
    seed: int
    config: dict[str, Any]
    checkpoint: Path | None
    records: list[Record]

    def system(self) -> "System":
        """The model, in evaluation mode."""
        from lightning_modules.checkpoints.build import build as build_system
        from lightning_modules.checkpoints.build import load

        return load(self.checkpoint) if self.checkpoint else build_system(self.config["model"]).eval()

    def data(self) -> "ClipDataModule":
        """The data module that it was trained and evaluated on."""
        return build_data_of(self.config["data"], f"the data of '{self.label}'")


class Figure(ABC):
    """One figure of a paper."""

    shows_scale: bool = False
    """Whether the rows that learn nothing are drawn too: in curves of metrics, not among samples of models."""

    @abstractmethod
    def draw(self, rows: Sequence[Trained], folder: Path) -> list[Path]:
        """Plot the rows into files of an existing folder.

        Args:
            rows: every row with every seed that was run, in the benchmark's order.
            folder: the folder of the files.

        Returns:
            The files that were written: .png, .gif or .mp4, and .json or .csv with the numbers behind them.

        Raises:
            UserError: if the figure cannot plot these rows.
        """


def draw_figure(spec: BenchmarkSpec, jobs: Sequence[Job], folder: Path) -> list[Path]:
    """Plot the benchmark's figure from its finished rows."""
    if spec.figure is None:
        raise UserError(f"{spec.name} has no `figure`.")
    figure = build_figure(spec.figure)
    folder.mkdir(parents=True, exist_ok=True)
    return figure.draw([trained(job) for job in jobs if figure.shows_scale or not job.row.scale], folder)


def build_figure(config: dict[str, Any]) -> Figure:
    """The figure that `class_path` and `init_args` describe; raises UserError if it cannot be built."""
    return build(Figure, config, "the figure")  # type: ignore[type-abstract]


def query_of_row(row: Trained, clips: int, task: "Task") -> "Query":
    """The task's query on `clips` of the row's test clips, evenly spaced in the split; UserError if there are fewer."""
    import torch

    from datamodules.base.module import normalise
    from datamodules.clip import VideoClip

    data = row.data()
    data.prepare_data()
    data.setup("test")
    dataset = data.dataset("test")
    if len(dataset) < clips:
        raise UserError(f"{data.name} has {len(dataset)} test clips and the figure shows {clips}. Lower `clips`.")
    chosen = (torch.arange(clips) * len(dataset) // clips).tolist()
    return task.make_query(normalise(dataset.__getitems__([(0, index) for index in chosen])), VideoClip, row.seed)


def predicted_frames(
    task: "Task", system: "System", query: "Query"
) -> "Float[Tensor, 'clip time channel height width']":
    """The frames that a system predicts, in [-1, 1]; UserError if it does not support the task."""
    import torch

    from datamodules.clip import VideoClip

    if not task.supported_by(system):
        raise UserError(f"{task.unsupported_reason(system)}. Leave the row out of the benchmark.")
    with torch.inference_mode():
        prediction = task.run(system, query)
    assert isinstance(prediction, VideoClip)
    return prediction.frames


def trained(job: Job) -> Trained:
    """The finished row of a job, with those of its records that are results."""
    filed = [record for record in job.filed().values() if record.request == job.request]
    records = [record for record in filed if retired_because(record, job.row) is None]
    return Trained(job.row.label, job.row.group, job.seed, job.settings, job.selected, records)
