"""The board: records and published numbers gathered into rankings, from which every output is written. No torch."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.leaderboard.published import Published, read_table
from benchmarks.leaderboard.ranking import Cell, Standing, among_the_best, budget_of, ranked, standings
from benchmarks.records.record import Protocol, Record
from benchmarks.runs.spec import Plan
from benchmarks.utils.errors import UserError
from benchmarks.utils.io import plain

Place = tuple[str, str, str, str, str]
"""Table, data, split, protocol and group: what must agree before two rows may share a table."""


@dataclass(frozen=True)
class Ranking:
    """Rows that may be ranked together: one exam, one group, one budget.

    Args:
        plan: the benchmark.
        group: the block of the table; empty where there is one.
        data: the data's id.
        split: what it is measured on.
        task: generate, predict, interpolate or inbetween.
        protocol: shared by every record.
        wrong: what the plan's protocol asks for and this one has otherwise.
        budget: what the training might cost, in words; empty where nothing was learnt.
        alone: whether it is the only budget of its exam.
        metrics: the columns, by name; the rows are ranked by the first.
        better: whether higher is better, by metric.
        rows: best first.
        published: the numbers that papers print for this group and task.
    """

    plan: Plan
    group: str
    data: str
    split: str
    task: str
    protocol: Protocol
    wrong: dict[str, object]
    budget: str
    alone: bool
    metrics: list[str]
    better: dict[str, bool]
    rows: list[Standing]
    published: list[Published]

    @property
    def title(self) -> str:
        """The group, the protocol's id and, where an exam has several, the budget."""
        budget = [self.budget] if not self.alone and self.budget else []
        return ", ".join([*([self.group] if self.group else []), self.protocol.id, *budget])

    def cells(self, metric: str) -> list[tuple[Cell, bool]]:
        """A column: each row's number, and whether it is the best or cannot be told from it."""
        cells = [row.cell(metric) for row in self.rows]
        return list(zip(cells, among_the_best(cells, self.better[metric]), strict=True))

    def frame_cells(self, metric: str, frame: int) -> list[tuple[Cell, bool]]:
        """The same at one target frame (from 1)."""
        cells = [row.frame_cell(metric, frame) for row in self.rows]
        return list(zip(cells, among_the_best(cells, self.better[metric]), strict=True))

    @property
    def measured(self) -> "list[Standing]":
        """The rows that have a number at all."""
        return [row for row in self.rows if any(row.cell(name).value is not None for name in self.metrics)]

    def published_columns(self) -> dict[str, list[Published | None]]:
        """The numbers that papers print beside the rows, by metric; only metrics that have any."""
        return columns_of(self.published, [(row.row, self.group) for row in self.rows])

    def published_beside(self, metric: str | None) -> dict[str, list[Published | None]]:
        """Those that stand beside our metric, because it measures the same; None: those of which we measure nothing."""
        ours = {number.metric: number.ours if number.ours in self.metrics else None for number in self.published}
        return {name: column for name, column in self.published_columns().items() if ours[name] == metric}


@dataclass(frozen=True)
class Section:
    """One benchmark.

    Args:
        plan: the benchmark; one without rows for records of no plan.
        rankings: its tables.
        published: what papers print for it: all there is to show until it is run.
    """

    plan: Plan
    rankings: list[Ranking]
    published: list[Published]


def sections(records: Mapping[Path, Record], plans: Mapping[str, Plan]) -> list[Section]:
    """A section per plan, then one per table of records without a plan.

    Raises:
        UserError: when two records are of one place in a table, or a plan names published numbers that are not there.
    """
    _refuse_twins(records)
    tables = {record.table for record in records.values()}
    found = []
    for name in [*plans, *sorted(tables - set(plans))]:
        plan = plans.get(name) or Plan(name, name.replace("_", " ").capitalize() or "Single runs", [])
        found.append(section(plan, [record for record in records.values() if record.table == name]))
    return found


def section(plan: Plan, records: Sequence[Record]) -> Section:
    """The rankings of one benchmark: by exam and group in the plan's order, then by budget."""
    published = read_table(plan.published) if plan.published else []
    rankings = []
    for place in _order(plan, records):
        rankings += _rankings(plan, [record for record in records if _place(record) == place], records, published)
    return Section(plan, rankings, published)


def columns_of(published: Sequence[Published], rows: Sequence[tuple[str, str]]) -> dict[str, list[Published | None]]:
    """Published numbers by metric, one or none for each (label, group); only metrics that have any."""
    columns = {}
    for metric in dict.fromkeys(number.metric for number in published):
        numbers = [number for number in published if number.metric == metric]
        column = [next((one for one in numbers if one.belongs_to(*row)), None) for row in rows]
        if any(column):
            columns[metric] = column
    return columns


def _rankings(
    plan: Plan, here: Sequence[Record], all_records: Sequence[Record], published: Sequence[Published]
) -> list[Ranking]:
    """The rankings of one exam and group. Rows that learn nothing stand in each: they fit every budget."""
    first = here[0]
    labels = [row.label for row in plan.rows if row.group == first.group]
    place = {label: index for index, label in enumerate(labels)}
    in_order = sorted(here, key=lambda record: place.get(record.row, len(labels)))
    budgets = list(dict.fromkeys(budget for record in in_order if (budget := budget_of(record)))) or [""]
    elsewhere = {record.row for record in all_records if record.group == first.group} - set(place)
    elsewhere |= {
        record.row for record in all_records if record.group == first.group and _place(record) != _place(first)
    }
    ranked_somewhere = {record.row for record in here}
    better = {name: entry.higher_is_better for record in here for name, entry in sorted(record.metrics.items())}
    metrics = [name for name in plan.metrics if name in better] or sorted(better)
    wrong = {key: value for key, value in plain(plan.protocol).items() if first.protocol.settings.get(key) != value}
    rankings = []
    for index, budget in enumerate(budgets):
        chosen = [record for record in here if budget_of(record) in (budget, "")]
        present = {record.row for record in chosen}
        # what has no record at all is a dash in the first ranking only
        shown = [label for label in labels if label in present or (index == 0 and label not in ranked_somewhere)]
        rows = standings(chosen, shown, elsewhere - ranked_somewhere, plan.interval)
        if metrics:
            rows = ranked(rows, metrics[0], better[metrics[0]])
        task = str(first.task["name"])
        numbers = [number for number in published if number.task == task and number.in_group(first.group)]
        rankings.append(
            Ranking(
                plan=plan,
                group=first.group,
                data=first.data,
                split=first.split,
                task=task,
                protocol=first.protocol,
                wrong=wrong,
                budget=budget,
                alone=len(budgets) == 1,
                metrics=metrics,
                better=better,
                rows=rows,
                published=numbers,
            )
        )
    return rankings


def _order(plan: Plan, records: Iterable[Record]) -> list[Place]:
    """The exams: groups in the plan's order, then its tasks; where it names none, the first rows that sat them."""
    groups = list(dict.fromkeys(row.group for row in plan.rows))
    labels = [(row.group, row.label) for row in plan.rows]
    first: dict[Place, tuple[int, int, int]] = {}
    for record in records:
        group = groups.index(record.group) if record.group in groups else len(groups)
        name = (record.group, record.row)
        row = labels.index(name) if name in labels else len(labels)
        rank = group, _position(plan, record), row
        first[_place(record)] = min(rank, first.get(_place(record), rank))
    return sorted(first, key=lambda place: (first[place], place))


def _position(plan: Plan, record: Record) -> int:
    """Where the plan asks the record's task; tasks that it does not name come last."""
    for index, task in enumerate(plan.tasks):
        asked = {"name": task["class_path"].rpartition(".")[2].lower(), **task.get("init_args", {})}
        if asked.items() <= record.task.items():
            return index
    return len(plan.tasks)


def _place(record: Record) -> Place:
    return (*record.exam, record.group)


def _refuse_twins(records: Mapping[Path, Record]) -> None:
    """Two records of one place in a table would count one seed twice."""
    places: dict[str, Path] = {}
    for path, record in records.items():
        place = f"{record.table}/{record.file_name}"
        if place in places:
            raise UserError(f"{places[place]} and {path} are records of the same row, seed and exam. Delete the older.")
        places[place] = path
