"""The leaderboard: records in, Markdown out, the same bytes every time. Imports no torch."""

import argparse
import difflib
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import fmean

from benchmarks.canonical import plain, write_text
from benchmarks.errors import UserError
from benchmarks.plan import Plan, read_plans
from benchmarks.ranking import Cell, Standing, among_the_best, ranked, standings
from benchmarks.records import Record, RecordError, read_records

Exam = tuple[str, str, str, str]

_HEAD = """# Leaderboard

Made by `benchmarks leaderboard` from the records in `{results}`; do not edit it by hand.

↑ higher is better, ↓ lower is better. **Bold**: the best, and every row that cannot be told from it (their 95 %
intervals overlap). `±` is half the 95 % t-interval of the mean over seeds; `[ ]` a 95 % interval over clips. Only rows
that sat the same exam (data, split and protocol) share a table; they are ranked by its first metric. `†`: the code
behind a number has changed since; run it again. `‡`: the row's seeds were run with different settings.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `benchmarks leaderboard`."""
    parser.add_argument("--results", type=Path, default=Path("benchmarks/results"), help="folder of records")
    parser.add_argument("--plans", type=Path, default=Path("configs/benchmark"), help="folder of benchmark files")
    parser.add_argument("--output", type=Path, default=Path("LEADERBOARD.md"), help="the page")
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 if the page is out of date")


def main(args: argparse.Namespace) -> int:
    """Write the page, or with `--check` say whether it is up to date; returns the exit code."""
    if not args.results.is_dir():
        raise UserError(f"There is no folder {args.results} here. Run this in the project's folder or give --results.")
    try:
        records = read_records(args.results)
    except RecordError as error:
        raise UserError(f"{error} Delete it or make it again with `benchmarks run`.") from error
    page = markdown(records, read_plans(args.plans), args.results.as_posix())
    old = args.output.read_text(encoding="utf-8") if args.output.is_file() else ""
    if page == old:
        print(f"{args.output} is up to date.")
        return 0
    if args.check:
        changes = list(difflib.unified_diff(old.splitlines(), page.splitlines(), n=0, lineterm=""))[2:]
        print(f"{args.output} is out of date. Refresh it with `benchmarks leaderboard`. First changes:")
        print("\n".join(f"  {line:.160}" for line in changes[:8]))
        return 1
    write_text(args.output, page)
    print(f"Wrote {args.output} from {len(records)} records.")
    return 0


def markdown(records: dict[Path, Record], plans: dict[str, Plan], results: str = "benchmarks/results") -> str:
    """The whole page: one section per benchmark, one table per exam."""
    _refuse_twins(records)
    sections = [_HEAD.format(results=results)]
    tables = {record.table for record in records.values()}
    for name in [*plans, *sorted(tables - set(plans))]:
        plan = plans.get(name) or Plan(name, name.replace("_", " ").capitalize() or "Single runs", [])
        chosen = [record for record in records.values() if record.table == name]
        sections.append(section(plan, chosen))
    return "\n".join(sections)


def section(plan: Plan, records: Sequence[Record]) -> str:
    """A benchmark's heading and its tables."""
    lines = [f"## {plan.title}", ""]
    if plan.paper:
        lines += [f"Paper: {plan.paper}", ""]
    if not records:
        return "\n".join([*lines, f"Not run yet: `benchmarks run configs/benchmark/{plan.name}.yaml`.", ""])
    for exam in _order(plan, records):
        elsewhere = {record.row for record in records if record.exam != exam}
        lines += _exam(plan, [record for record in records if record.exam == exam], elsewhere)
    return "\n".join(lines)


def _order(plan: Plan, records: Sequence[Record]) -> list[Exam]:
    """The exams in the order of the plan's tasks; where it names none, of the first rows that sat them."""
    labels = [row.label for row in plan.rows]
    first: dict[Exam, tuple[int, int]] = {}
    for record in records:
        row = labels.index(record.row) if record.row in labels else len(labels)
        place = _position(plan, record), row
        first[record.exam] = min(place, first.get(record.exam, place))
    return sorted(first, key=lambda exam: (first[exam], exam))


def _position(plan: Plan, record: Record) -> int:
    """Where the plan asks the record's task; tasks that it does not name come last."""
    for index, task in enumerate(plan.tasks):
        asked = {"name": task["class_path"].rpartition(".")[2].lower(), **task.get("init_args", {})}
        if asked.items() <= record.task.items():
            return index
    return len(plan.tasks)


def _exam(plan: Plan, records: Sequence[Record], elsewhere: set[str]) -> list[str]:
    first = records[0]
    settings = ", ".join(f"{key} {_setting(value)}" for key, value in sorted(first.protocol.settings.items()))
    lines = [f"### {first.protocol.id}", ""]
    lines += [f"Data: `{first.data}`, {first.split} split. Protocol: {settings}.", ""]
    wrong = {key: value for key, value in plain(plan.protocol).items() if first.protocol.settings.get(key) != value}
    if wrong:
        asked = ", ".join(f"{key} {_setting(value)}" for key, value in wrong.items())
        lines += [f"**Not this benchmark's protocol**, which asks for {asked}.", ""]
    better = {name: entry.higher_is_better for record in records for name, entry in sorted(record.metrics.items())}
    metrics = [name for name in plan.metrics if name in better] or sorted(better)
    rows = standings(records, [row.label for row in plan.rows], elsewhere)
    if metrics:
        rows = ranked(rows, metrics[0], better[metrics[0]])
    columns = [
        (f"{_title(name)} {_arrow(better[name])}", better[name], [row.cell(name) for row in rows]) for name in metrics
    ]
    lines += _table(rows, columns, _costs(rows))
    rows = [row for row in rows if any(row.cell(name).value is not None for name in metrics)]
    for name, frames in plan.per_frame.items():
        if name in better:
            columns = [
                (f"frame {frame} {_arrow(better[name])}", better[name], [row.frame_cell(name, frame) for row in rows])
                for frame in frames
            ]
            lines += [f"{_title(name)} of each predicted frame:", "", *_table(rows, columns, [])]
    return lines


def _table(
    rows: Sequence[Standing], columns: Sequence[tuple[str, bool, list[Cell]]], costs: Sequence[tuple[str, list[str]]]
) -> list[str]:
    """A Markdown table with its footnotes below."""
    notes: dict[str, int] = {}
    filled = [(heading, _column(cells, better, notes)) for heading, better, cells in columns]
    filled += costs
    heads = ["row", *(heading for heading, _ in filled)]
    lines = ["| " + " | ".join(heads) + " |", "| --- |" + " ---: |" * len(filled)]
    for index, row in enumerate(rows):
        label = row.row.replace("|", "\\|") + " †" * row.stale + " ‡" * row.mixed
        lines.append("| " + " | ".join([label, *(entries[index] for _, entries in filled)]) + " |")
    lines += ["", *(f"<sup>{number}</sup> {note}.  " for note, number in notes.items())]
    return lines + [""] * bool(notes)


def _column(cells: Sequence[Cell], higher_is_better: bool, notes: dict[str, int]) -> list[str]:
    texts = []
    for cell, best in zip(cells, among_the_best(cells, higher_is_better), strict=True):
        text = _number(cell)
        if best:
            text = f"**{text}**"
        if cell.reason:
            text += f" <sup>{notes.setdefault(cell.reason.rstrip('.'), len(notes) + 1)}</sup>"
        texts.append(text)
    return texts


def _costs(rows: Sequence[Standing]) -> list[tuple[str, list[str]]]:
    """How many seeds and clips, and what the training cost: the mean over seeds."""

    def column(heading: str, show: Callable[[list[Record]], str]) -> tuple[str, list[str]]:
        return heading, [show(row.records) if row.records else "–" for row in rows]

    def clips(records: list[Record]) -> str:
        counts = sorted({entry.n for record in records for entry in record.metrics.values() if entry.value is not None})
        return " to ".join(str(count) for count in (counts if len(counts) < 2 else [counts[0], counts[-1]])) or "–"

    def evaluations(records: list[Record]) -> str:
        counts = [record.function_evaluations for record in records if record.function_evaluations is not None]
        return f"{fmean(counts):.4g}" if counts else "–"

    columns = [
        column("seeds", lambda records: str(len(records))),
        column("clips", clips),
        column("updates", lambda records: f"{fmean(record.budget.generator_updates for record in records):,.0f}"),
        column("training", lambda records: _duration(fmean(record.budget.seconds for record in records))),
        column("device", lambda records: ", ".join(sorted({record.budget.device for record in records}))),
        column("parameters", lambda records: f"{fmean(record.parameters for record in records):,.0f}"),
    ]
    evaluated = column("evaluations", evaluations)
    return [*columns, evaluated] if set(evaluated[1]) != {"–"} else columns


def _number(cell: Cell) -> str:
    """Four significant digits of the value; its interval to as many places."""
    if cell.value is None:
        return "–"
    places = 4 if cell.value == 0 else min(8, max(0, 3 - math.floor(math.log10(abs(cell.value)))))
    value, low, high = (f"{round(number, places) + 0.0:.{places}f}" for number in (cell.value, cell.low, cell.high))
    if cell.over_seeds:
        return f"{value} ± {cell.high - cell.value:.{places}f}"
    return value if cell.low == cell.high else f"{value} [{low}, {high}]"


def _duration(seconds: float) -> str:
    if seconds < 60:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def _setting(value: object) -> str:
    if isinstance(value, dict):
        return (
            "("
            + ", ".join(f"{key} {_setting(entry)}" for key, entry in sorted(value.items()) if entry is not None)
            + ")"
        )
    return str(value)


def _title(metric: str) -> str:
    return metric.replace("_", " ")


def _arrow(higher_is_better: bool) -> str:
    return "↑" if higher_is_better else "↓"


def _refuse_twins(records: dict[Path, Record]) -> None:
    """Two records of one place in a table would count one seed twice."""
    places: dict[str, Path] = {}
    for path, record in records.items():
        place = f"{record.table}/{record.file_name}"
        if place in places:
            raise UserError(f"{places[place]} and {path} are records of the same row, seed and exam. Delete the older.")
        places[place] = path
