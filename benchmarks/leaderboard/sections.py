"""Sections: records and published numbers grouped into rankings, from which every output is made. Imports no torch."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from benchmarks.leaderboard.metric_names import column_names
from benchmarks.leaderboard.ranking import Cell, LeaderboardRow, budget_of, leaderboard_rows, ranked, unbeaten
from benchmarks.leaderboard.significance import NO_SCORES, ClipScores, bold_rows
from benchmarks.records.parts import Protocol
from benchmarks.records.record import Record
from benchmarks.runs.published import Published, read_table
from benchmarks.runs.scale import TRIVIAL
from benchmarks.runs.spec import BenchmarkSpec
from benchmarks.runs.standing import Retired, results_and_retired
from benchmarks.utils.errors import UserError
from benchmarks.utils.hashing import plain

RankingKey = tuple[str, str, str, str, str]
"""Table, data, split, protocol and group: rows share a ranking only if these agree."""


@dataclass(frozen=True)
class Ranking:
    """Rows that may be compared: one evaluation, one group, one training budget.

    Args:
        benchmark: the file of configs/benchmark.
        group: the block of the table; empty where there is one.
        data: the data's id.
        split: the evaluated split.
        task: generate, predict, interpolate or inbetween.
        protocol: shared by every record.
        protocol_mismatch: what the benchmark's protocol asks and this one has otherwise.
        budget: what the training may cost, in words; empty where nothing is learnt.
        only_budget: whether the evaluation has no other budget.
        metrics: the columns, by name; the first one ranks the rows.
        higher_is_better: by metric.
        rows: best first.
        published: the numbers that papers print for this group and task.
        scores: the values of each record's clips, for paired tests.
    """

    benchmark: BenchmarkSpec
    group: str
    data: str
    split: str
    task: str
    protocol: Protocol
    protocol_mismatch: dict[str, object]
    budget: str
    only_budget: bool
    metrics: list[str]
    higher_is_better: dict[str, bool]
    rows: list[LeaderboardRow]
    published: list[Published]
    scores: ClipScores = NO_SCORES

    @property
    def title(self) -> str:
        """The group, the protocol's id and, where an evaluation has several, the budget."""
        budget = [self.budget] if not self.only_budget and self.budget else []
        return ", ".join([*([self.group] if self.group else []), self.protocol.id, *budget])

    @property
    def names(self) -> dict[str, str]:
        """What the columns are called, by metric."""
        return column_names(self.metrics)

    def cells(self, metric: str) -> list[tuple[Cell, bool]]:
        """A column: each row's value, and whether it is the best or a test does not tell it from the best."""
        return self._with_best([row.cell(metric) for row in self.rows], metric, self.scores)

    def frame_cells(self, metric: str, frame: int) -> list[tuple[Cell, bool]]:
        """The same at one target frame (from 1), of which there are no values per clip."""
        return self._with_best([row.frame_cell(metric, frame) for row in self.rows], metric, NO_SCORES)

    @property
    def first_scale_row(self) -> int | None:
        """Where the rows begin that are not ranked, by which the others are read; None if there is none."""
        return next((index for index, row in enumerate(self.rows) if row.scale), None)

    @property
    def has_trivial_row(self) -> bool:
        """Whether any row that learns nothing has been measured."""
        return any(row.scale == TRIVIAL and row.records for row in self.rows)

    def without_empty_rows(self) -> "Ranking":
        """The ranking of those rows that have a value for any metric."""
        rows = [row for row in self.rows if any(row.cell(name).value is not None for name in self.metrics)]
        return replace(self, rows=rows)

    def published_columns(self) -> dict[str, list[Published | None]]:
        """The numbers that papers print for the rows, by metric; only metrics that have any."""
        return columns_of(self.published, [(row.label, self.group) for row in self.rows])

    def published_beside(self, metric: str | None) -> dict[str, list[Published | None]]:
        """The published columns that our metric measures too; None: those that none of our metrics measures."""
        ours = {number.metric: number.ours if number.ours in self.metrics else None for number in self.published}
        return {name: column for name, column in self.published_columns().items() if ours[name] == metric}

    def _with_best(self, cells: list[Cell], metric: str, scores: ClipScores) -> list[tuple[Cell, bool]]:
        higher, scales = self.higher_is_better[metric], [row.scale for row in self.rows]
        marks = unbeaten([cell.value for cell in cells], scales, higher)
        cells = [replace(cell, unbeaten=mark) for cell, mark in zip(cells, marks, strict=True)]
        competing = [index for index, scale in enumerate(scales) if not scale]
        bold = bold_rows(
            [self.rows[index] for index in competing], [cells[index] for index in competing], metric, higher, scores
        )
        best = {index for index, mark in zip(competing, bold, strict=True) if mark and not cells[index].unbeaten}
        return [(cell, index in best) for index, cell in enumerate(cells)]


@dataclass(frozen=True)
class Section:
    """One benchmark.

    Args:
        benchmark: its file; one without rows for records of no benchmark.
        rankings: its tables.
        published: what papers print for it, which is all there is to show until it is run.
        retired: rows whose records are no results; see `standing`.
    """

    benchmark: BenchmarkSpec
    rankings: list[Ranking]
    published: list[Published]
    retired: list[Retired] = field(default_factory=list)

    @property
    def command(self) -> str:
        """What runs the benchmark."""
        return f"benchmarks run configs/benchmark/{self.benchmark.name}.yaml"


def sections(records: Mapping[Path, Record], benchmarks: Mapping[str, BenchmarkSpec]) -> list[Section]:
    """A section per benchmark, then one per table of records that belong to none.

    Raises:
        UserError: when two records are of the same row, seed and evaluation, or a benchmark names unknown numbers.
    """
    _refuse_duplicates(records)
    tables = {record.table for record in records.values()}
    found, scores = [], ClipScores.beside(records)
    for name in [*benchmarks, *sorted(tables - set(benchmarks))]:
        benchmark = benchmarks.get(name) or BenchmarkSpec(
            name, name.replace("_", " ").capitalize() or "Single runs", []
        )
        found.append(section(benchmark, [record for record in records.values() if record.table == name], scores))
    return found


def section(benchmark: BenchmarkSpec, records: Sequence[Record], scores: ClipScores = NO_SCORES) -> Section:
    """The rankings of one benchmark: by evaluation and group in the benchmark's order, then by budget."""
    published = read_table(benchmark.published) if benchmark.published else []
    results, retired = results_and_retired(records, {benchmark.name: benchmark})
    rankings = []
    for key in _keys_in_order(benchmark, results):
        members = [record for record in results if _key(record) == key]
        rankings += _rankings_by_budget(benchmark, members, results, published, retired, scores)
    order = [(row.group, row.label) for row in benchmark.rows]
    places = {place: index for index, place in enumerate(order)}
    retired.sort(key=lambda row: (places.get((row.group, row.label), len(order)), row.group, row.label))
    return Section(benchmark, rankings, published, retired)


def columns_of(published: Sequence[Published], rows: Sequence[tuple[str, str]]) -> dict[str, list[Published | None]]:
    """Published numbers by metric, one or none for each (label, group); only metrics that have any."""
    columns = {}
    for metric in dict.fromkeys(number.metric for number in published):
        numbers = [number for number in published if number.metric == metric]
        column = [next((one for one in numbers if one.belongs_to(*row)), None) for row in rows]
        if any(column):
            columns[metric] = column
    return columns


def _rankings_by_budget(
    benchmark: BenchmarkSpec,
    members: Sequence[Record],
    all_records: Sequence[Record],
    published: Sequence[Published],
    retired: Sequence[Retired],
    scores: ClipScores,
) -> list[Ranking]:
    """The rankings of one evaluation and group, one per budget. Rows that learn nothing stand in each of them."""
    first = members[0]
    labels = [row.label for row in benchmark.rows if row.group == first.group]
    order = {label: index for index, label in enumerate(labels)}
    in_order = sorted(members, key=lambda record: order.get(record.row, len(labels)))
    budgets = list(dict.fromkeys(budget for record in in_order if (budget := budget_of(record)))) or [""]
    have_records = {record.row for record in members}
    same_group = [record for record in all_records if record.group == first.group]
    evaluated_elsewhere = {
        record.row for record in same_group if record.row not in order or _key(record) != _key(first)
    } - have_records
    higher_is_better = {
        name: one.higher_is_better for record in members for name, one in sorted(record.metrics.items())
    }
    metrics = [name for name in benchmark.metrics if name in higher_is_better] or sorted(higher_is_better)
    task = str(first.task["name"])
    rankings = []
    for index, budget in enumerate(budgets):
        chosen = [record for record in members if budget_of(record) in (budget, "")]
        present = {record.row for record in chosen}
        # a row without any record appears, as n/a, in the first ranking only
        shown = [label for label in labels if label in present or (index == 0 and label not in have_records)]
        waiting = {row.label for row in retired if row.group == first.group}
        scales = {row.label: row.scale for row in benchmark.rows if row.group == first.group and row.scale}
        rows = leaderboard_rows(chosen, shown, evaluated_elsewhere, benchmark.interval, waiting, scales)
        rankings.append(
            Ranking(
                benchmark=benchmark,
                group=first.group,
                data=first.data,
                split=first.split,
                task=task,
                protocol=first.protocol,
                protocol_mismatch=_mismatch(benchmark, first.protocol),
                budget=budget,
                only_budget=len(budgets) == 1,
                metrics=metrics,
                higher_is_better=higher_is_better,
                rows=_marked(rows, metrics[0], higher_is_better[metrics[0]]) if metrics else rows,
                published=[number for number in published if number.task == task and number.in_group(first.group)],
                scores=scores,
            )
        )
    return rankings


def _marked(rows: Sequence[LeaderboardRow], metric: str, higher_is_better: bool) -> list[LeaderboardRow]:
    """The rows in order, those marked that are not better than the best trivial one."""
    order = ranked(rows, metric, higher_is_better)
    marks = unbeaten([row.cell(metric).value for row in order], [row.scale for row in order], higher_is_better)
    return [replace(row, unbeaten=mark) for row, mark in zip(order, marks, strict=True)]


def _mismatch(benchmark: BenchmarkSpec, protocol: Protocol) -> dict[str, object]:
    asked = plain(benchmark.protocol)
    return {key: value for key, value in asked.items() if protocol.settings.get(key) != value}


def _keys_in_order(benchmark: BenchmarkSpec, records: Iterable[Record]) -> list[RankingKey]:
    """Groups in the benchmark's order, then its tasks; where it names none, by the first row that was evaluated."""
    groups = list(dict.fromkeys(row.group for row in benchmark.rows))
    labels = [(row.group, row.label) for row in benchmark.rows]
    ranks: dict[RankingKey, tuple[int, int, int]] = {}
    for record in records:
        group = groups.index(record.group) if record.group in groups else len(groups)
        name = (record.group, record.row)
        row = labels.index(name) if name in labels else len(labels)
        rank = group, _task_index(benchmark, record), row
        ranks[_key(record)] = min(rank, ranks.get(_key(record), rank))
    return sorted(ranks, key=lambda key: (ranks[key], key))


def _task_index(benchmark: BenchmarkSpec, record: Record) -> int:
    """Which of the benchmark's tasks the record is of; tasks that it does not name come last."""
    for index, task in enumerate(benchmark.tasks):
        settings = {"name": task["class_path"].rpartition(".")[2].lower(), **task.get("init_args", {})}
        if settings.items() <= record.task.items():
            return index
    return len(benchmark.tasks)


def _key(record: Record) -> RankingKey:
    return (*record.evaluation_key, record.group)


def _refuse_duplicates(records: Mapping[Path, Record]) -> None:
    """Two records of the same row, seed and evaluation would count one seed twice."""
    seen: dict[str, Path] = {}
    for path, record in records.items():
        name = f"{record.table}/{record.file_name}"
        if name in seen:
            raise UserError(
                f"{seen[name]} and {path} are records of the same row, seed and evaluation. Delete the older one."
            )
        seen[name] = path
