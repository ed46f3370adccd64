"""Benchmark specifications: the files of configs/benchmark, read and checked. Imports no torch."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from benchmarks.config.resolve import full_class_paths, read_yaml
from benchmarks.runs import scale
from benchmarks.runs.columns import check_columns
from benchmarks.utils.errors import UserError, unknown_name_error
from benchmarks.utils.hashing import slug

KINDS = ("table", "curve", "gallery")
SPLITS = ("test",)
STAGES = ("motion", "video")
INTERVALS = ("t", "bootstrap")


@dataclass(frozen=True)
class Stage:
    """A training that a joined row is made of.

    Args:
        experiment: a file below configs/experiment, without the ending.
        overrides: as a row's.
    """

    experiment: str
    overrides: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Row:
    """One row: an experiment, what it changes, and where its weights come from if it is not trained here.

    Args:
        label: as the table prints it.
        experiment: a file below configs/experiment, without the ending. None for a model that the project does not
            have: its row shows published numbers and n/a.
        overrides: further config files, or options such as `model.init_args.lr=0.1`, in order of application.
        checkpoint: a .ckpt or .safetensors file to test instead of training. `{seed}` in its name stands for the seed;
            without it one network is all there is, and only the first seed is run.
        group: the block of the table that the row stands in, such as a data set; labels differ within a group.
        join: the two trainings, `motion` and `video`, whose networks are joined and evaluated as `experiment` says.
        scale: `trivial` for a baseline that learns nothing, `real` for the data's own clips, by which the numbers of
            the others are read (see `benchmarks.runs.scale`); empty for a competitor. Such a row is run once.
    """

    label: str
    experiment: str | None = None
    overrides: list[str] = field(default_factory=list)
    checkpoint: str | None = None
    group: str = ""
    join: dict[str, Stage] = field(default_factory=dict)
    scale: str = ""

    @property
    def name(self) -> str:
        """The label, after its group."""
        return f"{self.group}: {self.label}" if self.group else self.label


@dataclass(frozen=True)
class BenchmarkSpec:
    """One benchmark: every row gets the same evaluation, once per seed.

    Args:
        name: the stem of its file; the `table` of its records.
        title: as the leaderboard prints it.
        rows: in the order of the paper.
        paper: where the table comes from.
        kind: table, curve or gallery.
        seeds: of the whole run: data order, weights, noise.
        tasks: `class_path` and `init_args` each, for every row in place of its experiment's own.
        split: what the rows are measured on.
        protocol: settings that every record must have; a record that has others is no part of the table.
        metrics: the columns, in order, by name; rows are ranked by the first. Empty: all, by name.
        per_frame: for a metric, the target frames (from 1) that a second table shows.
        evaluation: further settings of the `evaluation` group, for every row.
        test_overrides: options such as `data.init_args.frame_rate=25` of the evaluation alone, for every row: rows that
            are evaluated on other data than they were trained on (another frame rate, longer clips).
        figure: `class_path` and `init_args` of the benchmarks.figures.base.Figure that is drawn when the rows are done.
        published: where the numbers that the paper printed are: `<file>#<table>`.
        interval: of a mean over seeds: `t` (Student's) or `bootstrap` (percentiles), where a paper has that.

    In a file, `scale` names further rows: see `benchmarks.runs.scale`.
    """

    name: str
    title: str
    rows: list[Row]
    paper: str | None = None
    kind: str = "table"
    seeds: list[int] = field(default_factory=lambda: [0])
    tasks: list[dict[str, Any]] = field(default_factory=list)
    split: str = "test"
    protocol: dict[str, Any] = field(default_factory=dict)
    metrics: list[str] = field(default_factory=list)
    per_frame: dict[str, list[int]] = field(default_factory=dict)
    evaluation: dict[str, Any] = field(default_factory=dict)
    test_overrides: list[str] = field(default_factory=list)
    figure: dict[str, Any] | None = None
    published: str | None = None
    interval: str = "t"


def read_benchmark(path: Path) -> BenchmarkSpec:
    """The spec in a file.

    Raises:
        UserError: that names the file, the key and the nearest right one, or a column that nothing measures.
    """
    if not path.is_file():
        files = list(path.parent.glob("*.yaml")) if path.parent != Path() else []
        files = files or list(Path("configs/benchmark").glob("*.yaml"))
        raise unknown_name_error("benchmark file", str(path), map(str, files))
    try:
        spec = _spec(path.stem, full_class_paths(read_yaml(path)))
        check_columns(spec)
        return spec
    except UserError as error:
        raise UserError(f"{path}: {error}") from error


def read_benchmarks(folder: Path) -> dict[str, BenchmarkSpec]:
    """Every spec in a folder, by name."""
    return {path.stem: read_benchmark(path) for path in sorted(folder.glob("*.yaml"))}


def _spec(name: str, content: dict[str, Any]) -> BenchmarkSpec:
    content = dict(content)
    named = content.pop("scale", [])
    if "task" in content:
        content["tasks"] = [content.pop("task")]
    _check_keys(content, [known.name for known in fields(BenchmarkSpec) if known.name != "name"], ("title", "rows"))
    _check(content, "title", "a text", _is_text)
    _check(content, "paper", "a text", _is_text)
    _check(content, "published", "`<file>#<table>`", _is_text)
    _check(content, "kind", " or ".join(KINDS), lambda value: value in KINDS)
    _check(content, "split", " or ".join(SPLITS), lambda value: value in SPLITS)
    _check(content, "interval", " or ".join(INTERVALS), lambda value: value in INTERVALS)
    _check(content, "seeds", "a list of distinct whole numbers", lambda value: _all(_is_count, value, distinct=True))
    _check(content, "metrics", "a list of names", lambda value: _all(_is_text, value))
    _check(content, "tasks", "a list of `{class_path: ..., init_args: {...}}`", lambda value: _all(_is_object, value))
    _check(content, "figure", "`{class_path: ..., init_args: {...}}`", _is_object)
    if content.get("kind", "table") != "table" and "figure" not in content:
        raise UserError(f"A {content['kind']} needs the key 'figure', which says how it is drawn.")
    for key in ("protocol", "per_frame", "evaluation"):
        _check(content, key, "a mapping", lambda value: isinstance(value, dict))
    _check(content, "test_overrides", "a list of `data.key=value`", lambda value: _all(_is_data_option, value))
    for metric in content.get("per_frame", {}):
        _check(content["per_frame"], metric, "a list of frame numbers from 1", lambda value: _all(_is_frame, value))
    _check(
        content, "rows", "a list with at least one `{label: ..., experiment: ...}`", lambda value: _all(_is_row, value)
    )
    rows = [_row(row) for row in content.pop("rows")]
    rows += scale.scale_rows(rows, named)
    seen: set[str] = set()
    for row in rows:
        if slug(row.name) in seen:
            raise UserError(f"The labels of rows must differ, also as file names; '{row.name}' comes twice.")
        seen.add(slug(row.name))
    return BenchmarkSpec(name=name, rows=rows, **content)


def _row(content: dict[str, Any]) -> Row:
    _check_keys(content, [known.name for known in fields(Row)], ("label",))
    _check(content, "label", "a text", _is_text)
    _check(content, "group", "a text", _is_text)
    _check(content, "scale", " or ".join(scale.KINDS), lambda value: value in scale.KINDS)
    _check_training(content)
    _check(content, "checkpoint", "a file", _is_text)
    if "experiment" not in content and len(content) > 1 + ("group" in content):
        raise UserError(f"The row '{content['label']}' names no `experiment`, so it can have no other key.")
    if "join" not in content:
        return Row(**content)
    if "checkpoint" in content:
        raise UserError(f"The row '{content['label']}' has `join` and `checkpoint`; give one.")
    _check(content, "join", "a mapping of `motion` and `video`", lambda value: isinstance(value, dict))
    stages = {name: {"experiment": s} if isinstance(s, str) else s for name, s in content["join"].items()}
    _check_keys(stages, STAGES, STAGES)
    for stage in stages.values():
        _check_keys(stage, [known.name for known in fields(Stage)], ("experiment",))
        _check_training(stage)
    return Row(**{**content, "join": {name: Stage(**stages[name]) for name in STAGES}})


def _check_training(content: Mapping[str, Any]) -> None:
    _check(content, "experiment", "a file below configs/experiment", _is_text)
    _check(
        content, "overrides", "a list of config files or `key=value`", lambda value: _all(_is_text, value, empty=True)
    )


def _check_keys(content: Mapping[Any, Any], known: Iterable[str], needed: Iterable[str]) -> None:
    known = list(known)
    for key in content:
        if key not in known:
            raise unknown_name_error("key", str(key), known)
    for key in needed:
        if key not in content:
            raise UserError(f"The key '{key}' is missing.")


def _check(content: Mapping[str, Any], key: str, rule: str, holds: Callable[[Any], bool]) -> None:
    if key in content and not holds(content[key]):
        raise UserError(f"`{key}` must be {rule}; got {content[key]!r}.")


def _all(holds: Callable[[Any], bool], values: object, *, empty: bool = False, distinct: bool = False) -> bool:
    if not isinstance(values, list) or not (empty or values) or not all(holds(value) for value in values):
        return False
    return not distinct or len(set(values)) == len(values)


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _is_frame(value: object) -> bool:
    return _is_count(value) and value != 0


def _is_text(value: object) -> bool:
    return isinstance(value, str) and bool(value.strip())


def _is_data_option(value: object) -> bool:
    """Other data can be evaluated; another model would be another row."""
    return _is_text(value) and str(value).startswith("data.") and "=" in str(value)


def _is_object(value: object) -> bool:
    return isinstance(value, dict) and "class_path" in value


def _is_row(value: object) -> bool:
    return isinstance(value, dict)
