"""CSV log: `metrics.csv` beside the run, which a resumed run continues."""

import csv
import os
from collections.abc import Mapping
from typing import Any

from lightning.fabric.loggers.logger import rank_zero_experiment
from lightning.pytorch.loggers import CSVLogger
from lightning.pytorch.loggers.csv_logs import ExperimentWriter


class CsvLog(CSVLogger):
    """Lightning's CSV logger, but it appends to an existing file instead of deleting it.

    Args:
        save_dir: the folder of `metrics.csv`; "." is the run's folder, when the command line makes the logger.
    """

    def __init__(self, save_dir: str = ".") -> None:
        super().__init__(save_dir, name="", version="")

    @property
    @rank_zero_experiment
    def experiment(self) -> ExperimentWriter:
        """The writer of the file; created at first use."""
        if not isinstance(self._experiment, _Appender):
            os.makedirs(self._root_dir, exist_ok=True)
            self._experiment = _Appender(log_dir=self.log_dir)
        return self._experiment

    def log_metrics(self, metrics: Mapping[str, Any], step: int | None = None) -> None:
        """A row of numbers; none for a step at which nothing was logged."""
        if metrics:
            super().log_metrics(dict(metrics), step)


class _Appender(ExperimentWriter):
    def _check_log_dir_exists(self) -> None:
        if self._fs.isfile(self.metrics_file_path):
            with self._fs.open(self.metrics_file_path, "r", newline="") as file:
                self.metrics_keys = next(csv.reader(file), [])
