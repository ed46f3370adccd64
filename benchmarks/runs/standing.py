"""Standing: which records are results, and why the others are retired; every output asks here. Imports no torch."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from benchmarks.records.record import Record
from benchmarks.records.source_tree import learns
from benchmarks.runs.spec import BenchmarkSpec, Row
from datamodules.files import sha256_of

RETIRED = "Retired until trained again"
"""The heading of what a table shows of records that are no results."""

UNTRAINED = "its weights were never trained"
UNFINISHED = "its training ended early"
UNKNOWN_END = "it is not recorded that its training reached its end"
STALE = "the code has changed since"


@dataclass(frozen=True)
class Retired:
    """A row of a table that has records but no results: no number of it is shown.

    Args:
        table: the benchmark.
        group: the block of the table; empty where there is one.
        label: the row's.
        tasks: what its records are of.
        seeds: of its records.
        why: in a few words, for a reader of the table.
        reasons: in full, one per kind.
        date: of its newest record, as YYYY-MM-DD.
    """

    table: str
    group: str
    label: str
    tasks: list[str]
    seeds: list[int]
    why: str
    reasons: list[str]
    date: str


def retired_because(record: Record, row: Row | None = None) -> str | None:
    """Why a record is no result, in a few words; None if it is one.

    Its numbers are of a network that was never trained or not to its end, of another checkpoint than the table's row
    names, or of code that has changed since.

    Args:
        record: of a row.
        row: of the benchmark; None: the benchmark has no such row.
    """
    if record.trained is False:
        return UNTRAINED
    if record.training_finished is False:
        return UNFINISHED
    file = checkpoint_of(row, record.seed)
    if file is not None and file.is_file():
        if record.checkpoint_sha256 is None:
            return f"it does not say that it was measured on {file}"
        if record.checkpoint_sha256 != sha256_of(file):
            return f"it was measured on another checkpoint than {file}"
    ours = row is not None and row.experiment is not None and row.checkpoint is None
    if ours and record.training_finished is None and learns(record.model["class_path"]):
        return UNKNOWN_END
    return STALE if record.stale else None


def results_and_retired(
    records: Iterable[Record], benchmarks: Mapping[str, BenchmarkSpec]
) -> tuple[list[Record], list[Retired]]:
    """The records that are results, and the rows whose records are none.

    One retired seed retires its row in that evaluation: what is left would be a mean over chosen seeds.
    """
    places: dict[tuple[str, ...], list[Record]] = {}
    for record in records:
        places.setdefault((*record.evaluation_key, record.group, record.row), []).append(record)
    results: list[Record] = []
    retired: dict[tuple[str, str, str], list[tuple[Record, str | None]]] = {}
    for (table, *_, group, label), members in places.items():
        row = row_of(benchmarks.get(table), group, label)
        judged = [(record, retired_because(record, row)) for record in members]
        if any(why for _, why in judged):
            retired.setdefault((table, group, label), []).extend(judged)
        else:
            results += members
    return results, [_retired(place, judged) for place, judged in retired.items()]


def row_of(benchmark: BenchmarkSpec | None, group: str, label: str) -> Row | None:
    """The row of a benchmark with that group and label."""
    rows = benchmark.rows if benchmark else []
    return next((row for row in rows if (row.group, row.label) == (group, label)), None)


def checkpoint_of(row: Row | None, seed: int) -> Path | None:
    """The checkpoint that a row names instead of training; None if it names none."""
    return Path(row.checkpoint.format(seed=seed)) if row is not None and row.checkpoint else None


def _retired(place: tuple[str, str, str], judged: list[tuple[Record, str | None]]) -> Retired:
    records = [record for record, _ in judged]
    full = {(record.stale_reason or why) if why == STALE else why for record, why in judged if why}
    return Retired(
        *place,
        tasks=sorted({str(record.task["name"]) for record in records}),
        seeds=sorted({record.seed for record in records}),
        why="; ".join(sorted({why for _, why in judged if why})),
        reasons=sorted(full),
        date=max(record.date for record in records)[:10],
    )
