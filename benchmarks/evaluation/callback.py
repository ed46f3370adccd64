"""Evaluation: the callback in which a system meets tasks and metrics; it alone asks, measures, logs and records."""

from collections import Counter
from collections.abc import Mapping
from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from lightning import Callback, LightningModule, Trainer
from lightning.pytorch.utilities import rank_zero_info

from benchmarks.evaluation.gallery import Gallery
from benchmarks.evaluation.task_evaluator import Sitting, check_target, check_times, check_types, labels, without_gaps
from benchmarks.evaluation.tasks import SEED_STEP, Task
from benchmarks.loggers.results import log_measurements, log_records
from benchmarks.metrics.base import ClipMetric
from benchmarks.pretrained.registry import WeightsUnavailable
from benchmarks.records.clip_scores import write_per_clip
from benchmarks.records.record import Measurement
from benchmarks.utils.errors import UserError
from datamodules.clip import Batch
from lightning_modules.callbacks.budget import updates_of
from lightning_modules.callbacks.rng_state import State, capture_random_state, restore_random_state
from lightning_modules.dynamics.base import OffGridError


class Evaluation(Callback):
    """Poses every task to the system, measures its answers, logs the numbers and a gallery, and records tests.

    What cannot be measured is a dash with its reason: a task the system has no verb for, a metric whose weights cannot
    be had, a value that is not finite. The random streams of the training are left as found.

    Args:
        tasks: what is asked. None or empty: nothing.
        metrics: how answers are measured; each task gets its own copies.
        seed: decides, with each clip's id, what stochastic systems draw.
        draws: how many answers each question gets. Means over clips are means over the draws too; metrics of sets take
            the first; diversity and the best of n compare them.
        every_n_epochs: how often a validation during `fit` is measured.
        gallery: how many clips are shown, truth and answer side by side; 0 for none.
        folder: where records and galleries go; None: beside the run.
        table: the benchmark that the run is a row of, and
        row: the row's label in it, and
        group: the block of the table that the row stands in, for the record.
        request: a hash of what was asked for, kept in the record.
        selection: how the checkpoint was chosen; part of the protocol.
    """

    def __init__(
        self,
        tasks: list[Task] | None = None,
        metrics: list[ClipMetric] | None = None,
        *,
        seed: int = 0,
        draws: int = 1,
        every_n_epochs: int = 1,
        gallery: int = 4,
        folder: str | None = None,
        table: str = "",
        row: str = "",
        group: str = "",
        request: str | None = None,
        selection: str = "last",
    ) -> None:
        super().__init__()
        if min(every_n_epochs, draws) < 1 or gallery < 0:
            raise UserError(
                "every_n_epochs and draws must be at least 1 and gallery at least 0; got "
                f"{every_n_epochs}, {draws} and {gallery}."
            )
        if (seed + 1) * draws > 2**15:
            raise UserError(
                f"Every draw has a seed of its own: (seed + 1) * draws must not exceed {2**15}; got seed {seed} and "
                f"{draws} draws. Lower one."
            )
        repeated = [name for name, count in Counter(metric.name for metric in metrics or []).items() if count > 1]
        if repeated:
            raise UserError(f"Metrics must differ in name; {', '.join(repeated)} appears twice. Remove one.")
        self.tasks = tasks or []
        self.metrics = metrics or []
        self.seed = seed
        self.draws = draws
        self.every_n_epochs = every_n_epochs
        self.gallery = gallery
        self.folder = folder
        self.table = table
        self.row = row
        self.group = group
        self.request = request
        self.selection = selection
        self.run_config: Mapping[str, Any] = {}
        """The resolved configuration of the run, for the record: set by the command line."""
        self.results: dict[str, dict[str, Measurement]] = {}
        """The last pass's measurements, by task and metric."""
        self.records: list[Path] = []
        """The record files that the last test wrote."""
        self._labels = labels(self.tasks)
        self._sittings: list[Sitting] = []
        self._said: set[str] = set()
        self._unavailable: dict[str, str] = {}
        self._gallery = Gallery(0)
        self._place = Path()
        self._random_state: State | None = None

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Refuse a metric that cannot measure what this system answers or this data shows."""
        self._place = Path(self.folder or trainer.log_dir or trainer.default_root_dir)  # log_dir asks all processes
        if not self.tasks:
            return
        check_types(pl_module, self.metrics, None)
        for metric in self.metrics:
            try:
                metric.prepare()
            except WeightsUnavailable as error:
                self._unavailable[metric.name] = str(error)
                self._say(f"{metric.name}: — ({error})")

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Prepare copies of the metrics, on the device, for every task."""
        self._start(trainer, pl_module)

    def on_test_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """As in validation."""
        self._start(trainer, pl_module)

    def on_predict_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """As in validation."""
        self._start(trainer, pl_module)

    def on_validation_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Batch, *_: Any
    ) -> None:
        """Ask every task of the batch and measure the answers."""
        self._sit(trainer, pl_module, batch)

    def on_test_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Batch, *_: Any
    ) -> None:
        """As in validation."""
        self._sit(trainer, pl_module, batch)

    def on_predict_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Batch, *_: Any
    ) -> None:
        """Ask every task of the batch; nothing is measured."""
        self._sit(trainer, pl_module, batch)

    def on_validation_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Compute over all processes, log, save the gallery."""
        self._finish(trainer, pl_module)

    def on_test_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """As in validation, and write a record for each task."""
        self._finish(trainer, pl_module)
        self.records = self._write_records(trainer, pl_module)
        log_records(trainer.loggers, self.records)

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Give the random streams back."""
        self._restore()

    def on_test_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Give the random streams back."""
        self._restore()

    def on_predict_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Save the gallery, give the random streams back."""
        self._gallery.save(self._place / "samples", "predict", updates_of(trainer, pl_module), trainer.loggers)
        self._restore()

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        """Give the random streams back."""
        self._restore()

    def _start(self, trainer: Trainer, system: LightningModule) -> None:
        self._sittings, self._gallery = [], Gallery(0)
        epoch = trainer.current_epoch + 1
        if trainer.state.fn == "fit" and not trainer.sanity_checking and epoch % self.every_n_epochs:
            return
        self._random_state = capture_random_state()
        torch.manual_seed(self.seed)
        self._gallery = Gallery(self.gallery if trainer.is_global_zero and not trainer.sanity_checking else 0)
        for task, label in zip(self.tasks, self._labels, strict=True):
            sitting = Sitting(task, label, [])
            if task.answerable_by(system):
                sitting.dashes = dict(self._unavailable)
                measured = [metric for metric in self.metrics if metric.name not in self._unavailable]
                sitting.metrics = [deepcopy(metric).to(system.device) for metric in measured if not trainer.predicting]
            else:
                reason = task.refusal(system)
                sitting.dashes = {metric.name: reason for metric in self.metrics}
                self._say(f"{label}: — ({reason})")
            self._sittings.append(sitting)

    @torch.no_grad()
    def _sit(self, trainer: Trainer, system: Any, batch: Batch) -> None:
        for sitting in self._sittings:
            task = sitting.task
            if sitting.refused or not task.answerable_by(system):
                continue
            check_types(system, self.metrics, type(batch.clip))
            case = task.pose(batch, system.sample_type, self.seed * self.draws)
            check_target(batch, task)
            for draw in range(self.draws):
                drawn = case._replace(seeds=case.seeds + draw * SEED_STEP)
                try:
                    with trainer.precision_plugin.forward_context(), sitting.timed(len(case.ids), system.device):
                        answer = task.ask(system, drawn)
                except OffGridError as error:
                    sitting.refuse(str(error))
                    self._say(f"{sitting.label}: — ({error})")
                    break
                answer = type(answer)(*(value.float() for value in answer))
                check_times(system, sitting.label, drawn, answer)
                answer = without_gaps(drawn, task.measured(answer))
                for name, reason in sitting.mark(system, drawn, answer, batch, draw).items():
                    self._say(f"{sitting.label}/{name}: — ({reason})")
                if draw == 0:
                    self._gallery.show(sitting.label, drawn, answer)

    def _finish(self, trainer: Trainer, system: LightningModule) -> None:
        stage = "test" if trainer.testing else "val"
        if self._sittings:
            self.results = {}
        for sitting in self._sittings:
            sitting.total(trainer, system.device)
            entries = self.results[sitting.label] = {metric.name: sitting.measure(metric) for metric in self.metrics}
            if trainer.testing:
                sitting.keep_clips()
            for name, entry in entries.items():
                if entry.value is not None:
                    # All processes hold the same number; max keeps it exact where a mean of three would round.
                    system.log(f"{stage}/{sitting.label}/{name}", entry.value, sync_dist=True, reduce_fx="max")
        step = updates_of(trainer, system)
        self._gallery.save(self._place / "samples", stage, step, trainer.loggers)
        if self._sittings and trainer.is_global_zero and not trainer.sanity_checking:
            log_measurements(trainer.loggers, self._place, stage, step, self.results)

    def _write_records(self, trainer: Trainer, system: Any) -> list[Path]:
        """One record for each task that was asked, by the first process."""
        written: list[Path] = []
        for sitting in self._sittings if trainer.is_global_zero else []:
            if not sitting.clips:
                continue
            record = sitting.record(
                trainer,
                system,
                self.results[sitting.label],
                self.run_config,
                extractors={metric.name: metric.protocol for metric in self.metrics if metric.protocol},
                table=self.table,
                row=self.row,
                draws=self.draws,
                draw_seed=self.seed,
                selection=self.selection,
            )
            path = self._place / ("record.json" if len(self.tasks) == 1 else f"record-{sitting.label}.json")
            replace(record, request=self.request, group=self.group).write(path)
            write_per_clip(path, sitting.per_clip)
            written.append(path)
        return written

    def _say(self, dash: str) -> None:
        """Once, not at every validation."""
        if dash not in self._said:
            self._said.add(dash)
            rank_zero_info(dash)

    def _restore(self) -> None:
        if self._random_state is not None:
            restore_random_state(self._random_state)
            self._random_state = None
