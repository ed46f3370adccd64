"""Sources of published numbers: each number's own, listed below its table, and marked where a table has several."""

from collections.abc import Iterable, Mapping, Sequence
from string import ascii_lowercase

from benchmarks.leaderboard.metric_names import display_name
from benchmarks.runs.published import Published

Columns = Mapping[str, Sequence[Published | None]]


def marks_of(columns: Columns) -> dict[str, str]:
    """A letter for every source of a table's published numbers; none where all are from one."""
    found = list(dict.fromkeys(number.source for number in _numbers(columns)))
    return {source: _letter(place) if len(found) > 1 else "" for place, source in enumerate(found)}


def notes_on(columns: Columns) -> list[tuple[str, str]]:
    """What stands below a table with published numbers, as mark and text: sources, then what we do not measure."""
    marks = marks_of(columns)
    notes = [(mark, source if mark else f"Published: {source}") for source, mark in marks.items()]
    reasons = {number.metric: number.not_measured for number in _numbers(columns) if number.ours is None}
    return [
        *notes,
        *(
            ("", f"No metric of ours has the definition of the published {display_name(metric)}: {reason}")
            for metric, reason in reasons.items()
        ),
    ]


def _numbers(columns: Columns) -> Iterable[Published]:
    return (number for column in columns.values() for number in column if number is not None)


def _letter(place: int) -> str:
    """A, b, ... z, aa, ab, ..."""
    more, last = divmod(place, len(ascii_lowercase))
    return (_letter(more - 1) if more else "") + ascii_lowercase[last]
