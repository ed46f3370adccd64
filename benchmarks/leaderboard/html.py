"""HTML: one self-contained page of tables, plots and clips, with its style, scripts and their licences."""

import base64
import json
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from html import escape
from pathlib import Path
from typing import Any

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
from benchmarks.records.parts import Number
from benchmarks.records.record import Record
from benchmarks.runs.published import Published
from benchmarks.runs.standing import RETIRED
from benchmarks.utils.errors import UserError

FOLDER = Path(__file__).with_name("page")
_COSTS: dict[str, Callable[[Record], Number | None]] = {
    "seconds per sample": lambda record: 1 / record.throughput.samples_per_second if record.throughput else None,
    "training time (s)": lambda record: record.budget.seconds,
    "generator updates": lambda record: record.budget.updates,
    "function evaluations per batch": lambda record: record.function_evaluations,
    "parameters": lambda record: record.parameters,
}


def page(leaderboard: Sequence[Section], clips: Path) -> str:
    """The page. It has no gallery where the folder of clips has no index."""
    run = [part for part in leaderboard if part.rankings]
    retired = [part for part in leaderboard if not part.rankings and part.retired]
    published = [part for part in leaderboard if not part.rankings and not part.retired and part.published]
    later = [part for part in leaderboard if not part.rankings and not part.retired and not part.published]
    parts = {
        "bold": escape(BOLD),
        "style": _read("vendor/uPlot.min.css") + _read("page.css"),
        "contents": _links(run + retired),
        "published": _links(published),
        "tables": "\n".join(_section(part) for part in run + retired + published),
        "later": "".join(f"<li>{escape(part.benchmark.title)}: <code>{part.command}</code></li>" for part in later),
        "data": _json(_data(leaderboard)),
        "clips": _json(_clips(clips)),
        "sort": _read("vendor/tablesort.min.js"),
        "plot": _read("vendor/uPlot.iife.min.js"),
        "script": _read("page.js"),
        "licences": escape(_read("vendor/tablesort.LICENCE.txt") + "\n" + _read("vendor/uPlot.LICENSE.txt")),
    }
    template = _read("page.html")
    pieces = template.split("{{")
    return pieces[0] + "".join(parts[name] + rest for name, _, rest in (piece.partition("}}") for piece in pieces[1:]))


def _links(leaderboard: Sequence[Section]) -> str:
    return "".join(
        f'<li><a href="#{part.benchmark.name}">{escape(part.benchmark.title)}</a></li>' for part in leaderboard
    )


def _section(part: Section) -> str:
    lines = [f'<section id="{part.benchmark.name}" class="benchmark"><h3>{escape(part.benchmark.title)}</h3>']
    if part.benchmark.paper:
        lines.append(f"<p>Paper: {escape(part.benchmark.paper)}</p>")
    lines += [_ranking(ranking) for ranking in part.rankings]
    if not part.rankings:
        said = "No row has results" if part.retired else "Not run yet"
        lines.append(f"<p>{said}: <code>{part.command}</code>.</p>")
    lines += _retired(part)
    if not part.rankings:
        lines += _printed(part)
    return "\n".join([*lines, "</section>"])


def _ranking(ranking: Ranking) -> str:
    columns: list[tuple[str, list[str]]] = []
    letters = marks_of(ranking.published_columns())
    for index, name in enumerate(ranking.metrics):
        first = ("descending" if ranking.higher_is_better[name] else "ascending") if index == 0 else ""
        heading = _heading(f"{ranking.names[name]} {arrow(ranking.higher_is_better[name])}", "measure", first)
        columns.append((heading, [_number(*one) for one in ranking.cells(name)]))
        columns += _published(ranking.published_beside(name), letters)
    columns += _published(ranking.published_beside(None), letters)
    for heading, entries in cost_columns(ranking.rows):
        columns.append(
            (_heading(heading, "text" if heading == "device" else "measure"), [_cost(one) for one in entries])
        )
    lines = [f"<p>{escape(describe_protocol(ranking))}</p>"]
    if ranking.protocol_mismatch:
        asked = ", ".join(f"{key} {format_setting(value)}" for key, value in ranking.protocol_mismatch.items())
        lines.append(f"<p><strong>Not this benchmark's protocol</strong>, which asks for {escape(asked)}.</p>")
    if not ranking.has_trivial_row:
        lines.append(f"<p>{WITHOUT_SCALE}</p>")
    if ids := footnote(ranking.metrics):
        lines.append(f"<p>Metrics: {escape(ids)}.</p>")
    head = [_heading("row", "text"), *(heading for heading, _ in columns)]
    rows = []
    for index, row in enumerate(ranking.rows):
        marks = _mark(UNBEATEN, "not better than the best trivial row") * row.unbeaten
        marks += _mark("‡", "its seeds were run with different settings") * row.mixed
        label = f"<em>{escape(row.label)}</em> ({row.scale})" if row.scale else escape(row.label)
        cells = [f'<th scope="row" data-sort="{escape(row.label)}">{label}{marks}</th>']
        cells += [entries[index] for _, entries in columns]
        rows.append(f"<tr>{''.join(cells)}</tr>")
    table = _table(f"{ranking.benchmark.title}: {ranking.title}", head, rows)
    notes = _notes(ranking.published_columns())
    return "\n".join([f"<h4>{escape(ranking.title)}</h4>", *lines, table, *notes])


def _retired(part: Section) -> list[str]:
    """The rows whose records are no results, with the reason and the date in place of numbers."""
    if not part.retired:
        return []
    lines = []
    for row in part.retired:
        label = f"{row.group}: {row.label}" if row.group else row.label
        lines.append(f"<li>{escape(label)}: {escape(row.why)} ({row.date})</li>")
    return [f"<details><summary>{RETIRED}: {len(lines)} rows</summary>", "<ul>", *lines, "</ul></details>"]


def _printed(part: Section) -> list[str]:
    lines = []
    for group, task in dict.fromkeys((number.group, number.task) for number in part.published):
        numbers = [number for number in part.published if (number.group, number.task) == (group, task)]
        rows = list(dict.fromkeys(number.row for number in numbers))
        columns = columns_of(numbers, [(row, group) for row in rows])
        filled = _published(columns, marks_of(columns))
        head = [_heading("row", "text"), *(heading for heading, _ in filled)]
        body = [
            f'<tr><th scope="row">{escape(row)}</th>' + "".join(entries[index] for _, entries in filled) + "</tr>"
            for index, row in enumerate(rows)
        ]
        name = ", ".join([*([group] if group else []), task])
        caption = f"{name}, as published"
        lines += [f"<h4>{escape(caption)}</h4>", _table(f"{part.benchmark.title}: {caption}", head, body)]
        lines += _notes(columns)
    return lines


def _table(caption: str, head: Sequence[str], rows: Sequence[str]) -> str:
    return (
        f'<div class="scroll" role="region" tabindex="0" aria-label="{escape(caption)}"><table class="ranking">'
        f'<caption class="unseen">{escape(caption)}</caption><thead><tr>{"".join(head)}</tr></thead>'
        f"<tbody>{''.join(rows)}</tbody></table></div>"
    )


def _heading(text: str, method: str, sorted_by: str = "") -> str:
    order = f' aria-sort="{sorted_by}"' if sorted_by else ""
    return f'<th scope="col" data-sort-method="{method}"{order}>{escape(text)}</th>'


def _number(cell: Cell, best: bool) -> str:
    text = escape(format_cell(cell))
    note = f' title="{escape(cell.reason)}"' if cell.reason else ""
    said = f'<span class="unseen"> {escape(cell.reason)}</span>' if cell.reason else ""
    return f'<td data-sort="{_key(cell.value)}"{note}>{f"<strong>{text}</strong>" if best else text}{said}</td>'


def _notes(columns: Mapping[str, Sequence[Published | None]]) -> list[str]:
    """The sources of published numbers, and why some stand beside no metric of ours."""
    marked = [f"<sup>{mark}</sup> {escape(text)}." if mark else f"{escape(text)}." for mark, text in notes_on(columns)]
    return [f"<p>{'<br>'.join(marked)}</p>"] if marked else []


def _published(
    columns: Mapping[str, Sequence[Published | None]], marks: Mapping[str, str]
) -> list[tuple[str, list[str]]]:
    """A heading and its cells for each published metric."""
    return [
        (_heading(_published_title(metric, column), "measure"), [_published_cell(number, marks) for number in column])
        for metric, column in columns.items()
    ]


def _published_cell(number: Published | None, marks: Mapping[str, str]) -> str:
    if number is None:
        return '<td class="published" data-sort="nan"><span class="unseen">not published</span></td>'
    source = escape(f"{number.source}. {number.protocol}")
    mark = marks[number.source]
    text = escape(format_published(number)) + (f" <sup>{mark}</sup>" if mark else "")
    return f'<td class="published" data-sort="{_key(number.value)}" title="{source}">{text}</td>'


def _cost(text: str) -> str:
    number = text.replace(",", "").split()
    scale = {"min": 60.0, "h": 3600.0}.get(number[-1], 1.0)
    try:
        key = _key(float(number[0]) * scale)
    except ValueError:
        key = escape(text)
    return f'<td data-sort="{key}">{escape(text)}</td>'


def _published_title(metric: str, column: Sequence[Published | None]) -> str:
    better = next(number for number in column if number).higher_is_better
    return f"published {display_name(metric)} {arrow(better)}"


def _mark(sign: str, meaning: str) -> str:
    return f' <abbr title="{meaning}">{sign}</abbr><span class="unseen"> ({meaning})</span>'


def _key(value: Number | None) -> str:
    return "nan" if value is None else repr(float(value))


def _data(leaderboard: Sequence[Section]) -> dict[str, Any]:
    """What the plots show: every ranking's rows with value, interval, values per frame, costs and frame rate."""
    rankings = []
    for part in leaderboard:
        for ranking in part.rankings:
            rows = [row for row in ranking.rows if row.records]
            lengths = {name: max((_frames(row, name) for row in rows), default=0) for name in ranking.metrics}
            rankings.append(
                {
                    "title": f"{part.benchmark.title}: {ranking.title}",
                    "benchmark": part.benchmark.name,
                    "group": ranking.group,
                    "task": ranking.task,
                    "fps": _frame_rate(ranking),
                    "metrics": [
                        {"name": ranking.names[name], "higher": ranking.higher_is_better[name], "frames": lengths[name]}
                        for name in ranking.metrics
                    ],
                    "rows": [
                        {
                            "label": row.label,
                            "values": [_triple(row.cell(name)) for name in ranking.metrics],
                            "frames": [
                                [row.frame_cell(name, frame).value for frame in range(1, lengths[name] + 1)]
                                for name in ranking.metrics
                            ],
                            "costs": [_mean([cost(record) for record in row.records]) for cost in _COSTS.values()],
                        }
                        for row in rows
                    ],
                }
            )
    return {"rankings": rankings, "costs": list(_COSTS)}


def _frame_rate(ranking: Ranking) -> Number | None:
    """Target frames per second: the task's, or the data's; None where times are irregular."""
    settings = ranking.protocol.settings
    task = settings.get("task")
    asked = (task.get("fps") if isinstance(task, dict) else None) or settings.get("fps")
    return asked if isinstance(asked, int | float) else None


def _frames(row: LeaderboardRow, metric: str) -> int:
    entries = [record.metrics[metric] for record in row.records if metric in record.metrics]
    return max((len(entry.per_frame or []) for entry in entries), default=0)


def _triple(cell: Cell) -> list[Number] | None:
    return None if cell.value is None else [cell.value, cell.low, cell.high]


def _mean(values: Sequence[Number | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None


def _clips(folder: Path) -> Mapping[str, Any]:
    """The index of the clips with the sheets inside, as data addresses."""
    index = folder / "clips.json"
    if not index.is_file():
        return {"galleries": []}
    content: dict[str, Any] = json.loads(index.read_text(encoding="utf-8"))
    for gallery in content["galleries"]:
        for clip in gallery["clips"]:
            for cell in clip["cells"]:
                sheet = folder / cell.pop("file")
                if not sheet.is_file():
                    raise UserError(
                        f"{index} names {sheet.name}, which is not there. Render the clips again with --render."
                    )
                cell["sheet"] = "data:image/webp;base64," + base64.b64encode(sheet.read_bytes()).decode()
    return content


def _json(value: object) -> str:
    """JSON that cannot end the script element it stands in."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return text.replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")


@cache
def _read(name: str) -> str:
    return (FOLDER / name).read_text(encoding="utf-8")
