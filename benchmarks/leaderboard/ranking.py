"""Ranking: the records of one evaluation and budget as rows over seeds, sorted, the best ones marked. No torch."""

import math
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

from benchmarks.records.parts import Measurement, Number
from benchmarks.records.record import Record
from benchmarks.runs.scale import TRIVIAL
from benchmarks.utils.statistics import bootstrap_mean_interval, mean_and_half_width


@dataclass(frozen=True)
class Cell:
    """One number of a table, or the reason why it is n/a.

    Args:
        value: the mean over seeds; None where it is n/a.
        low: lower end of the 95 % interval; equals `value` where no interval is known.
        high: upper end.
        over_seeds: whether the interval is over seeds (else over clips).
        reason: why it is n/a, or why some seeds are missing.
        bootstrapped: whether an interval over seeds is the percentile bootstrap (else Student's t).
        sources: the number of independent sources of the clips, the smallest of the row's seeds; None if unknown.
        seeds: how many seeds an interval over seeds is of.
        unbeaten: whether the best trivial row of the table is as good or better.
    """

    value: float | None
    low: float = 0.0
    high: float = 0.0
    over_seeds: bool = False
    reason: str | None = None
    bootstrapped: bool = False
    sources: int | None = None
    seeds: int = 1
    unbeaten: bool = False


@dataclass(frozen=True)
class LeaderboardRow:
    """One row: its records, one per seed, and what they say of each metric.

    Args:
        label: as the table prints it.
        records: one per seed.
        absent: why there are no records.
        interval: of a mean over seeds: `t` or `bootstrap`, as the benchmark says.
        scale: `trivial` or `real` for a row by which the others are read, which is not ranked; empty for a competitor.
        unbeaten: whether the best trivial row is as good or better in the metric that ranks the rows.
    """

    label: str
    records: list[Record]
    absent: str = "not run yet"
    interval: str = "t"
    scale: str = ""
    unbeaten: bool = False

    @property
    def mixed(self) -> bool:
        """Whether its seeds were run with different settings."""
        return len({record.request for record in self.records}) > 1

    def cell(self, metric: str) -> Cell:
        """The metric over the row's seeds."""
        return self._over_seeds(
            metric, lambda entry: entry.value, lambda entry: entry.interval, lambda entry: "not measured"
        )

    def frame_cell(self, metric: str, frame: int) -> Cell:
        """The metric at one target frame (from 1) over the row's seeds."""

        def value(entry: Measurement) -> Number | None:
            return (entry.per_frame or [])[frame - 1] if frame <= len(entry.per_frame or []) else None

        def reason(entry: Measurement) -> str:
            return f"only {len(entry.per_frame)} frames were predicted" if entry.per_frame else "not measured per frame"

        return self._over_seeds(metric, value, lambda entry: None, reason)

    def _over_seeds(
        self,
        metric: str,
        value: Callable[[Measurement], Number | None],
        interval: Callable[[Measurement], tuple[Number, Number] | None],
        otherwise: Callable[[Measurement], str],
    ) -> Cell:
        if not self.records:
            return Cell(None, reason=self.absent)
        entries = [record.metrics.get(metric) for record in self.records]
        values = [number for entry in entries if entry and (number := value(entry)) is not None]
        failed = [entry for entry in entries if not entry or value(entry) is None]
        why = "; ".join(sorted({(entry.reason or otherwise(entry)) if entry else "not measured" for entry in failed}))
        if not values:
            return Cell(None, reason=why)
        reason = f"{len(values)} of {len(entries)} seeds; the others: {why}" if failed else None
        counts = [entry.sources for entry in entries if entry and value(entry) is not None]
        known = [count for count in counts if count is not None]
        sources, seeds = (min(known) if len(known) == len(counts) else None), len(values)
        if len(values) > 1 and self.interval == "bootstrap":
            return Cell(fmean(values), *bootstrap_mean_interval(values), True, reason, True, sources, seeds)
        if len(values) > 1:
            mean, half = mean_and_half_width(values)
            return Cell(mean, mean - half, mean + half, True, reason, False, sources, seeds)
        ends = [interval(entry) for entry in entries if entry and value(entry) is not None]
        # an interval of unknown sources took pieces of one film for independent: it is not shown
        low, high = (ends[0] if sources is not None else None) or (values[0], values[0])
        return Cell(float(values[0]), float(low), float(high), False, reason, False, sources)


def leaderboard_rows(
    records: Iterable[Record],
    labels: Sequence[str],
    evaluated_elsewhere: Collection[str] = (),
    interval: str = "t",
    retired: Collection[str] = (),
    scales: Mapping[str, str] | None = None,
) -> list[LeaderboardRow]:
    """The records of one evaluation by row: those of `labels` in their order, then any others by name.

    Rows of `evaluated_elsewhere` have records in other rankings of the table, but none in this one; those of `retired`
    have records that are no results. `scales` are the rows that a benchmark marks so; a row without parameters is
    trivial too.
    """
    records = sorted(records, key=lambda record: record.seed)
    labels = [*labels, *sorted({record.row for record in records} - set(labels))]
    absent = dict.fromkeys(retired, "retired until trained again, see below")
    absent |= dict.fromkeys(evaluated_elsewhere, "it does not implement this task, or was not evaluated on it")
    rows = []
    for label in labels:
        own = [one for one in records if one.row == label]
        scale = (scales or {}).get(label) or (TRIVIAL if own and learns_nothing(own) else "")
        rows.append(LeaderboardRow(label, own, absent.get(label, "not run yet"), interval, scale))
    return rows


def learns_nothing(records: Iterable[Record]) -> bool:
    """Whether these are records of a baseline without parameters."""
    return not any(record.parameters for record in records)


def unbeaten(values: Sequence[float | None], scales: Sequence[str], higher_is_better: bool) -> list[bool]:
    """Whether each competitor is not better than the best trivial row.

    Where all rows have one value the metric is of the data, not of the rows, and nothing is beaten.
    """
    known = [value for value in values if value is not None]
    trivial = [value for value, scale in zip(values, scales, strict=True) if scale == TRIVIAL and value is not None]
    if not trivial or min(known) == max(known):
        return [False] * len(values)
    best = max(trivial) if higher_is_better else min(trivial)
    return [
        not scale and value is not None and (value <= best if higher_is_better else value >= best)
        for value, scale in zip(values, scales, strict=True)
    ]


def budget_of(record: Record) -> str:
    """What the record's training may cost, in words: only rows of one budget are ranked together.

    A time limit names its device; any other training is counted in generator updates. Empty for a trivial baseline,
    whose predictions no training changes.
    """
    if not record.parameters:
        return ""
    seconds = (record.config.get("budget") or {}).get("seconds")
    if seconds is not None:
        return f"{seconds:,g} s of training on {record.budget.device}"
    return f"{record.budget.updates:,} generator updates"


def ranked(rows: Sequence[LeaderboardRow], metric: str, higher_is_better: bool) -> list[LeaderboardRow]:
    """The rows from best to worst, competitors first; ties keep their order, rows without the metric come last."""

    def sort_key(row: LeaderboardRow) -> tuple[bool, float]:
        value = row.cell(metric).value
        return bool(row.scale), math.inf if value is None else -value if higher_is_better else value

    return sorted(rows, key=sort_key)
