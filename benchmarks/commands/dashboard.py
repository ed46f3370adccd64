"""`benchmarks dashboard`: builds a W&B workspace and report from records. Imports no torch."""

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.commands.sync import gather
from benchmarks.leaderboard.formatting import UNBEATEN, WITHOUT_SCALE
from benchmarks.leaderboard.ranking import learns_nothing, unbeaten
from benchmarks.records.record import Record
from benchmarks.runs.scale import TRIVIAL
from benchmarks.runs.spec import read_benchmarks
from benchmarks.runs.standing import results_and_retired
from benchmarks.utils.errors import UserError
from datamodules.files import write_text

BENCHMARKS = Path("configs/benchmark")

AXIS = "generator_updates"
"""The x-axis that `RunWandbLogger` logs."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of the command."""
    parser.add_argument("records", nargs="*", type=Path, help="records, or folders of them (default: the results)")
    parser.add_argument("--results", type=Path, default=Path("benchmarks/results"), help="folder of committed records")
    parser.add_argument("--project", default="chronoreel", help="W&B's project (default: chronoreel)")
    parser.add_argument("--entity", help="the account or team (default: the account's default)")
    parser.add_argument(
        "--out", type=Path, metavar="FOLDER", help="write both as JSON to this folder and upload nothing"
    )


def main(args: argparse.Namespace) -> int:
    """Build both, and upload them or write them to files."""
    gathered = gather(args.records or [args.results]).values()
    records, retired = results_and_retired(gathered, read_benchmarks(BENCHMARKS) if BENCHMARKS.is_dir() else {})
    for row in retired:
        print(f"Left out: {' / '.join(filter(None, (row.table, row.group, row.label)))} ({row.why}).")
    if not records:
        raise UserError(f"None of the {len(gathered)} records is a result now. Run their benchmarks again.")
    try:
        import wandb
        import wandb_workspaces.reports.v2  # noqa: F401 (is it installed?)
    except ImportError as error:
        raise UserError(
            "`benchmarks dashboard` needs wandb-workspaces: `pip install chronoreel[dashboard]`."
        ) from error
    if args.out:
        entity = args.entity or "entity"
        views = {"workspace": workspace(records, args.project, entity), "report": report(records, args.project, entity)}
        for name, view in views.items():
            path = args.out / f"{name}.json"
            write_text(path, view._to_model().model_dump_json(by_alias=True, exclude_none=True, indent=1) + "\n")
            print(path)
        return 0
    try:
        entity = str(args.entity or wandb.Api().default_entity)
        for view in (workspace(records, args.project, entity), report(records, args.project, entity)):
            view.save()
            print(view.url)
    except (
        Exception
    ) as error:  # wandb-workspaces raises plain Exceptions for missing log-ins, network errors and rejected views
        raise UserError(
            f"The upload to W&B failed: {' '.join(str(error).split())[:300]} Log in with `wandb login`, or write the "
            "views to files with `--out FOLDER`."
        ) from error
    return 0


def workspace(records: Sequence[Record], project: str, entity: str) -> Any:
    """A workspace: losses and validation metrics over updates, galleries, then bars of each evaluation's metrics."""
    import wandb_workspaces.reports.v2 as wr
    import wandb_workspaces.workspaces as ws

    tasks = sorted({record.task["name"] for record in records})
    losses = [
        wr.LinePlot(title="generator", x=AXIS, metric_regex="train/generator/.*"),
        wr.LinePlot(title="critics", x=AXIS, metric_regex="train/critic/.*"),
    ]
    validations = [
        wr.LinePlot(title=f"{task}: {metric}", x=AXIS, y=[f"val/{task}/{metric}"])
        for task in tasks
        for metric in sorted({name for record in records if record.task["name"] == task for name in record.metrics})
    ]
    keys = [f"{stage}/{task}/gallery" for stage in ("val", "test") for task in tasks]
    sections = [
        ws.Section(name="Training", panels=losses, is_open=True),
        ws.Section(name="Validation", panels=validations, is_open=True),
        ws.Section(name="Galleries", panels=[wr.MediaBrowser(media_keys=keys, num_columns=2)], is_open=True),
        *(ws.Section(name=name, panels=_bars(group)) for name, group in comparable(records).items()),
    ]
    settings = ws.WorkspaceSettings(x_axis=AXIS)
    return ws.Workspace(entity=entity, project=project, name="ChronoReel", sections=sections, settings=settings)


def report(records: Sequence[Record], project: str, entity: str) -> Any:
    """A report: for each evaluation the table of its records, and bars of the metrics of their runs."""
    import wandb_workspaces.reports.v2 as wr
    import wandb_workspaces.workspaces as ws

    blocks: list[Any] = [
        wr.P("Every number comes from a record; rows of different protocols are never compared."),
        wr.TableOfContents(),
    ]
    for name, group in comparable(records).items():
        chosen = ws.And(ws.Config("protocol") == group[0].protocol.id, ws.Config("table") == group[0].table)
        grid = wr.PanelGrid(runsets=[wr.Runset(name="records", filters=chosen, groupby=["row"])], panels=_bars(group))
        blocks += [wr.H1(name), wr.P(f"{group[0].data}, {group[0].split}."), wr.MarkdownBlock(text(group)), grid]
    title = "ChronoReel: evaluation results"
    return wr.Report(project=project, entity=entity, title=title, blocks=blocks, width="fluid")


def comparable(records: Sequence[Record]) -> dict[str, list[Record]]:
    """Groups of comparable records by name: one table, block, data, split and protocol each."""
    groups: dict[tuple[str, ...], list[Record]] = {}
    for record in records:
        groups.setdefault((*record.evaluation_key, record.group), []).append(record)
    named: dict[str, list[Record]] = {}
    for (table, *_, protocol, group), members in sorted(groups.items()):
        name = " / ".join(word for word in (table, group, protocol) if word)
        while name in named:
            name += " (other data)"
        named[name] = sorted(members, key=lambda record: (record.row, record.seed))
    return named


def text(records: Sequence[Record]) -> str:
    """The Markdown table of comparable records."""
    metrics = directions(records)
    heads = [f"{name} {'↑' if better else '↓'}" for name, better in metrics.items()]
    lines = [f"| row | seed | {' | '.join(heads)} |", "|---" * (len(heads) + 2) + "|"]
    scales = [TRIVIAL if learns_nothing([record]) else "" for record in records]
    found = {name: [_value(record, name) for record in records] for name in metrics}
    marks = {name: unbeaten(found[name], scales, better) for name, better in metrics.items()}
    for index, record in enumerate(records):
        values = [(found[name][index], marks[name][index]) for name in metrics]
        cells = ["n/a" if value is None else f"{value:.4g}" + f" {UNBEATEN}" * mark for value, mark in values]
        lines.append(f"| {record.row} | {record.seed} | {' | '.join(cells)} |")
    legend = f"{UNBEATEN}: not better than the best row that learns nothing." if any(scales) else WITHOUT_SCALE
    return "\n".join([*lines, "", legend])


def _value(record: Record, metric: str) -> float | None:
    entry = record.metrics.get(metric)
    return None if entry is None or entry.value is None else float(entry.value)


def directions(records: Sequence[Record]) -> Mapping[str, bool]:
    """Whether higher is better, for each metric of the records."""
    found = {name: entry.higher_is_better for record in records for name, entry in record.metrics.items()}
    return dict(sorted(found.items()))


def _bars(records: Sequence[Record]) -> list[Any]:
    import wandb_workspaces.reports.v2 as wr

    protocol = records[0].protocol.id.rpartition("-")[0]
    return [
        wr.BarPlot(
            title=f"{name} {'↑' if better else '↓'}",
            metrics=[f"record/{protocol}/{name}"],
            groupby="row",
            groupby_aggfunc="mean",
            groupby_rangefunc="minmax",
        )
        for name, better in directions(records).items()
    ]
