"""Results of an evaluation for every logger: measurements with curves per frame, galleries, final records."""

import csv
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lightning.pytorch.loggers import Logger, TensorBoardLogger, WandbLogger

from benchmarks.loggers.records import log_curve_to_run, log_record_to_run
from benchmarks.records.parts import Measurement
from benchmarks.records.record import read_record

if TYPE_CHECKING:
    from datamodules.storage.video import Pictures

COLUMNS = ("step", "stage", "task", "metric", "frame", "value", "higher_is_better")
"""The columns of `measurements.csv`; `frame` counts target frames from 1 and is empty for the metric itself."""

Results = Mapping[str, Mapping[str, Measurement]]
"""Measurements by task and metric."""


def log_measurements(loggers: Sequence[Logger], folder: Path, stage: str, step: int, results: Results) -> None:
    """Append the results of one evaluation to `measurements.csv`, and log curves per frame to W&B and TensorBoard.

    The metrics themselves reach the loggers through `LightningModule.log`, like all other numbers.

    Args:
        loggers: of the trainer; call this in the first process only.
        folder: of the run.
        stage: val or test.
        step: generator updates so far.
        results: of the evaluation.
    """
    rows: list[list[Any]] = []
    for task, entries in results.items():
        for name, entry in entries.items():
            if entry.value is None:
                continue
            curve = entry.per_frame or []
            better = int(entry.higher_is_better)
            rows.append([step, stage, task, name, "", entry.value, better])
            rows += [[step, stage, task, name, frame, value, better] for frame, value in enumerate(curve, start=1)]
            for logger in loggers if curve else ():
                _log_curve(logger, stage, task, name, curve, step)
    _append(folder / "measurements.csv", rows)


def log_gallery(
    loggers: Sequence[Logger], name: str, path: Path, frames: "Pictures", frame_rate: float | int, step: int
) -> None:
    """Log a gallery: the MP4 to W&B, a GIF of the same frames to TensorBoard."""
    for logger in loggers:
        if isinstance(logger, WandbLogger):
            kind: list[Any] = ["mp4"]
            logger.log_video(name, [str(path)], step=step, format=kind)
        elif isinstance(logger, TensorBoardLogger):
            _log_gif(logger, name, frames, frame_rate, step)


def log_records(loggers: Sequence[Logger], paths: Sequence[Path]) -> None:
    """Log the final records as summary and artifact of the W&B run, and as text to TensorBoard."""
    for path in paths:
        record = read_record(path)
        for logger in loggers:
            if isinstance(logger, WandbLogger):
                log_record_to_run(logger.experiment, path, record)
            elif isinstance(logger, TensorBoardLogger):
                text = path.read_text(encoding="utf-8")
                logger.experiment.add_text(f"record/{record.protocol.id}", f"```json\n{text}```", 0)


def _log_curve(logger: Logger, stage: str, task: str, name: str, curve: Sequence[float | int], step: int) -> None:
    if isinstance(logger, WandbLogger):
        log_curve_to_run(logger.experiment, f"{stage}/{task}/{name}_per_frame", name, curve, generator_updates=step)
    elif isinstance(logger, TensorBoardLogger):
        for frame, value in enumerate(curve, start=1):
            logger.experiment.add_scalar(f"per_frame/{stage}/{task}/{name}/{frame:03}", value, step)


def _log_gif(logger: TensorBoardLogger, name: str, frames: "Pictures", frame_rate: float | int, step: int) -> None:
    """TensorBoard plays GIFs; its own `add_video` needs another package to write them."""
    from tensorboard.compat.proto.summary_pb2 import Summary

    from datamodules.storage.video_writer import write_video

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "gallery.gif"
        write_video(path, frames, frame_rate)
        height, width = frames.shape[-2:]
        image = Summary.Image(height=height, width=width, colorspace=3, encoded_image_string=path.read_bytes())
    summary = Summary(value=[Summary.Value(tag=name, image=image)])
    logger.experiment.file_writer.add_summary(summary, step)


def _append(path: Path, rows: Sequence[Sequence[Any]]) -> None:
    if not rows:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    new = not path.is_file()
    with path.open("a", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerows([COLUMNS, *rows] if new else rows)
