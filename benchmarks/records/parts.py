"""What records are made of: measurements, protocols, throughput, and what is known of a run. Imports no torch."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from benchmarks.utils.errors import UserError
from benchmarks.utils.hashing import content_hash, plain
from lightning_modules.training_cost import TrainingCost

Number = float | int


class RecordError(UserError):
    """A file is not a record that this version can read, or a record would break its schema."""


@dataclass(frozen=True)
class Measurement:
    """The value of one metric, as metrics compute and records keep it.

    Args:
        value: the number, or None where it is n/a, which needs a `reason`.
        n: the number of clips.
        interval: a 95 % interval, or None if there are too few sources for one, or if unknown.
        per_frame: the value at each target frame, for a metric that has one.
        higher_is_better: the direction in which better lies.
        reason: why the value is n/a.
        sources: the number of independent sources (people, films) of the clips; None if unknown, as in older records.
        interval_method: how the interval was made.
        samples: 1 where a deterministic system was asked once for what the protocol asks several times; else None.
    """

    value: Number | None
    n: int
    interval: tuple[Number, Number] | None = None
    per_frame: list[Number] | None = None
    higher_is_better: bool = field(kw_only=True)
    reason: str | None = field(default=None, kw_only=True)
    sources: int | None = field(default=None, kw_only=True)
    interval_method: str | None = field(default=None, kw_only=True)
    samples: int | None = field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        if (self.value is None) != (self.reason is not None):
            raise RecordError(
                f"A metric has either a value or the reason why it is n/a; got {self.value} and {self.reason!r}."
            )
        for number in (self.value, *(self.interval or ()), *(self.per_frame or ())):
            if number is not None and not math.isfinite(number):
                raise RecordError(
                    f"A record holds finite numbers only; got {number}. Find out where it comes from, or give no value "
                    "and say why in `reason`: the table then shows n/a with that footnote."
                )
        if self.value is not None and self.n < 1:
            raise RecordError(f"A value is of at least one clip; got {self.value} of {self.n}.")
        if self.sources is not None and self.value is not None and self.sources > self.n:
            raise RecordError(
                f"The clips of a value are as many as their sources, or more; got {self.n} of {self.sources}."
            )
        if self.interval is None:
            return
        low, high = self.interval
        if low > high:
            raise RecordError(f"An interval is written lower end first; got {low} to {high}.")
        if self.value is None or not low <= self.value <= high:
            raise RecordError(f"A value lies in its interval; got {self.value}, and {low} to {high}.")

    @classmethod
    def missing(cls, reason: str, *, higher_is_better: bool) -> "Measurement":
        """N/a in the table, with the reason in a footnote."""
        return cls(None, 0, higher_is_better=higher_is_better, reason=reason)


@dataclass(frozen=True)
class Protocol:
    """Everything that must agree before two numbers may be compared.

    Args:
        id: a readable name and the hash of `settings`: see `create`.
        settings: n, frames, fps, resize, extractor and its sha256, num_samples, selection, task: plain data.
    """

    id: str
    settings: dict[str, Any]

    @classmethod
    def create(cls, name: str, settings: Mapping[str, Any]) -> "Protocol":
        """`name` says the settings in a few characters (`predict-5to5`); the hash makes it exact."""
        return cls(f"{name}-{content_hash(settings)[:8]}", plain(settings))


@dataclass(frozen=True)
class Throughput:
    """Prediction speed during the evaluation, under whatever load the machine had.

    Args:
        samples_per_second: of as many frames as the protocol's targets, over all processes; the median batch, without
            the first one if there are others.
        batch: samples per batch of each process.
        device: in words, without the machine's name.
    """

    samples_per_second: Number
    batch: int
    device: str


@dataclass(frozen=True)
class RunInfo:
    """What all records of a run share: which row of which table, which model on which data, what it cost.

    Args:
        class_path: of the model.
        config: the resolved configuration.
        seed: of the whole run.
        data: the data's id: readable, with a hash of its content.
        budget: what the training cost.
        parameters: learnt numbers of the generating part.
        deterministic: whether deterministic algorithms were asked for.
        split: train, val or test.
        table: the benchmark that the row belongs to: the stem of its file in configs/benchmark; empty for a single run.
        row: the row's label, as the table prints it; empty for a single run, whose row is called after the class.
        group: the block of the table that the row stands in, such as a data set; empty where there is one.
        mode: the training mode of a system that has several.
        request: a hash of what `benchmarks run` asked for, which it compares before running again.
        checkpoint_sha256: of the file whose weights are evaluated; None if there is none.
        training_finished: whether their training reached its end; None if unknown, or if there was none.
        trained: False for weights that were never trained; None otherwise.
    """

    class_path: str
    config: Mapping[str, Any]
    seed: int
    data: str
    budget: TrainingCost
    parameters: int
    deterministic: bool
    split: str = "test"
    table: str = ""
    row: str = ""
    group: str = ""
    mode: str | None = None
    request: str | None = None
    checkpoint_sha256: str | None = None
    training_finished: bool | None = None
    trained: bool | None = None


@dataclass(frozen=True)
class TaskResult:
    """What the evaluation of one task found.

    Args:
        task: `name` and the task's arguments.
        protocol: what must agree before two numbers may be compared.
        metrics: by name.
        function_evaluations: of the dynamics, per batch; None for a model without an integrator.
        throughput: prediction speed; None if unknown.
    """

    task: Mapping[str, Any]
    protocol: Protocol
    metrics: Mapping[str, Measurement]
    function_evaluations: Number | None = None
    throughput: Throughput | None = None
