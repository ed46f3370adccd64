"""The board as Markdown: what LEADERBOARD.md holds."""

import re
from collections.abc import Sequence
from dataclasses import replace

from benchmarks.leaderboard.formatting import (
    arrow,
    costs,
    number_text,
    printed_text,
    protocol_text,
    setting_text,
    title,
)
from benchmarks.leaderboard.published import Published
from benchmarks.leaderboard.ranking import Cell, Standing
from benchmarks.leaderboard.sections import Ranking, Section, columns_of
from benchmarks.utils.errors import UserError, unknown_name_error

_HEAD = """# Leaderboard

Made by `benchmarks leaderboard` from the records in `{results}`; do not edit it by hand.

↑ higher is better, ↓ lower is better. **Bold**: the best, and every row that cannot be told from it (their 95 %
intervals overlap). `±` is half the 95 % t-interval of the mean over seeds; `[ ]` a 95 % interval over clips or, where
a table says so, the percentile bootstrap over seeds. Only rows that sat the same exam (data, split and protocol) after
the same budget of training share a table; they are ranked by its first metric, and rules that learn nothing stand in
each. `†`: the code behind a number has changed since; run it again. `‡`: the row's seeds were run with different
settings. *Italic*: printed in a paper, never ranked with ours, beside the metric of ours that measures the same; `≁`:
not measured as ours is, or not said how; `°`: reported elsewhere, not checked against the paper.
"""


def markdown(board: Sequence[Section], results: str = "benchmarks/results") -> str:
    """The whole page: sections of what was run, then of what was only published, then a list of what is to be run."""
    shown = [part for part in board if part.rankings] + [part for part in board if not part.rankings and part.published]
    later = [part for part in board if not part.rankings and not part.published]
    page = [_HEAD.format(results=results), *(section(part) for part in shown)]
    if later:
        page += ["## Not run yet", ""]
        page += [f"- {part.plan.title}: `benchmarks run configs/benchmark/{part.plan.name}.yaml`" for part in later]
        page.append("")
    return "\n".join(page)


def with_tables(text: str, board: Sequence[Section]) -> str:
    """A page with small tables between its marks, `<!-- table of PLAN -->` and `<!-- end of PLAN -->`.

    For each task the first ranking: the rows that have a number, our metrics only.

    Raises:
        UserError: when there is no such plan, or a mark has no end.
    """
    plans = {part.plan.name: part for part in board}
    for name in re.findall(r"<!-- table of (\w+) -->", text):
        if name not in plans:
            raise unknown_name_error("benchmark for the table of", name, plans)
        start, end = f"<!-- table of {name} -->\n", f"<!-- end of {name} -->"
        before, _, rest = text.partition(start)
        if end not in rest:
            raise UserError(f"The mark `{start.strip()}` needs a line `{end}` below it.")
        text = before + start + "\n".join(_short(plans[name])) + "\n" + end + rest.partition(end)[2]
    return text


def _short(part: Section) -> list[str]:
    lines = [""]
    first = {ranking.task: ranking for ranking in reversed(part.rankings)}
    for ranking in [one for one in part.rankings if first[one.task] is one]:
        short = Ranking(**{**vars(ranking), "rows": ranking.measured})
        columns = [(f"{title(name)} {arrow(short.better[name])}", short.cells(name)) for name in short.metrics]
        plain = [
            (heading, _column([(replace(cell, reason=None), best) for cell, best in cells], {}))
            for heading, cells in columns
        ]
        lines += [f"{part.plan.title}; {short.title}:", "", *_table(short.rows, plain, {})]
    return lines


def section(part: Section) -> str:
    """A benchmark's heading and its tables."""
    plan = part.plan
    lines = [f"## {plan.title}", ""]
    if plan.paper:
        lines += [f"Paper: {plan.paper}", ""]
    if not part.rankings:
        lines += [f"Not run yet: `benchmarks run configs/benchmark/{plan.name}.yaml`.", ""]
        return "\n".join(lines + _printed(part))
    for ranking in part.rankings:
        lines += _ranking(ranking)
    return "\n".join(lines)


def _ranking(ranking: Ranking) -> list[str]:
    lines = [f"### {ranking.title}", "", protocol_text(ranking, code="`"), ""]
    if ranking.wrong:
        asked = ", ".join(f"{key} {setting_text(value)}" for key, value in ranking.wrong.items())
        lines += [f"**Not this benchmark's protocol**, which asks for {asked}.", ""]
    notes: dict[str, int] = {}
    columns = []
    for name in ranking.metrics:
        columns.append((f"{title(name)} {arrow(ranking.better[name])}", _column(ranking.cells(name), notes)))
        columns += _published(ranking.published_beside(name))
    columns += [*_published(ranking.published_beside(None)), *costs(ranking.rows)]
    lines += _table(ranking.rows, columns, notes)
    for name, frames in ranking.plan.per_frame.items():
        if name in ranking.better:
            short = Ranking(**{**vars(ranking), "rows": ranking.measured})
            heading = arrow(ranking.better[name])
            notes = {}
            columns = [(f"frame {frame} {heading}", _column(short.frame_cells(name, frame), notes)) for frame in frames]
            lines += [f"{title(name)} of each predicted frame:", "", *_table(short.rows, columns, notes)]
    return lines


def _table(rows: Sequence[Standing], columns: Sequence[tuple[str, list[str]]], notes: dict[str, int]) -> list[str]:
    """A Markdown table with its footnotes below."""
    lines = _head(["row", *(heading for heading, _ in columns)], 1)
    for index, row in enumerate(rows):
        label = _escaped(row.row) + " †" * row.stale + " ‡" * row.mixed
        lines.append("| " + " | ".join([label, *(entries[index] for _, entries in columns)]) + " |")
    lines += ["", *(f"<sup>{number}</sup> {note}.  " for note, number in notes.items())]
    return lines + [""] * bool(notes)


def _column(cells: Sequence[tuple[Cell, bool]], notes: dict[str, int]) -> list[str]:
    texts = []
    for cell, best in cells:
        text = f"**{number_text(cell)}**" if best else number_text(cell)
        if cell.reason:
            text += f" <sup>{notes.setdefault(cell.reason.rstrip('.'), len(notes) + 1)}</sup>"
        texts.append(text)
    return texts


def _published(columns: dict[str, list[Published | None]]) -> list[tuple[str, list[str]]]:
    return [
        (
            f"*published {title(metric)}* {arrow(next(one for one in column if one).higher_is_better)}",
            [f"*{printed_text(one)}*" if one else "" for one in column],
        )
        for metric, column in columns.items()
    ]


def _printed(part: Section) -> list[str]:
    """What papers print for a benchmark that has no record yet, a table per group and task."""
    lines: list[str] = []
    for group, task in dict.fromkeys((number.group, number.task) for number in part.published):
        numbers = [number for number in part.published if (number.group, number.task) == (group, task)]
        rows = list(dict.fromkeys(number.row for number in numbers))
        columns = _published(columns_of(numbers, [(row, group) for row in rows]))
        name = ", ".join([*([group] if group else []), task])
        lines += [f"{name}, as published in {numbers[0].table}:", ""]
        lines += _head(["row", *(heading for heading, _ in columns)], 1)
        for index, row in enumerate(rows):
            lines.append("| " + " | ".join([_escaped(row), *(entries[index] for _, entries in columns)]) + " |")
        lines.append("")
    return lines


def _head(headings: Sequence[str], left: int) -> list[str]:
    return ["| " + " | ".join(headings) + " |", "|" + " --- |" * left + " ---: |" * (len(headings) - left)]


def _escaped(label: str) -> str:
    return label.replace("|", "\\|")
