"""Task evaluator: one task over one pass of the data by one system: its measurements, and the record of a test."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from statistics import median
from time import perf_counter
from typing import Any

import torch
from lightning import Trainer

from benchmarks.evaluation.failures import gathered_reasons, misfits, reason_of
from benchmarks.evaluation.own_clips import OwnClips
from benchmarks.evaluation.query import Query, with_neighbours
from benchmarks.evaluation.tasks import Task
from benchmarks.metrics.base import ClipMetric, ScoresClips
from benchmarks.metrics.distribution import Side
from benchmarks.metrics.gathered import GatheredMetric
from benchmarks.records.clip_scores import PerClip
from benchmarks.records.parts import Measurement, Throughput
from datamodules.clip import Batch, Sample


@dataclass
class TaskEvaluator:
    """A task, its own copies of the metrics, and what was counted.

    Args:
        task: that is run.
        label: the task's name, with the settings that tell it from others of the same name.
        metrics: those that can still be computed.
        unavailable: why the others cannot, by metric.
        skipped: whether the system cannot run the task at all.
        clips: the number of clips.
        batches: the number of batches.
        evaluations: function evaluations of the dynamics, over all batches.
        settings: what the protocol says of the clips.
        per_clip: the score of each clip, by metric, for metrics that have one.
        own: the clips that the task generates, where it says how many; `clips` then counts the reference.
    """

    task: Task
    label: str
    metrics: list[ClipMetric]
    unavailable: dict[str, str] = field(default_factory=dict)
    skipped: bool = False
    clips: int = 0
    batches: int = 0
    evaluations: int = 0
    settings: dict[str, Any] = field(default_factory=dict)
    per_clip: dict[str, PerClip] = field(default_factory=dict)
    own: OwnClips | None = None
    _processes: int = field(default=1, init=False, repr=False)
    _target: Sample | None = field(default=None, init=False, repr=False)
    _pace: list[tuple[int, float]] = field(default_factory=list, init=False, repr=False)
    """Samples of a batch, and the seconds that they took."""
    _rate: float = field(default=0.0, init=False, repr=False)

    @contextmanager
    def timed(self, samples: int, device: torch.device) -> Iterator[None]:
        """Note how long so many predictions take; one that fails is not counted."""
        _wait(device)
        start = perf_counter()
        yield
        _wait(device)
        self._pace.append((samples, perf_counter() - start))

    def update(self, system: Any, query: Query, prediction: Sample, batch: Batch, sample: int = 0) -> dict[str, str]:
        """Update the metrics with a batch of predictions; returns metrics that became unavailable, with the reasons.

        Clips are counted with the first sample (`sample` 0) only.
        """
        new = {}
        if sample == 0 or self._target is None:  # one tensor for all samples, so that its features are computed once
            self._target = self.task.compose_full_clip(query, query.target)
        clip = self.task.compose_full_clip(query, prediction)
        bounded: tuple[Sample, Sample] | None = None
        for metric in self.metrics if sample == 0 else ():
            metric.know_origins(query.ids, query.origins)
        for metric in self.metrics:
            pair = clip, self._target
            if metric.with_neighbours:
                pair = bounded = bounded or (with_neighbours(query, prediction), with_neighbours(query, query.target))
            try:
                metric.update(*pair, query.ids)
            except Exception as error:  # one metric's failure is not the end of the others
                new[metric.name] = reason_of(metric.name, error)
        self._drop(new)
        self.clips += 0 if sample else len(query.ids)
        self.count_evaluations(system)
        self.settings = self.settings or _clip_settings(query, batch)
        return new

    def update_side(self, side: Side, clips: Sample, query: Query, batch: Batch | None = None) -> dict[str, str]:
        """As `update`, of a batch of reference clips, or of clips of the task's own, which have no target."""
        new = {}
        for metric in self.metrics:
            try:
                metric.update_side(side, clips, query.ids)  # type: ignore[operator]
            except Exception as error:
                new[metric.name] = reason_of(metric.name, error)
        self._drop(new)
        if batch is not None:
            self.clips += len(query.ids)
            self.settings = self.settings or _clip_settings(query, batch)
        return new

    def count_evaluations(self, system: Any) -> None:
        """Add the function evaluations of a batch of predictions."""
        self.batches += 1
        self.evaluations += int(getattr(system, "function_evaluations", None) or 0)

    def skip(self, reason: str) -> None:
        """Make all metrics unavailable: the system cannot run this task."""
        self.unavailable |= {metric.name: reason for metric in self.metrics}
        self.metrics = []
        self.skipped = True

    def measure(self, metric: ClipMetric) -> Measurement:
        """The metric's measurement. Every process must call it."""
        mine = next((copy for copy in self.metrics if copy.name == metric.name), None)
        if mine is None:
            return Measurement.missing(self.unavailable[metric.name], higher_is_better=metric.higher_is_better)
        found: Measurement | None = None
        failed: dict[str, str] = {}
        try:
            found = mine.measurement()
        except Exception as error:
            failed = {metric.name: reason_of(metric.name, error)}
        self._drop(gathered_reasons(failed, self._processes))
        if metric.name in self.unavailable or found is None:
            return Measurement.missing(self.unavailable[metric.name], higher_is_better=metric.higher_is_better)
        return found

    def collect_per_clip(self) -> None:
        """Keep the score of each clip, for paired tests with other systems. Every process must call it."""
        self.per_clip = {one.name: one.per_clip() for one in self.metrics if isinstance(one, ScoresClips)}

    def _drop(self, failed: dict[str, str]) -> None:
        """Make metrics unavailable, each with its reason."""
        self.unavailable |= failed
        self.metrics = [metric for metric in self.metrics if metric.name not in failed]  # `==` of metrics is arithmetic

    def reduce(self, trainer: Trainer, device: torch.device) -> None:
        """Sum the counts over all processes, and drop metrics that any process could not compute."""
        self._processes = trainer.world_size
        self._drop(gathered_reasons(self.unavailable, self._processes))
        self._drop(misfits([one for one in self.metrics if isinstance(one, GatheredMetric)], self._processes))
        counts = torch.tensor([self.clips, self.batches, self.evaluations], device=device)
        counts = trainer.strategy.reduce(counts, reduce_op="sum")
        self.clips, self.batches, self.evaluations = (int(count) for count in counts)
        rates = [samples / max(seconds, 1e-9) for samples, seconds in self._pace[1:] or self._pace]
        rate = torch.tensor(median(rates) if rates else 0.0, device=device)
        self._rate = float(trainer.strategy.reduce(rate, reduce_op="sum"))

    def throughput(self, device: str) -> Throughput | None:
        """Samples per second over all processes; None if nothing was predicted."""
        return Throughput(self._rate, max(samples for samples, _ in self._pace), device) if self._pace else None


def _wait(device: torch.device) -> None:
    """Until the device has nothing left to do."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def _clip_settings(query: Query, batch: Batch) -> dict[str, Any]:
    context, target = query.observed.times.shape[1], query.target.times.shape[1]
    times = batch.clip.times[0, : context + target] if context else query.target.times[0]
    steps = times.double().diff()
    regular = len(steps) > 0 and bool(steps.max() - steps.min() < 1e-3 * steps.mean())
    return {
        "context_frames": context,
        "target_frames": target,
        "frames": context + target,
        "fps": round(1 / float(steps.mean()), 3) if regular else "irregular",
        "shape": list(query.target[0].shape[2:]),
    }
