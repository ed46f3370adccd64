"""Sitting: one task taken once over the data by one system; its measurements, and the record it leaves."""

from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, fields
from math import isfinite
from statistics import median
from time import perf_counter
from typing import Any

import torch
from lightning import Trainer
from torch import Tensor

from benchmarks.evaluation.tasks import Case, Task
from benchmarks.metrics.base import ClipMetric
from benchmarks.metrics.reference import PairedMetric
from benchmarks.pretrained.registry import WeightsUnavailable
from benchmarks.records.clip_scores import PerClip
from benchmarks.records.record import Budget as Cost
from benchmarks.records.record import Measurement, Protocol, Record, Sampling
from benchmarks.utils.errors import UserError
from datamodules.clip import Batch, KeypointClip, Sample, Trajectory, VideoClip
from lightning_modules.callbacks.budget import Budget, updates_of


@dataclass
class Sitting:
    """A task, its own copies of the metrics, and what was counted.

    Args:
        task: what is asked.
        label: the task's name, with the settings that tell it from others of the name.
        metrics: those that can still be measured.
        dashes: why the others cannot, by metric.
        refused: whether the system has refused the question.
        clips: how many were asked.
        batches: in how many batches.
        evaluations: function evaluations of the dynamics, over all batches.
        exam: what of the clips belongs to the protocol.
        per_clip: what each clip got, by metric, for those that have a value for each.
    """

    task: Task
    label: str
    metrics: list[ClipMetric]
    dashes: dict[str, str] = field(default_factory=dict)
    refused: bool = False
    clips: int = 0
    batches: int = 0
    evaluations: int = 0
    exam: dict[str, Any] = field(default_factory=dict)
    per_clip: dict[str, PerClip] = field(default_factory=dict)
    _truth: Sample | None = field(default=None, init=False, repr=False)
    _pace: list[tuple[int, float]] = field(default_factory=list, init=False, repr=False)
    """How many samples were asked at once and how many seconds they took."""
    _rate: float = field(default=0.0, init=False, repr=False)

    @contextmanager
    def timed(self, samples: int, device: torch.device) -> Iterator[None]:
        """Note how long it takes to answer so many samples; an answer that fails is not counted."""
        _wait(device)
        start = perf_counter()
        yield
        _wait(device)
        self._pace.append((samples, perf_counter() - start))

    def mark(self, system: Any, case: Case, answer: Sample, batch: Batch, draw: int = 0) -> dict[str, str]:
        """Update the metrics with a batch of answers; returns the dashes that this brought, with their reasons.

        Clips are counted at the first draw only.
        """
        new = {}
        if draw == 0 or self._truth is None:  # one tensor for all draws, so that its features are made once
            self._truth = self.task.completed(case, case.target)
        sample = self.task.completed(case, answer)
        for metric in self.metrics:
            try:
                metric.update(sample, self._truth, case.ids)
            except WeightsUnavailable as error:
                new[metric.name] = str(error)
        self.dashes |= new
        self.metrics = [metric for metric in self.metrics if metric.name not in new]  # `==` of metrics is arithmetic
        self.clips += 0 if draw else len(case.ids)
        self.batches += 1
        self.evaluations += int(getattr(system, "function_evaluations", None) or 0)
        self.exam = self.exam or _describe(case, batch)
        return new

    def refuse(self, reason: str) -> None:
        """All that is left to measure becomes a dash: the system cannot answer this task."""
        self.dashes |= {metric.name: reason for metric in self.metrics}
        self.metrics = []
        self.refused = True

    def measure(self, metric: ClipMetric) -> Measurement:
        """What became of a metric: every process takes part in computing it."""
        mine = next((copy for copy in self.metrics if copy.name == metric.name), None)
        if mine is None:
            return Measurement.missing(self.dashes[metric.name], higher_is_better=metric.higher_is_better)
        summary = mine.summary()
        numbers = (summary.value, *(summary.interval or ()), *(summary.per_frame or ()))
        if not all(map(isfinite, numbers)):
            return Measurement.missing(f"not finite ({summary.value})", higher_is_better=metric.higher_is_better)
        return Measurement(*summary, higher_is_better=metric.higher_is_better)

    def keep_clips(self) -> None:
        """Keep each clip's own value, for a paired test with another system; every process takes part."""
        self.per_clip = {metric.name: metric.per_clip() for metric in self.metrics if isinstance(metric, PairedMetric)}

    def total(self, trainer: Trainer, device: torch.device) -> None:
        """Count over all processes, and drop a metric that another could not take."""
        if trainer.world_size > 1:
            everyone: list[Any] = [None] * trainer.world_size
            torch.distributed.all_gather_object(everyone, self.dashes)
            self.dashes = {name: reason for dashes in everyone for name, reason in dashes.items()}
            self.metrics = [metric for metric in self.metrics if metric.name not in self.dashes]
        counts = torch.tensor([self.clips, self.batches, self.evaluations], device=device)
        counts = trainer.strategy.reduce(counts, reduce_op="sum")
        self.clips, self.batches, self.evaluations = (int(count) for count in counts)
        rates = [samples / max(seconds, 1e-9) for samples, seconds in self._pace[1:] or self._pace]
        rate = torch.tensor(median(rates) if rates else 0.0, device=device)
        self._rate = float(trainer.strategy.reduce(rate, reduce_op="sum"))

    def record(
        self,
        trainer: Trainer,
        system: Any,
        metrics: Mapping[str, Measurement],
        config: Mapping[str, Any],
        *,
        extractors: Mapping[str, Any],
        table: str,
        row: str,
        draws: int,
        draw_seed: int,
        selection: str,
    ) -> Record:
        """The record of a test."""
        task = {"name": self.task.name, **self.task.settings}
        settings = {
            **self.exam,
            "n": self.clips,
            "task": task,
            "draws": draws,
            "draw_seed": draw_seed,
            "selection": selection,
            **({"metrics": dict(extractors)} if extractors else {}),
        }
        name = f"{self.label}-{self.exam['shown']}to{self.exam['asked']}" + (f"-gen{draws}" if draws > 1 else "")
        model = system.config or {"class_path": f"{type(system).__module__}.{type(system).__qualname__}"}
        data = trainer.datamodule  # type: ignore[attr-defined]
        clock = next((callback for callback in trainer.callbacks if isinstance(callback, Budget)), None)  # type: ignore[attr-defined]
        device = system.device
        machine = torch.cuda.get_device_name(device) if device.type == "cuda" else device.type
        many = f"{trainer.world_size} x " if trainer.world_size > 1 else ""
        part = getattr(system, "generator", system)
        return Record.create(
            task=task,
            data=str(data.data_id("test")) if hasattr(data, "data_id") else type(data).__name__,
            split="test",
            class_path=model["class_path"],
            config=config or {"model": model},
            seed=int(config.get("seed_everything") or 0),
            protocol=Protocol.create(name, settings),
            metrics=metrics,
            budget=Cost(*system.trained)
            if getattr(system, "trained", None)
            else Cost(
                updates_of(trainer, system),
                clock.elapsed if clock else 0.0,
                machine,
            ),
            parameters=sum(parameter.numel() for parameter in part.parameters()),
            deterministic=torch.are_deterministic_algorithms_enabled(),
            table=table,
            row=row,
            mode=getattr(system, "mode", None),
            function_evaluations=self.evaluations / self.batches if self.evaluations else None,
            sampling=Sampling(self._rate, max(samples for samples, _ in self._pace), many + machine)
            if self._pace
            else None,
        )


def _wait(device: torch.device) -> None:
    """Until the device has nothing left to do."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def labels(tasks: list[Task]) -> list[str]:
    """The tasks' names, with the settings in which they differ where a name is shared."""
    names = []
    for task in tasks:
        rivals = [other for other in tasks if other.name == task.name]
        differing = [
            f"{entry.name}{getattr(task, entry.name):g}"
            for entry in fields(task)
            if len({getattr(other, entry.name, None) for other in rivals}) > 1 and getattr(task, entry.name) is not None
        ]
        names.append("-".join([task.name, *differing]))
    repeated = [name for name, count in Counter(names).items() if count > 1]
    if repeated:
        raise UserError(f"Tasks must differ; {', '.join(repeated)} is asked twice. Remove the repetition.")
    return names


def check_types(system: Any, metrics: list[ClipMetric], data_type: type[Sample] | None) -> None:
    """Raise a ValueError that names what does not fit: system to data, or a metric to either."""
    ours = system.sample_type
    if data_type is not None and not set(ours._fields) <= set(data_type._fields):
        raise UserError(
            f"{type(system).__name__} works on {ours.__name__}s, the data has {data_type.__name__}s. "
            f"Choose data with {_lacking(ours, data_type)}."
        )
    for metric in metrics:
        answer, truth = metric.accepts
        if not _serves(ours, answer):
            raise UserError(
                f"The metric '{metric.name}' measures {answer.__name__}s, {type(system).__name__} answers with "
                f"{ours.__name__}s. Remove the metric for this system."
            )
        if data_type is not None and not _serves(data_type, truth):
            raise UserError(
                f"The metric '{metric.name}' compares with {truth.__name__}s, the data has {data_type.__name__}s. "
                f"Choose data with {_lacking(truth, data_type)}, or remove the metric."
            )


def check_times(system: Any, label: str, case: Case, answer: Sample) -> None:
    """Raise a ValueError if a verb has not answered at the times it was asked."""
    if not torch.equal(answer.times, case.times):
        raise UserError(
            f"{type(system).__name__} was asked the task '{label}' at {_few(case.times)} s and "
            f"answered at {_few(answer.times)} s. A verb must return exactly the times it is asked."
        )


def without_gaps(case: Case, answer: Sample) -> Sample:
    """The answer with the target's own pixels where nothing is known of them: there nobody is right or wrong."""
    if case.valid is None or isinstance(answer, Trajectory) or isinstance(case.target, Trajectory):
        return answer
    return answer._replace(frames=torch.where(case.valid, answer.frames, case.target.frames.to(answer.frames)))


def check_target(batch: Batch, task: Task) -> None:
    """Raise a ValueError if a frame that is asked for is missing from the data."""
    mask = task.mask(task.frames or batch.present.shape[-1])
    hidden = batch.present[:, : len(mask)][:, (~mask).to(batch.present.device)]
    if not bool(hidden.all()):
        raise UserError(
            f"The task '{task.name}' asks for frames that are missing from the data: {int((~hidden).sum())} in this "
            "batch. Nothing can be compared with them; use an evaluation sampling that has them all."
        )


def _serves(have: type[Sample], asked: type[Sample]) -> bool:
    return have is asked or (have is KeypointClip and asked is VideoClip)


def _lacking(asked: type[Sample], have: type[Sample]) -> str:
    return " and ".join(name for name in asked._fields if name not in have._fields) or asked.__name__


def _describe(case: Case, batch: Batch) -> dict[str, Any]:
    shown, asked = case.observed.times.shape[1], case.target.times.shape[1]
    steps = batch.clip.times[0, : shown + asked].double().diff()
    regular = len(steps) > 0 and bool(steps.max() - steps.min() < 1e-3 * steps.mean())
    return {
        "shown": shown,
        "asked": asked,
        "frames": shown + asked,
        "fps": round(1 / float(steps.mean()), 3) if regular else "irregular",
        "shape": list(case.target[0].shape[2:]),
    }


def _few(times: Tensor) -> str:
    listed = [f"{float(time):.4g}" for time in times[0, :4]]
    return f"[{', '.join(listed)}{', ...' if times.shape[1] > 4 else ''}]"
