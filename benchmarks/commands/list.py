"""`benchmarks list`: experiments, benchmarks, data, models, metrics and baselines. Imports no torch."""

import argparse
import ast
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from benchmarks.config.resolve import is_config_file, read_config, read_yaml
from benchmarks.records.provenance import ROOT
from benchmarks.records.source_tree import descendants, find
from benchmarks.runs.spec import read_benchmark
from benchmarks.utils.errors import UserError, unknown_name_error

_CONFIGS = Path("configs")

Entries = Iterator[tuple[str, str]]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `benchmarks list`."""
    parser.add_argument("kind", nargs="?", metavar="KIND", help=f"one of {', '.join(KINDS)}; default: all")


def main(args: argparse.Namespace) -> int:
    """Print one line per name."""
    if args.kind is not None and args.kind not in KINDS:
        raise unknown_name_error("kind", args.kind, KINDS)
    for kind in [args.kind] if args.kind else KINDS:
        entries = list(KINDS[kind]())
        print(f"{kind}:" if entries else f"{kind}: none here")
        longest = max((len(name) for name, _ in entries), default=0)
        for name, summary in entries:
            print(f"  {name:{longest}}  {_sentence(summary)}".rstrip())
            if args.kind == "data":
                for fact, value in metadata_of(name).items():
                    print(f"      {fact:9} {value}")
    return 0


def metadata_of(class_path: str, root: Path = ROOT) -> dict[str, str]:
    """The `metadata` of a data set's class, read from its source; empty for simulated data."""
    found = find(class_path, root)
    tree = ast.parse((root / found.file).read_text(encoding="utf-8")) if found else ast.Module([], [])
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef) and node.name == class_path.rpartition(".")[2]:
            for entry in node.body:
                if isinstance(entry, ast.Assign) and ast.unparse(entry.targets[0]) == "metadata":
                    assert isinstance(entry.value, ast.Call)
                    return {str(word.arg): ast.literal_eval(word.value) for word in entry.value.keywords}
    return {}


def _experiments() -> Entries:
    """Model, data, task, size and cost of each, in columns."""
    folder = _CONFIGS / "experiment"
    lines = {
        path.relative_to(folder).with_suffix("").as_posix(): _columns(path) for path in sorted(folder.rglob("*.yaml"))
    }
    widths = [max(map(len, column)) for column in zip(*lines.values(), strict=True)]
    for name, columns in lines.items():
        yield name, "  ".join(f"{word:{width}}" for word, width in zip(columns, widths, strict=True))


def _columns(path: Path) -> tuple[str, ...]:
    """Model, data, tasks, size and cost of an experiment."""
    try:
        config = read_config(path)
    except UserError as error:
        return (f"broken: {error}", "", "", "", "")
    model, data = (_class_name(config.get(part)) for part in ("model", "data"))
    named = str(read_yaml(path).get("model", ""))
    parts = Path(named).stem.split("_") if is_config_file(named) else []
    tasks = [_class_name(task).lower() for task in config.get("evaluation", {}).get("tasks", [])]
    size = "small" if {"small", "demo"} & {*parts, *path.stem.split("_")} else "paper"
    trains = "trainer" in config or "budget" in config
    return model, data, "+".join(tasks), size if trains else "-", _cost(config) if trains else "no training"


def _class_name(config: Any) -> str:
    path = config.get("class_path", "") if isinstance(config, dict) else config
    return str(path or "-").rpartition(".")[2]


def _cost(config: dict[str, Any]) -> str:
    """The length of a training: its budget, else its epochs."""
    budget, epochs = config.get("budget", {}), config.get("trainer", {}).get("max_epochs")
    parts = [f"{budget['generator_updates']:,} updates"] if "generator_updates" in budget else []
    parts += [f"{budget['seconds']:,} s"] if "seconds" in budget else []
    return ", ".join(parts or [f"{epochs} epoch{'s' * (epochs != 1)}" if epochs else "no end"])


def _benchmarks() -> Entries:
    for path in sorted((_CONFIGS / "benchmark").glob("*.yaml")):
        try:
            spec = read_benchmark(path)
        except UserError as error:
            yield path.stem, f"broken: {error}"
        else:
            yield path.stem, f"{spec.title} ({len(spec.rows)} row{'s' * (len(spec.rows) != 1)})"


def _data() -> Entries:
    return _classes("datamodules.base.module.ClipDataModule")


def _models() -> Entries:
    return _classes("lightning_modules.system.System", "lightning_modules.")


def _metrics() -> Entries:
    return _classes("benchmarks.metrics.base.ClipMetric")


def _baselines() -> Entries:
    return _classes("lightning_modules.system.System", "baselines.")


def _classes(base: str, prefix: str = "") -> Entries:
    return ((entry.path, entry.summary) for entry in descendants(base) if entry.path.startswith(prefix))


def _sentence(text: str) -> str:
    """The first sentence; "Fig. 4" does not end it."""
    return re.split(r"\.\s+(?=[A-Z])", text)[0].rstrip(".")


KINDS: dict[str, Callable[[], Entries]] = {
    "experiments": _experiments,
    "benchmarks": _benchmarks,
    "data": _data,
    "models": _models,
    "metrics": _metrics,
    "baselines": _baselines,
}
