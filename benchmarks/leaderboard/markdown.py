"""Markdown: LEADERBOARD.md, and the tables that README.md includes."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace

from benchmarks.leaderboard.formatting import (
    UNBEATEN,
    WITHOUT_SCALE,
    arrow,
    cost_columns,
    describe_protocol,
    format_cell,
    format_published,
    format_setting,
)
from benchmarks.leaderboard.metric_names import display_name, footnote
from benchmarks.leaderboard.ranking import Cell, LeaderboardRow
from benchmarks.leaderboard.sections import Ranking, Section, columns_of
from benchmarks.leaderboard.significance import BOLD
from benchmarks.leaderboard.sources import marks_of, notes_on
from benchmarks.runs.published import Published
from benchmarks.runs.standing import RETIRED
from benchmarks.utils.errors import UserError, unknown_name_error

_HEAD = """# Leaderboard

Made by `benchmarks leaderboard` from the records in `{results}`; do not edit it by hand.

↑ higher is better, ↓ lower is better. **Bold**: {bold}.
`±`: half the 95 % t-interval of the mean over training seeds. `[ ]`: a 95 % interval over sources (people, films) or,
with "over ... seeds", the percentile bootstrap over seeds; few sources have none and say how many they are.
Rows share a table if data, split, protocol and training budget agree; the first metric
ranks them. n/a: not available; a footnote gives the reason.
Below the ranked rows stand, in *italics*, those by which their numbers are read: trivial rows, which learn nothing, and
other real data (of the training split; where nothing is held out, other windows), what a perfect model would reach.
They are not ranked. `▽`: not better than the best trivial row.
Rows that are retired until they are trained again (the code has changed, the training ended early or never began,
another checkpoint was measured) show no numbers. `‡`: the row's seeds were run with different settings.
*Italic*: published numbers, beside our metric of the same definition and never ranked; `≁`: measured differently, or
the paper does not say how; `°`: reported elsewhere, not checked against the paper. A letter: its own source.
"""


def markdown(leaderboard: Sequence[Section], results: str = "benchmarks/results") -> str:
    """The whole file: benchmarks that were run, then those with published numbers only, then a list of the others."""
    shown = [part for part in leaderboard if part.rankings] + [
        part for part in leaderboard if not part.rankings and (part.retired or part.published)
    ]
    later = [part for part in leaderboard if not part.rankings and not part.retired and not part.published]
    page = [_HEAD.format(results=results, bold=BOLD), *(section(part) for part in shown)]
    if later:
        page += ["## Not run yet", ""]
        page += [f"- {part.benchmark.title}: `{part.command}`" for part in later]
        page.append("")
    return as_text("\n".join(page))


def with_tables(text: str, leaderboard: Sequence[Section]) -> str:
    """A text with small tables between its marks, `<!-- table of NAME -->` and `<!-- end of NAME -->`.

    NAME is a benchmark. Each task gets its first ranking: the rows that have values, our metrics only.

    Raises:
        UserError: when there is no such benchmark, or a mark has no end.
    """
    parts = {part.benchmark.name: part for part in leaderboard}
    for name in re.findall(r"<!-- table of (\w+) -->", text):
        if name not in parts:
            raise unknown_name_error("benchmark for the table of", name, parts)
        start, end = f"<!-- table of {name} -->\n", f"<!-- end of {name} -->"
        before, _, rest = text.partition(start)
        if end not in rest:
            raise UserError(f"The mark `{start.strip()}` needs a line `{end}` below it.")
        text = before + start + as_text("\n".join(_short(parts[name]))) + "\n" + end + rest.partition(end)[2]
    return text


def _short(part: Section) -> list[str]:
    lines = [""] if part.rankings else ["", f"No row has results now: `{part.command}`.", ""]
    first = {ranking.task: ranking for ranking in reversed(part.rankings)}
    for ranking in [one for one in part.rankings if first[one.task] is one]:
        short = ranking.without_empty_rows()
        columns = [
            (f"{short.names[name]} {arrow(short.higher_is_better[name])}", short.cells(name)) for name in short.metrics
        ]
        plain = [
            (heading, _column([(replace(cell, reason=None), best) for cell, best in cells], {}))
            for heading, cells in columns
        ]
        lines += [f"{part.benchmark.title}; {short.title}:", "", *_table(short.rows, plain, {})]
    return lines


def section(part: Section) -> str:
    """A benchmark's heading and its tables."""
    benchmark = part.benchmark
    lines = [f"## {benchmark.title}", ""]
    if benchmark.paper:
        lines += [f"Paper: {benchmark.paper}", ""]
    if not part.rankings:
        lines += [f"{'No row has results' if part.retired else 'Not run yet'}: `{part.command}`.", ""]
        return "\n".join(lines + _retired(part) + _printed(part))
    for ranking in part.rankings:
        lines += _ranking(ranking)
    return "\n".join(lines + _retired(part))


def _retired(part: Section) -> list[str]:
    """The rows whose records are no results, with the reason and the date in place of numbers."""
    if not part.retired:
        return []
    lines = [f"{RETIRED}:", "", *_head(["row", "why", "measured"], 3)]
    for row in part.retired:
        label = f"{row.group}: {row.label}" if row.group else row.label
        lines.append(f"| {_escaped(label)} | {_escaped(row.why)} | {row.date} |")
    return [*lines, ""]


def _ranking(ranking: Ranking) -> list[str]:
    lines = [f"### {ranking.title}", "", describe_protocol(ranking, code="`"), ""]
    if ranking.protocol_mismatch:
        asked = ", ".join(f"{key} {format_setting(value)}" for key, value in ranking.protocol_mismatch.items())
        lines += [f"**Not this benchmark's protocol**, which asks for {asked}.", ""]
    if not ranking.has_trivial_row:
        lines += [WITHOUT_SCALE, ""]
    notes: dict[str, int] = {}
    columns = []
    marks = marks_of(ranking.published_columns())
    for name in ranking.metrics:
        columns.append(
            (f"{ranking.names[name]} {arrow(ranking.higher_is_better[name])}", _column(ranking.cells(name), notes))
        )
        columns += _published(ranking.published_beside(name), marks)
    columns += [*_published(ranking.published_beside(None), marks), *cost_columns(ranking.rows)]
    lines += _table(ranking.rows, columns, notes)
    lines += _notes(ranking.published_columns())
    if ids := footnote(ranking.metrics, lambda metric: f"`{metric}`"):
        lines += [f"Metrics: {ids}.", ""]
    for name, frames in ranking.benchmark.per_frame.items():
        if name in ranking.higher_is_better:
            short = ranking.without_empty_rows()
            heading = arrow(ranking.higher_is_better[name])
            notes = {}
            columns = [(f"frame {frame} {heading}", _column(short.frame_cells(name, frame), notes)) for frame in frames]
            lines += [f"{ranking.names[name]} of each predicted frame:", "", *_table(short.rows, columns, notes)]
    return lines


def _table(
    rows: Sequence[LeaderboardRow], columns: Sequence[tuple[str, list[str]]], notes: dict[str, int]
) -> list[str]:
    """A Markdown table with its footnotes below."""
    lines = _head(["row", *(heading for heading, _ in columns)], 1)
    for index, row in enumerate(rows):
        label = f"*{_escaped(row.label)}*" if row.scale else _escaped(row.label)
        label += f" {UNBEATEN}" * row.unbeaten + " ‡" * row.mixed
        lines.append("| " + " | ".join([label, *(entries[index] for _, entries in columns)]) + " |")
    lines += ["", *(f"<sup>{number}</sup> {note}.  " for note, number in notes.items())]
    return lines + [""] * bool(notes)


def _column(cells: Sequence[tuple[Cell, bool]], notes: dict[str, int]) -> list[str]:
    texts = []
    for cell, best in cells:
        text = f"**{format_cell(cell)}**" if best else format_cell(cell)
        if cell.reason:
            text += f" <sup>{notes.setdefault(_escaped(cell.reason).rstrip('.'), len(notes) + 1)}</sup>"
        texts.append(text)
    return texts


def _published(
    columns: Mapping[str, Sequence[Published | None]], marks: Mapping[str, str]
) -> list[tuple[str, list[str]]]:
    def cell(number: Published | None) -> str:
        if number is None:
            return ""
        mark = marks[number.source]
        return f"*{format_published(number)}*" + (f" <sup>{mark}</sup>" if mark else "")

    return [
        (
            f"*published {display_name(metric)}* {arrow(next(one for one in column if one).higher_is_better)}",
            [cell(number) for number in column],
        )
        for metric, column in columns.items()
    ]


def _notes(columns: Mapping[str, Sequence[Published | None]]) -> list[str]:
    """The sources of published numbers, a line each, and why some stand beside no metric of ours."""
    lines = [f"<sup>{mark}</sup> {text}.  " if mark else f"{text}.  " for mark, text in notes_on(columns)]
    return lines + [""] * bool(lines)


def _printed(part: Section) -> list[str]:
    """What papers print for a benchmark without records, a table per group and task."""
    lines: list[str] = []
    for group, task in dict.fromkeys((number.group, number.task) for number in part.published):
        numbers = [number for number in part.published if (number.group, number.task) == (group, task)]
        rows = list(dict.fromkeys(number.row for number in numbers))
        found = columns_of(numbers, [(row, group) for row in rows])
        columns = _published(found, marks_of(found))
        name = ", ".join([*([group] if group else []), task])
        lines += [f"{name}, as published:", ""]
        lines += _head(["row", *(heading for heading, _ in columns)], 1)
        for index, row in enumerate(rows):
            lines.append("| " + " | ".join([_escaped(row), *(entries[index] for _, entries in columns)]) + " |")
        lines += ["", *_notes(found)]
    return lines


def _head(headings: Sequence[str], left: int) -> list[str]:
    return ["| " + " | ".join(headings) + " |", "|" + " --- |" * left + " ---: |" * (len(headings) - left)]


def _escaped(label: str) -> str:
    return " ".join(label.split()).replace("|", "\\|")


def as_text(page: str) -> str:
    """The page with every tag but its own footnotes' written so that it is shown: records come from anywhere."""
    return re.sub(r"<(?!/?sup>)", "&lt;", page)
