"""`benchmarks compare`: the paired test of two systems on the same clips."""

import argparse
import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.records.clip_scores import PerClip, read_per_clip
from benchmarks.records.parts import Measurement, RecordError
from benchmarks.records.record import read_record
from benchmarks.runs.standing import retired_because
from benchmarks.utils.arrays import PerClipError
from benchmarks.utils.errors import UserError

if TYPE_CHECKING:
    from benchmarks.metrics.paired_test import Difference

EVALUATION = "chronoreel evaluation"
"""The `kind` in the output of `benchmarks evaluate --json`."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of the command."""
    parser.add_argument(
        "first", type=Path, metavar="A.json", help="a record, or the output of `evaluate --paired --json`"
    )
    parser.add_argument("second", type=Path, metavar="B.json", help="another one with the same protocol and data")


def main(args: argparse.Namespace) -> int:
    """For each shared metric, print the two values, their difference with its interval, and p."""
    first, second = _read(args.first), _read(args.second)
    _check_same("protocol", first.protocol, second.protocol, "n, frames, rate, size, networks or selection differ")
    _check_same("data", first.data, second.data, "the clips differ")
    try:
        ours, theirs = read_per_clip(args.first), read_per_clip(args.second)
    except PerClipError as error:
        raise UserError(str(error)) from error
    shared = [name for name in first.metrics if name in second.metrics]
    if not shared:
        raise UserError(
            f"The records share no metric: {args.first} has {', '.join(first.metrics)}, {args.second} has "
            f"{', '.join(second.metrics)}."
        )
    print(f"A  {first.label} ({args.first})\nB  {second.label} ({args.second})")
    for name, one in (("A", first), ("B", second)):
        if one.retired:
            print(f"{name} is no result: {one.retired}.")
    print(f"{first.protocol} on {first.data}\n")
    found = False
    for name in shared:
        reason = _why_not(name, first.metrics[name], second.metrics[name], ours, theirs)
        if reason:
            print(f"{name}: n/a ({reason})")
            continue
        found = True
        result = difference(name, ours[name], theirs[name])
        print(_line(name, result, first.metrics[name], second.metrics[name], len(ours[name].ids)))
    print(
        "\nA - B with a 95 % interval over sources (people, films); p: permutation test that exchanges whole sources."
    )
    return 0 if found else 1


def difference(name: str, first: PerClip, second: PerClip) -> "Difference":
    """The paired test of one metric.

    Raises:
        UserError: if the clips or their sources differ.
    """
    from benchmarks.metrics.paired_test import (  # numpy, which --help does without
        ends_of,
        paired_difference,
        same_clips,
    )

    if not same_clips(first, second):
        only = set(first.ids.tolist()) ^ set(second.ids.tolist())
        what = f"of which {len(only)} are in one record only" if only else "whose sources are not the same"
        raise UserError(
            f"{name} was measured on different clips: {len(first.ids)} and {len(second.ids)}, {what}. Evaluate both "
            "systems on the same clips."
        )
    undo, finish = ends_of(name)
    return paired_difference(undo(first.values), undo(second.values), first.origins, finish)


@dataclass(frozen=True)
class _Evaluation:
    label: str
    data: str
    protocol: str
    metrics: dict[str, Measurement]
    retired: str | None = None


def _read(path: Path) -> _Evaluation:
    if not path.is_file():
        raise UserError(f"There is no file {path}.")
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise UserError(f"{path} cannot be read: {error}.") from error
    try:
        if isinstance(content, dict) and content.get("kind") == EVALUATION:
            metrics = {name: _measurement(entry) for name, entry in content["metrics"].items()}
            return _Evaluation(content["generated"], content["data"], content["protocol"]["id"], metrics)
        record = read_record(path)
    except (RecordError, KeyError, TypeError) as error:
        raise UserError(str(error) if isinstance(error, RecordError) else f"{path} is not a record. {error}") from error
    return _Evaluation(
        f"{record.row}, seed {record.seed}",
        f"{record.data} ({record.split})",
        record.protocol.id,
        record.metrics,
        retired_because(record),
    )


def _measurement(entry: dict[str, Any]) -> Measurement:
    return Measurement(**{**entry, "interval": entry["interval"] and tuple(entry["interval"])})


def _check_same(what: str, first: str, second: str, meaning: str) -> None:
    if first != second:
        raise UserError(
            f"Only records of one {what} can be compared, but {meaning}: A has {first}, B has {second}. "
            f"Evaluate both with the same {what}."
        )


def _why_not(
    name: str, first: Measurement, second: Measurement, ours: dict[str, PerClip], theirs: dict[str, PerClip]
) -> str | None:
    if first.reason or second.reason:
        return "; ".join(f"{who}: {entry.reason}" for who, entry in (("A", first), ("B", second)) if entry.reason)
    if name not in ours or name not in theirs:
        return f"it has no score per clip; A {first.value:.4g}, B {second.value:.4g}, compare their intervals"
    return None


def _line(name: str, result: "Difference", first: Measurement, second: Measurement, clips: int) -> str:
    numbers = f"A {first.value:.5g}  B {second.value:.5g}  A - B {result.value:+.4g}"
    count = f"n = {clips} clips, {result.sources} source{'s' if result.sources != 1 else ''}"
    if result.interval is None or result.p is None:
        from benchmarks.utils.by_source import FEWEST_SOURCES

        return f"{name}: {numbers}  ({count})  interval and p: n/a, they need {FEWEST_SOURCES} sources"
    low, high, _ = result.interval
    better = "A" if (result.value > 0) == first.higher_is_better else "B"
    verdict = f"{better} is better" if result.p < 0.05 else "no significant difference"
    return f"{name}: {numbers} [{low:+.4g}, {high:+.4g}]  p = {result.p:.4f}  ({count})  {verdict}"
