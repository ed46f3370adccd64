"""Formatting: the words and numbers of the leaderboard, the same in every output."""

import math
from collections.abc import Callable, Sequence
from statistics import fmean

from benchmarks.leaderboard.ranking import Cell, LeaderboardRow
from benchmarks.leaderboard.sections import Ranking
from benchmarks.leaderboard.significance import FEWEST_SOURCES
from benchmarks.records.record import Record
from benchmarks.runs.published import Published

NOT_AVAILABLE = "n/a"
UNBEATEN = "▽"
"""The mark of a row, or of a number, that is not better than that of the best trivial row."""
WITHOUT_SCALE = "No trivial row has been measured here, so nothing says what these numbers mean."


def format_cell(cell: Cell) -> str:
    """Four significant digits of the value; its interval to as many decimals; a mark if a trivial row is as good."""
    return _number(cell) + f" {UNBEATEN}" * cell.unbeaten


def _number(cell: Cell) -> str:
    """The value with its interval, of how many seeds, or of few sources."""
    if cell.value is None:
        return NOT_AVAILABLE
    decimals = 4 if cell.value == 0 else min(8, max(0, 3 - math.floor(math.log10(abs(cell.value)))))
    value, low, high = (f"{round(number, decimals) + 0.0:.{decimals}f}" for number in (cell.value, cell.low, cell.high))
    if cell.over_seeds and not cell.bootstrapped:
        text = f"{value} ± {cell.high - cell.value:.{decimals}f}"
    else:
        text = value if cell.low == cell.high else f"{value} [{low}, {high}]"
    few = cell.sources is not None and cell.sources < FEWEST_SOURCES
    notes = [f"over {cell.seeds} seeds"] * cell.over_seeds + [f"{cell.sources} source{'s' * (cell.sources != 1)}"] * few
    return f"{text} ({', '.join(notes)})" if notes else text


def format_published(number: Published) -> str:
    """A published number as the paper prints it, with its unit and marks."""
    exponent = round(math.log10(number.value / float(number.printed.split()[0]))) if number.value else 0
    unit = f" × 10^{exponent}" if exponent else ""
    return f"{number.printed}{unit}" + " ≁" * (not number.comparable) + " °" * number.reported


def cost_columns(rows: Sequence[LeaderboardRow]) -> list[tuple[str, list[str]]]:
    """The numbers of seeds and clips, and what the training cost (mean over seeds)."""

    def column(heading: str, show: Callable[[list[Record]], str]) -> tuple[str, list[str]]:
        return heading, [show(row.records) if row.records else NOT_AVAILABLE for row in rows]

    def clips(records: list[Record]) -> str:
        counts = sorted({entry.n for record in records for entry in record.metrics.values() if entry.value is not None})
        return (
            " to ".join(str(count) for count in (counts if len(counts) < 2 else [counts[0], counts[-1]]))
            or NOT_AVAILABLE
        )

    def evaluations(records: list[Record]) -> str:
        counts = [record.function_evaluations for record in records if record.function_evaluations is not None]
        return f"{fmean(counts):.4g}" if counts else NOT_AVAILABLE

    def speed(records: list[Record]) -> str:
        known = [record.throughput for record in records if record.throughput]
        where = sorted({f"{one.device}, {one.batch} at once" for one in known})
        if not known:
            return NOT_AVAILABLE
        pace = fmean(one.samples_per_second for one in known)
        return f"{f'{pace:,.0f}' if pace >= 1000 else f'{pace:.4g}'} ({'; '.join(where)})"

    columns = [
        column("seeds", lambda records: str(len(records))),
        column("clips", clips),
        column("updates", lambda records: f"{fmean(record.budget.updates for record in records):,.0f}"),
        column("training", lambda records: format_duration(fmean(record.budget.seconds for record in records))),
        column("device", lambda records: ", ".join(sorted({record.budget.device for record in records}))),
        column("parameters", lambda records: f"{fmean(record.parameters for record in records):,.0f}"),
    ]
    known = [column("evaluations", evaluations), column("samples per second", speed)]
    return [*columns, *((heading, texts) for heading, texts in known if set(texts) != {NOT_AVAILABLE})]


def describe_protocol(ranking: Ranking, code: str = "") -> str:
    """One sentence each on data, protocol and budget."""
    settings = ", ".join(f"{key} {format_setting(value)}" for key, value in sorted(ranking.protocol.settings.items()))
    budget = f" Budget: {ranking.budget}." if ranking.budget else ""
    runs = (
        " Of several seeds: the mean and its percentile bootstrap." if ranking.benchmark.interval == "bootstrap" else ""
    )
    return f"Data: {code}{ranking.data}{code}, {split_in_words(ranking.split)}. Protocol: {settings}.{budget}{runs}"


def split_in_words(split: str) -> str:
    """The evaluated clips; those that were trained on are said to be."""
    return "the training clips: nothing is held out" if split == "train" else f"{split} split"


def format_setting(value: object) -> str:
    """A setting of a protocol in words."""
    if isinstance(value, dict):
        inside = (f"{key} {format_setting(entry)}" for key, entry in sorted(value.items()) if entry is not None)
        return f"({', '.join(inside)})"
    return str(value)


def format_duration(seconds: float) -> str:
    """Seconds, minutes or hours."""
    if seconds < 60:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def arrow(higher_is_better: bool) -> str:
    """The direction in which better lies."""
    return "↑" if higher_is_better else "↓"
