"""Clips of a task's own: as many generated clips as are asked for, against however many reference clips there are."""

from dataclasses import dataclass, field

import torch
from jaxtyping import Int
from torch import Tensor

from benchmarks.evaluation.query import Query
from benchmarks.evaluation.tasks import SEED_STEP
from benchmarks.metrics.base import ClipMetric
from benchmarks.metrics.distribution import DistributionMetric
from benchmarks.metrics.over_fresh_samples import OverFreshSamples
from benchmarks.utils.errors import UserError
from datamodules.clip import sample_id

FIRST_SOURCE = {"val": 1 << 22, "test": 1 << 23}
"""The number of the first clip: those of a validation and those of a test have other seeds, so what a checkpoint was
selected on is not what is reported, and neither are numbers of the data's own clips."""


def check_own_clips(metric: ClipMetric, clips: int) -> None:
    """Raise a UserError unless the metric can compare `clips` generated clips with another number of real ones."""
    inner = metric.parts[0] if isinstance(metric, OverFreshSamples) else metric
    if not isinstance(inner, DistributionMetric):
        raise UserError(
            f"'{metric.name}' compares each clip with its target, but the task generates {clips} clips of its own. "
            "Leave out the metric, or the task's `clips`."
        )
    if len(inner.sides) > 1 and inner.reference_clips is None:
        raise UserError(
            f"'{metric.name}' compares as many clips of either side, but the task generates {clips} clips of its own. "
            f"Give the metric `clips: {clips}` and `reference_clips: all`, or a number."
        )


@dataclass
class OwnClips:
    """The share of one process of the clips that a task generates.

    Args:
        count: of all processes.
        first: the number of the first clip.
        rank: this process.
        processes: how many there are; they take the clips in turn, so a clip is the same however many there are.
    """

    count: int
    first: int
    rank: int = 0
    processes: int = 1
    done: int = 0
    _like: Query | None = field(default=None, init=False, repr=False)

    @property
    def left(self) -> int:
        """How many clips this process has not generated yet; none before it has seen a reference clip."""
        return 0 if self._like is None else len(range(self.rank, self.count, self.processes)) - self.done

    def see(self, query: Query) -> None:
        """Take times, device and frames of reference clips as those of the clips to generate."""
        self._like = query

    def next_query(self, at_most: int, seed: int) -> Query | None:
        """The query of the next clips; None if all are generated.

        Args:
            at_most: how many.
            seed: of the first sample.
        """
        number = min(at_most, self.left)
        if number < 1 or self._like is None:
            return None
        turns = self.rank + self.processes * (self.done + torch.arange(number))
        self.done += number
        ids: Int[Tensor, " batch"] = torch.tensor([sample_id(self.first + int(turn), 0) for turn in turns])
        ids = ids.to(self._like.ids.device)
        times = self._like.times[torch.arange(number, device=ids.device) % len(self._like.times)]
        labels = torch.full_like(ids, -1)  # a system with classes draws one by the seed
        return self._like._replace(ids=ids, seeds=ids + seed * SEED_STEP, times=times, labels=labels)
