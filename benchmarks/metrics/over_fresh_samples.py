"""A metric over several independent sets of samples: its mean, or its standard deviation."""

import statistics
from copy import deepcopy
from math import inf
from typing import Any, Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from benchmarks.metrics.base import ClipMetric
from benchmarks.metrics.distribution import Side
from benchmarks.records.parts import Measurement
from benchmarks.utils.errors import UserError
from datamodules.clip import Sample


class OverFreshSamples(ClipMetric):
    """The mean of a metric over several sets of samples, or its standard deviation.

    The k-th sample of every query belongs to the k-th set, so `evaluation.num_samples` must be at least `batches`.
    Inception scores are reported this way: five times 2,048 clips (Saito et al., 2020, Section 5.2).

    Args:
        metric: computed on each set.
        batches: the number of sets, at least 2.
        report: the "mean", or the "deviation" (with `batches` - 1 in the denominator); part of the name.
        kwargs: settings of `torchmetrics.Metric`.

    Raises:
        UserError: for fewer than two batches.
    """

    def __init__(
        self,
        metric: ClipMetric,
        batches: int = 5,
        report: Literal["mean", "deviation"] = "mean",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if batches < 2:
            raise UserError(f"A mean over sets of samples needs at least 2 sets; got batches={batches}.")
        self.parts = nn.ModuleList(deepcopy(metric) for _ in range(batches))
        self.report = report
        self._asked: Tensor | None = None
        self._draw = 0

    @property
    def name(self) -> str:
        """The metric's own name, followed by the statistic and the number of sets."""
        return f"{self._first.name}_{self.report}_of_{len(self.parts)}"

    @property
    def higher_is_better(self) -> bool:  # type: ignore[override]
        """The metric's own direction; for a deviation, smaller is better."""
        return self._first.higher_is_better and self.report == "mean"

    @property
    def accepts(self) -> tuple[type[Sample], type[Sample]]:  # type: ignore[override]
        """What the metric accepts."""
        return self._first.accepts

    @property
    def protocol(self) -> dict[str, str | float]:
        """The metric's own."""
        return self._first.protocol

    def prepare(self) -> None:
        """Load what the metric needs."""
        self._first.prepare()

    @property
    def value_range(self) -> tuple[float, float]:  # type: ignore[override]
        """The metric's own; a deviation is at least 0."""
        return self._first.value_range if self.report == "mean" else (0.0, inf)

    def know_origins(self, ids: Int[Tensor, " batch"], origins: Int[Tensor, " batch"]) -> None:
        """Every set has the same clips."""
        for part in self.parts:
            part.know_origins(ids, origins)  # type: ignore[operator]

    def update(self, sample: Sample, target: Sample, ids: Int[Tensor, " batch"]) -> None:
        """Add the predictions to their set: consecutive batches with the same ids are further samples."""
        again = self._asked is not None and torch.equal(self._asked, ids)
        self._draw = self._draw + 1 if again else 0
        self._asked = ids.clone()
        if self._draw < len(self.parts):
            self.parts[self._draw].update(sample, target, ids)  # type: ignore[operator]

    def update_side(self, side: Side, clips: Sample, ids: Int[Tensor, " batch"]) -> None:
        """As `update`, of one side; targets belong to every set."""
        if side == "target":
            for part in self.parts:
                part.update_side(side, clips, ids)  # type: ignore[operator]
            return
        again = self._asked is not None and torch.equal(self._asked, ids)
        self._draw = self._draw + 1 if again else 0
        self._asked = ids.clone()
        if self._draw < len(self.parts):
            self.parts[self._draw].update_side(side, clips, ids)  # type: ignore[operator]

    def compute(self) -> Float[Tensor, ""]:
        """The mean or the deviation over the sets."""
        value = self.measurement().value
        return torch.tensor(float("nan") if value is None else value, dtype=torch.float64)

    def measurement(self) -> Measurement:
        """The mean or the deviation, and the number of clips per set. Every process must call it."""
        given = [self._first] if self.one_answer else self.parts
        found: list[Measurement] = [part.measurement() for part in given]  # type: ignore[operator]
        values = [float("nan") if one.value is None else float(one.value) for one in found]
        count, sources = min(one.n for one in found), found[0].sources
        if self.report == "deviation":
            values = values * 2 if self.one_answer else values  # equal sets do not deviate
            return self._measured(_deviation(values), count, sources=sources)
        return self._measured(sum(values) / len(values), count, sources=sources)

    def reset(self) -> None:
        """Reset every set."""
        super().reset()
        self._asked, self._draw = None, 0
        for part in self.parts:
            part.reset()  # type: ignore[operator]

    @property
    def _first(self) -> ClipMetric:
        part = self.parts[0]
        assert isinstance(part, ClipMetric)
        return part


def _deviation(values: list[float]) -> float:
    return float("nan") if any(value != value for value in values) else statistics.stdev(values)
