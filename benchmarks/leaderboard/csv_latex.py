"""CSV, one line per number, and LaTeX, one table per ranking."""

import csv
import io
import re
from collections.abc import Iterator, Mapping, Sequence
from statistics import fmean

from benchmarks.leaderboard.formatting import UNBEATEN, WITHOUT_SCALE, arrow, format_cell, format_published
from benchmarks.leaderboard.metric_names import display_name
from benchmarks.leaderboard.ranking import Cell
from benchmarks.leaderboard.sections import Ranking, Section
from benchmarks.leaderboard.significance import BOLD, FEWEST_SOURCES
from benchmarks.leaderboard.sources import marks_of, notes_on
from benchmarks.runs.published import Published
from benchmarks.runs.standing import RETIRED, Retired

HEADINGS = [
    "benchmark", "source", "group", "data", "split", "task", "protocol", "budget", "rank", "row", "metric",
    "higher_is_better", "value", "low", "high", "interval_over", "seeds", "clips", "sources", "best", "scale",
    "unbeaten", "mixed", "samples_per_second", "comparable", "measured_by", "note",
]  # fmt: skip
"""The columns of the CSV. `source` is `ours`, `paper`, `reported` or `retired`; a published number has no rank, and
`measured_by` is our metric of the same definition. `best` marks bold rows (`benchmarks.leaderboard.significance.BOLD`)
and is empty where too few sources, or an unknown number, decide nothing. `scale` is `trivial` or `real` for a row by
which the others are read; it has no rank. A number is `unbeaten` if it is not better than that of the best trivial row.
A retired row has no number; `note` says why and since when."""

_LATEX_HEAD = rf"""% Made by `benchmarks leaderboard`; do not edit it by hand. It needs \usepackage{{booktabs,amssymb}}.
% Bold: {BOLD}.
% Italic: published, not ranked. A number of sources stands with a value that has too few for an interval.
% Below the second rule, in italics: trivial rows and real data, which are not ranked. A triangle: not better than the
% best trivial row. A double dagger: seeds of different settings. Rows that are retired until trained again stand in
% comments.
"""
_LATEX = {
    "\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_", "{": r"\{", "}": r"\}",
    "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "±": r"$\pm$", "×": r"$\times$", "↑": r"$\uparrow$",
    "↓": r"$\downarrow$", "–": "--", "≁": r"$\nsim$", "°": r"$^\circ$", "‡": r"$^\ddagger$", "▽": r"$\triangledown$",
    "Δ": r"$\Delta$", "²": r"$^2$", "³": r"$^3$",
}  # fmt: skip


def as_csv(leaderboard: Sequence[Section]) -> str:
    """Every number, ours and published, on a line of its own."""
    file = io.StringIO()
    writer = csv.DictWriter(file, HEADINGS, restval="", lineterminator="\n")
    writer.writeheader()
    for part in leaderboard:
        for ranking in part.rankings:
            writer.writerows(_ours(ranking))
        writer.writerows(_retired_line(row) for row in part.retired)
        writer.writerows(_published_line(part.benchmark.name, number) for number in part.published)
    return file.getvalue()


def _ours(ranking: Ranking) -> Iterator[dict[str, object]]:
    columns = {metric: ranking.cells(metric) for metric in ranking.metrics}
    for index, row in enumerate(ranking.rows):
        paces = [record.throughput.samples_per_second for record in row.records if record.throughput]
        for metric, cells in columns.items():
            cell, best = cells[index]
            clips = [record.metrics[metric].n for record in row.records if metric in record.metrics]
            first = columns[ranking.metrics[0]][index][0]
            yield {
                "benchmark": ranking.benchmark.name,
                "source": "ours",
                "group": ranking.group,
                "data": ranking.data,
                "split": ranking.split,
                "task": ranking.task,
                "protocol": ranking.protocol.id,
                "budget": ranking.budget,
                "rank": index + 1 if first.value is not None and not row.scale else "",
                "row": row.label,
                "metric": metric,
                "higher_is_better": ranking.higher_is_better[metric],
                "value": "" if cell.value is None else repr(cell.value),
                "low": "" if cell.value is None else repr(cell.low),
                "high": "" if cell.value is None else repr(cell.high),
                "interval_over": _interval_over(cell),
                "seeds": len(row.records),
                "clips": max(clips, default=0),
                "sources": "" if cell.sources is None else cell.sources,
                "best": best if (cell.sources or 0) >= FEWEST_SOURCES else "",
                "scale": row.scale,
                "unbeaten": cell.unbeaten,
                "mixed": row.mixed,
                "samples_per_second": repr(fmean(paces)) if paces else "",
                "note": cell.reason or "",
            }


def _retired_line(row: Retired) -> dict[str, object]:
    return {
        "benchmark": row.table,
        "source": "retired",
        "group": row.group,
        "task": " ".join(row.tasks),
        "row": row.label,
        "seeds": len(row.seeds),
        "note": f"{RETIRED.lower()}: {'; '.join(row.reasons)} (measured {row.date})",
    }


def _interval_over(cell: Cell) -> str:
    if cell.low == cell.high:
        return ""
    return "sources" if not cell.over_seeds else "seeds, bootstrap" if cell.bootstrapped else "seeds"


def _published_line(benchmark: str, number: Published) -> dict[str, object]:
    low, high = number.interval or (number.value, number.value)
    return {
        "benchmark": benchmark,
        "source": "reported" if number.reported else "paper",
        "group": number.group,
        "data": number.data,
        "task": number.task,
        "protocol": number.protocol,
        "row": number.row,
        "metric": number.metric,
        "higher_is_better": number.higher_is_better,
        "value": repr(number.value),
        "low": repr(low),
        "high": repr(high),
        "interval_over": "" if number.interval is None else "seeds",
        "comparable": number.comparable,
        "measured_by": number.ours or "",
        "note": number.source + (f"; none of ours: {number.not_measured}" if number.ours is None else ""),
    }


def as_latex(leaderboard: Sequence[Section]) -> str:
    """A `table` for every ranking, to be copied or `\\input` into a paper."""
    parts = []
    for part in leaderboard:
        parts += [_tabular(ranking) for ranking in part.rankings]
        if part.retired:
            parts.append(_retired_comment(part))
    return "\n".join([_LATEX_HEAD, *parts])


def _retired_comment(part: Section) -> str:
    lines = [f"% {part.benchmark.title}: {RETIRED[0].lower()}{RETIRED[1:]}"]
    for row in part.retired:
        label = f"{row.group}: {row.label}" if row.group else row.label
        lines.append(f"%   {' '.join(label.split())}: {row.why} ({row.date})")
    return "\n".join([*lines, ""])


def _tabular(ranking: Ranking) -> str:
    columns = []
    marks = marks_of(ranking.published_columns())
    for name in ranking.metrics:
        columns.append(
            (
                f"{ranking.names[name]} {arrow(ranking.higher_is_better[name])}",
                [_ours_cell(*one) for one in ranking.cells(name)],
            )
        )
        columns += _published(ranking.published_beside(name), marks)
    columns += _published(ranking.published_beside(None), marks)
    headings = ["", *(heading for heading, _ in columns)]
    lines = [
        r"\begin{table}",
        rf"\caption{{{_escaped(f'{ranking.benchmark.title}: {ranking.title}')}}}",
        rf"\begin{{tabular}}{{l{'r' * (len(headings) - 1)}}}",
        r"\toprule",
        " & ".join(_escaped(heading) for heading in headings) + r" \\",
        r"\midrule",
    ]
    for index, row in enumerate(ranking.rows):
        label = _escaped(row.label)
        entries = [rf"\textit{{{label}}}" if row.scale else label + _escaped(UNBEATEN * row.unbeaten + "‡" * row.mixed)]
        if index and index == ranking.first_scale_row:
            lines.append(r"\midrule")
        entries += [column[index] for _, column in columns]
        lines.append(" & ".join(entries) + r" \\")
    lines += [r"\bottomrule", r"\end{tabular}"]
    if not ranking.has_trivial_row:
        lines.append(rf"\par\footnotesize {WITHOUT_SCALE}")
    for mark, text in notes_on(ranking.published_columns()):
        lines.append(rf"\par\footnotesize {_superscript(mark)}{_escaped(text)}.")
    lines += [r"\end{table}", ""]
    return "\n".join(lines)


def _ours_cell(cell: Cell, best: bool) -> str:
    text = _escaped(format_cell(cell))
    return rf"\textbf{{{text}}}" if best else text


def _published(
    columns: Mapping[str, Sequence[Published | None]], marks: Mapping[str, str]
) -> list[tuple[str, list[str]]]:
    def cell(number: Published | None) -> str:
        if number is None:
            return ""
        return rf"\textit{{{_escaped(format_published(number))}}}" + _superscript(marks[number.source])

    return [
        (f"published {display_name(metric)}", [cell(number) for number in column]) for metric, column in columns.items()
    ]


def _superscript(mark: str) -> str:
    return rf"\textsuperscript{{{mark}}}" if mark else ""


def _escaped(text: str) -> str:
    escaped = re.sub("|".join(map(re.escape, _LATEX)), lambda match: _LATEX[match[0]], text)
    return "{}" * text.startswith("[") + escaped  # after a line's end a bracket would be its argument
