"""Which rows of a column are bold: the best, and those that a paired test by source does not tell from it. No torch."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.leaderboard.ranking import Cell, LeaderboardRow
from benchmarks.records.record import Record

if TYPE_CHECKING:
    from benchmarks.records.clip_scores import PerClip

FEWEST_SOURCES = 10
"""As `benchmarks.utils.by_source.FEWEST_SOURCES`, which numpy is not loaded for."""
LEVEL = 0.05

BOLD = (
    "the best row, and rows that a permutation test of their clips' values by source does not tell from it (Holm over "
    f"the table's rows, {LEVEL:.0%}); where a metric has no values per clip, as FVD, the best value alone, untested; "
    f"nothing with fewer than {FEWEST_SOURCES} sources, and nothing that a trivial row beats"
)
"""The rule, for the legend of every output."""


@dataclass(frozen=True)
class ClipScores:
    """The values that the clips of each record got, read from the file beside it when they are asked for."""

    paths: Mapping[int, Path] = field(default_factory=dict)
    """The file of each record, by the record's identity."""
    _read: dict[Path, "dict[str, PerClip]"] = field(default_factory=dict)

    @classmethod
    def beside(cls, records: Mapping[Path, Record]) -> "ClipScores":
        """Those of records in files."""
        return cls({id(record): path for path, record in records.items()})

    def of(self, record: Record, metric: str) -> "PerClip | None":
        """The clips' values of a metric; None where there are none, or none with sources."""
        from benchmarks.records.clip_scores import beside, read_per_clip
        from benchmarks.utils.arrays import PerClipError

        path = self.paths.get(id(record))
        if path is None or not beside(path).is_file():
            return None
        if path not in self._read:
            try:
                self._read[path] = read_per_clip(path)
            except PerClipError:  # damaged, of another record, or from before sources were kept: nothing can be tested
                self._read[path] = {}
        return self._read[path].get(metric)


NO_SCORES = ClipScores()


def bold_rows(
    rows: Sequence[LeaderboardRow], cells: Sequence[Cell], metric: str, higher_is_better: bool, scores: ClipScores
) -> list[bool]:
    """Whether each row is the best of a column, or is not told from the best; see `BOLD`."""
    known = [index for index, cell in enumerate(cells) if cell.value is not None]
    marks = [False] * len(cells)
    if not known or any((cells[index].sources or 0) < FEWEST_SOURCES for index in known):
        return marks
    best = (max if higher_is_better else min)(known, key=lambda index: cells[index].value or 0.0)
    level = [index for index in known if cells[index].value == cells[best].value]
    others = [index for index in known if index not in level]
    tested = {index: p for index in others if (p := paired_p_of(rows[index], rows[best], metric, scores)) is not None}
    told = told_apart(tested)
    for index in [*level, *(index for index in tested if index not in told)]:
        marks[index] = True
    return marks


def told_apart(p_values: Mapping[int, float]) -> set[int]:
    """The keys whose hypotheses Holm's procedure (1979) rejects at `LEVEL`."""
    rejected: set[int] = set()
    for place, key in enumerate(sorted(p_values, key=lambda key: p_values[key])):
        if p_values[key] > LEVEL / (len(p_values) - place):
            break
        rejected.add(key)
    return rejected


def paired_p_of(first: LeaderboardRow, second: LeaderboardRow, metric: str, scores: ClipScores) -> float | None:
    """The p-value of two rows' equality on the same clips; None if it cannot be tested.

    A clip's value is the mean over the row's training seeds. Of two rows that are trained, only seeds that both have
    count; a row that learns nothing has one seed, which stands against all of the other. So the test is of these
    trainings, on new sources; what another training would give is for the interval over seeds to say.
    """
    chosen = [first.records, second.records]
    if all(record.parameters for records in chosen for record in records):
        shared = {record.seed for record in first.records} & {record.seed for record in second.records}
        chosen = [[record for record in records if record.seed in shared] for records in chosen]
    found = [[scores.of(record, metric) for record in records] for records in chosen]
    if not all(found) or any(one is None for side in found for one in side):
        return None
    import numpy as np

    from benchmarks.metrics.paired_test import ends_of, paired_difference, same_clips

    ours, theirs = ([one for one in side if one is not None] for side in found)
    if not all(same_clips(ours[0], one) for one in [*ours, *theirs]):
        return None
    undo, finish = ends_of(metric)
    mine, other = (np.mean([undo(one.values) for one in side], axis=0) for side in (ours, theirs))
    return paired_difference(mine, other, ours[0].origins, finish, interval=False).p
