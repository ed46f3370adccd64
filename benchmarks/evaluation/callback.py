"""Evaluation: the callback in which a system meets tasks and metrics; all numbers of all models come from here."""

from collections import Counter
from collections.abc import Mapping
from copy import deepcopy
from pathlib import Path
from typing import Any

import torch
from lightning import Callback, LightningModule, Trainer
from lightning.pytorch.utilities import rank_zero_info

from benchmarks.evaluation.checks import (
    check_frames,
    check_sides,
    check_target,
    check_times,
    check_types,
    fill_invalid_pixels,
    task_labels,
)
from benchmarks.evaluation.failures import reason_of
from benchmarks.evaluation.gallery import Gallery
from benchmarks.evaluation.own_clips import FIRST_SOURCE, OwnClips, check_own_clips
from benchmarks.evaluation.query import Query
from benchmarks.evaluation.run_info import Weights, device_name, left_out, protocol_of, run_info, weights_of
from benchmarks.evaluation.task_evaluator import TaskEvaluator
from benchmarks.evaluation.tasks import SEED_STEP, Generate, Task
from benchmarks.loggers.results import log_measurements, log_records
from benchmarks.metrics.base import ClipMetric
from benchmarks.pretrained.registry import WeightsUnavailable
from benchmarks.records.clip_scores import write_per_clip
from benchmarks.records.parts import Measurement, TaskResult
from benchmarks.records.record import Record
from benchmarks.utils.errors import UserError
from datamodules.clip import Batch, Sample
from lightning_modules.callbacks.budget import updates_of
from lightning_modules.callbacks.rng_state import State, capture_random_state, restore_random_state
from lightning_modules.dynamics.base import OffGridError

_AT_ONCE = 16
"""Clips of a task's own that are generated at once when all reference clips have been seen."""


class Evaluation(Callback):
    """Runs every task on the system, updates the metrics, logs numbers and a gallery, and writes the records of a test.

    A test or validation that `fast_dev_run` or `limit_..._batches` cuts short writes no record and no measurement, and
    weights that were never trained get a record of their own, labelled so: neither replaces what a whole test wrote.
    What cannot be measured is n/a with its reason: a task that the system does not implement, a metric without its
    pretrained weights, a value that is not finite. The random streams of the training are left as found.

    Args:
        tasks: what the system predicts. None or empty: nothing.
        metrics: each task gets its own copies.
        seed: with each clip's id, seeds the noise of stochastic systems.
        num_samples: predictions per query. Frame metrics average over clips and samples; metrics of distributions use
            the first sample; diversity and best-of-n compare the samples. A system with `stochastic = False` is asked
            once, and each measurement says so (`samples: 1`).
        every_n_epochs: how often a validation during `fit` is evaluated.
        gallery: the number of clips that are shown, target and prediction side by side; 0 for none.
        folder: of records and galleries; None: beside the run.
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
        num_samples: int = 1,
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
        if min(every_n_epochs, num_samples) < 1 or gallery < 0:
            raise UserError(
                "every_n_epochs and num_samples must be at least 1 and gallery at least 0; got "
                f"{every_n_epochs}, {num_samples} and {gallery}."
            )
        if (seed + 1) * num_samples > 2**15:
            raise UserError(
                f"Every sample has its own seed: (seed + 1) * num_samples must not exceed {2**15}; got seed {seed} and "
                f"{num_samples} samples. Lower one."
            )
        repeated = [name for name, count in Counter(metric.name for metric in metrics or []).items() if count > 1]
        if repeated:
            raise UserError(f"Metrics must differ in name; {', '.join(repeated)} appears twice. Remove one.")
        self.tasks = tasks or []
        self.metrics = metrics or []
        self.seed = seed
        self.num_samples = num_samples
        self.every_n_epochs = every_n_epochs
        self.gallery = gallery
        self.folder = folder
        self.table = table
        self.row = row
        self.group = group
        self.request = request
        self.selection = selection
        self.run_config: Mapping[str, Any] = {}
        """The resolved configuration of the run, for the record; set by the command line."""
        self.results: dict[str, dict[str, Measurement]] = {}
        """The last pass's measurements, by task and metric."""
        self.records: list[Path] = []
        """The record files that the last test wrote."""
        self._labels = task_labels(self.tasks)
        self._evaluators: list[TaskEvaluator] = []
        self._said: set[str] = set()
        self._unavailable: dict[str, str] = {}
        self._gallery = Gallery(0)
        self._folder = Path()
        self._random_state: State | None = None
        self._weights = Weights()

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Refuse a metric that does not fit the system's predictions or the data."""
        self._folder = Path(self.folder or trainer.log_dir or trainer.default_root_dir)  # all processes ask for log_dir
        if not self.tasks:
            return
        check_types(pl_module, self.metrics, None)
        for task in self.tasks:
            if isinstance(task, Generate) and task.clips is not None:
                for metric in self.metrics:
                    check_own_clips(metric, task.clips)
        for metric in self.metrics:
            try:
                metric.prepare()
            except WeightsUnavailable as error:
                self._unavailable[metric.name] = str(error)
            except UserError:
                raise
            except Exception as error:
                self._unavailable[metric.name] = reason_of(metric.name, error)
            if metric.name in self._unavailable:
                self._say(f"{metric.name}: n/a ({self._unavailable[metric.name]})")

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Copy the metrics to the device for every task."""
        self._start(trainer, pl_module)

    def on_test_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """As in validation."""
        self._weights = weights_of(trainer, pl_module)
        self._start(trainer, pl_module)

    def on_predict_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """As in validation."""
        self._start(trainer, pl_module)

    def on_validation_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Batch, *_: Any
    ) -> None:
        """Run every task on the batch and update the metrics."""
        self._evaluate(trainer, pl_module, batch)

    def on_test_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Batch, *_: Any
    ) -> None:
        """As in validation."""
        self._evaluate(trainer, pl_module, batch)

    def on_predict_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Batch, *_: Any
    ) -> None:
        """Run every task on the batch, without metrics."""
        self._evaluate(trainer, pl_module, batch)

    def on_validation_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Compute over all processes, log, save the gallery."""
        self._finish(trainer, pl_module)

    def on_test_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """As in validation, and write a record for each task."""
        self._finish(trainer, pl_module)
        self.records = self._write_records(trainer, pl_module)
        log_records(trainer.loggers, self.records)

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Restore the random streams."""
        self._restore()

    def on_test_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Restore the random streams."""
        self._restore()

    def on_predict_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Save the gallery, restore the random streams."""
        self._gallery.save(self._folder / "samples", "predict", updates_of(trainer, pl_module), trainer.loggers)
        self._restore()

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        """Restore the random streams."""
        self._restore()

    def _start(self, trainer: Trainer, system: LightningModule) -> None:
        self._evaluators, self._gallery = [], Gallery(0)
        epoch = trainer.current_epoch + 1
        if trainer.state.fn == "fit" and not trainer.sanity_checking and epoch % self.every_n_epochs:
            return
        self._random_state = capture_random_state()
        torch.manual_seed(self.seed)
        self._gallery = Gallery(self.gallery if trainer.is_global_zero and not _trial(trainer) else 0)
        available = [metric for metric in self.metrics if metric.name not in self._unavailable]
        for task, label in zip(self.tasks, self._labels, strict=True):
            if task.supported_by(system):
                copies = [deepcopy(metric).to(system.device) for metric in available if not trainer.predicting]
                for metric in copies:
                    metric.one_answer = self._samples_of(system) < self.num_samples
                evaluator = TaskEvaluator(task, label, copies, dict(self._unavailable))
                if isinstance(task, Generate) and task.clips is not None:
                    source = FIRST_SOURCE["test" if trainer.testing else "val"]
                    evaluator.own = OwnClips(task.clips, source, trainer.global_rank, trainer.world_size)
                self._evaluators.append(evaluator)
            else:
                reason = task.unsupported_reason(system)
                reasons = {metric.name: reason for metric in self.metrics}
                self._evaluators.append(TaskEvaluator(task, label, [], reasons, skipped=True))
                self._say(f"{label}: n/a ({reason})")

    @torch.no_grad()
    def _evaluate(self, trainer: Trainer, system: Any, batch: Batch) -> None:
        for evaluator in self._evaluators:
            if not evaluator.skipped:
                self._run_task(evaluator, trainer, system, batch)

    def _run_task(self, evaluator: TaskEvaluator, trainer: Trainer, system: Any, batch: Batch) -> None:
        """Query, predict, check, update the metrics; once for each sample."""
        task = evaluator.task
        check_types(system, self.metrics, type(batch.clip))
        first = task.make_query(batch, system.sample_type, self.seed * self.num_samples)
        check_target(batch, task)
        if evaluator.own is not None:
            evaluator.own.see(first)
            self._note(evaluator, evaluator.update_side("target", first.target, first, batch))
            self._generate(evaluator, trainer, system, len(first.ids))
            return
        for sample in range(self._samples_of(system)):
            query = first._replace(seeds=first.seeds + sample * SEED_STEP)
            prediction = self._predict(evaluator, trainer, system, query)
            if prediction is None:
                return
            prediction = fill_invalid_pixels(query, prediction)
            check_frames(query, prediction)
            self._note(evaluator, evaluator.update(system, query, prediction, batch, sample))
            if sample == 0:
                self._gallery.show(evaluator.label, query, prediction)

    def _samples_of(self, system: Any) -> int:
        """How many samples of each clip are asked for: a deterministic system gives the same again."""
        return self.num_samples if getattr(system, "stochastic", True) else 1

    def _generate(self, evaluator: TaskEvaluator, trainer: Trainer, system: Any, at_most: int) -> None:
        """The next clips of the task's own, once for each sample."""
        assert evaluator.own is not None
        first = evaluator.own.next_query(at_most, self.seed * self.num_samples)
        if first is None:
            return
        for sample in range(self._samples_of(system)):
            query = first._replace(seeds=first.seeds + sample * SEED_STEP)
            prediction = self._predict(evaluator, trainer, system, query)
            if prediction is None:
                return
            check_sides(query, prediction)
            self._note(evaluator, evaluator.update_side("prediction", prediction, query))
            evaluator.count_evaluations(system)

    def _predict(self, evaluator: TaskEvaluator, trainer: Trainer, system: Any, query: Query) -> Sample | None:
        """The system's prediction; None if it cannot answer at these times."""
        try:
            with trainer.precision_plugin.forward_context(), evaluator.timed(len(query.ids), system.device):
                prediction = evaluator.task.run(system, query)
        except OffGridError as error:
            evaluator.skip(str(error))
            self._say(f"{evaluator.label}: n/a ({error})")
            return None
        prediction = type(prediction)(*(value.float() for value in prediction))
        check_times(system, evaluator.label, query, prediction)
        return prediction

    def _note(self, evaluator: TaskEvaluator, reasons: Mapping[str, str]) -> None:
        for name, reason in reasons.items():
            self._say(f"{evaluator.label}/{name}: n/a ({reason})")

    @torch.no_grad()
    def _finish(self, trainer: Trainer, system: LightningModule) -> None:
        stage = "test" if trainer.testing else "val"
        whole = trainer.state.fn == "fit" or left_out(trainer) is None
        counts = whole and not _trial(trainer) and not (trainer.testing and self._weights.trained is False)
        logged = counts or bool(trainer.sanity_checking)  # the logger must be told the same each time
        if self._evaluators:
            self.results = {}
        for evaluator in self._evaluators:
            while evaluator.own is not None and evaluator.own.left and not evaluator.skipped:
                self._generate(evaluator, trainer, system, _AT_ONCE)
            evaluator.reduce(trainer, system.device)
            entries = {metric.name: evaluator.measure(metric) for metric in self.metrics}
            self.results[evaluator.label] = entries
            if trainer.testing:
                evaluator.collect_per_clip()
            for name, entry in entries.items():
                if entry.value is not None:
                    # All processes hold the same number; max keeps it exact where a mean of three would round.
                    key = f"{stage}/{evaluator.label}/{name}"
                    system.log(key, entry.value, logger=logged, sync_dist=True, reduce_fx="max")
        step = updates_of(trainer, system)
        self._gallery.save(self._folder / "samples", stage, step, trainer.loggers)
        if self._evaluators and trainer.is_global_zero and counts:
            log_measurements(trainer.loggers, self._folder, stage, step, self.results)

    def _write_records(self, trainer: Trainer, system: Any) -> list[Path]:
        """One record for each task that was run, by the first process."""
        if not trainer.is_global_zero:
            return []
        if (reason := left_out(trainer)) is not None:
            self._say(f"No record is written: {reason}.")
            return []
        run, written = run_info(trainer, system, self, self._weights), []
        untrained = "-untrained" * (self._weights.trained is False)
        device = device_name(system.device, trainer.world_size)
        for evaluator in self._evaluators:
            if evaluator.clips:
                label = "" if len(self.tasks) == 1 else f"-{evaluator.label}"
                path = self._folder / f"record{label}{untrained}.json"
                Record.create(run, self._result(evaluator, device)).write(path)
                write_per_clip(path, evaluator.per_clip)
                written.append(path)
        return written

    def _result(self, evaluator: TaskEvaluator, device: str) -> TaskResult:
        return TaskResult(
            task={"name": evaluator.task.name, **evaluator.task.settings},
            protocol=protocol_of(evaluator, self),
            metrics=self.results[evaluator.label],
            function_evaluations=evaluator.evaluations / evaluator.batches if evaluator.evaluations else None,
            throughput=evaluator.throughput(device),
        )

    def _say(self, text: str) -> None:
        """Once, not at every validation."""
        if text not in self._said:
            self._said.add(text)
            rank_zero_info(text)

    def _restore(self) -> None:
        if self._random_state is not None:
            restore_random_state(self._random_state)
            self._random_state = None


def _trial(trainer: Trainer) -> bool:
    """Whether this is a trial of the code, of which nothing is kept."""
    return bool(trainer.sanity_checking or trainer.fast_dev_run)  # type: ignore[attr-defined]
