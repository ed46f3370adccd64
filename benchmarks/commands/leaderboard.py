"""`benchmarks leaderboard`: records in, Markdown, CSV, LaTeX and a page out, reproducible to the byte. No torch."""

import argparse
import difflib
from collections.abc import Mapping
from pathlib import Path

from benchmarks.leaderboard.csv_latex import as_csv, as_latex
from benchmarks.leaderboard.html import page
from benchmarks.leaderboard.integrity import faults, missing_citations, pages_of
from benchmarks.leaderboard.markdown import markdown, with_tables
from benchmarks.leaderboard.sections import sections
from benchmarks.records.parts import RecordError
from benchmarks.records.record import read_records
from benchmarks.runs.spec import read_benchmarks
from benchmarks.utils.errors import UserError
from datamodules.files import write_text

CLIPS = Path(__file__).parents[1] / "leaderboard" / "page" / "clips"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `benchmarks leaderboard`."""
    parser.add_argument("--results", type=Path, default=Path("benchmarks/results"), help="folder of records")
    parser.add_argument("--benchmarks", type=Path, default=Path("configs/benchmark"), help="folder of benchmark files")
    parser.add_argument(
        "--output",
        type=Path,
        default=Path("LEADERBOARD.md"),
        help="the Markdown, which is committed; a README.md beside it gets the tables that its marks ask for",
    )
    parser.add_argument(
        "--site", type=Path, default=Path("site"), help="folder of leaderboard.html, .csv and .tex (ignored by git)"
    )
    parser.add_argument("--clips", type=Path, default=CLIPS, help="folder of the page's clips, made by --render")
    parser.add_argument(
        "--render", type=Path, metavar="YAML", help="render the clips that this file names into --clips"
    )
    parser.add_argument(
        "--check",
        action="store_true",
        help="write nothing; exit 1 if a file is out of date, or a record is broken or cited and not there",
    )


def main(args: argparse.Namespace) -> int:
    """Write what has changed, or with `--check` say whether all is up to date; returns the exit code."""
    if args.render:
        if args.check:
            raise UserError("--render writes and --check writes nothing; give one of them.")
        from benchmarks.leaderboard.clips import render

        print(f"Wrote {len(render(args.render, args.clips))} clips to {args.clips}.")
    for folder, option in ((args.results, "--results"), (args.benchmarks, "--benchmarks")):
        if not folder.is_dir():
            raise UserError(f"There is no folder {folder} here. Run this in the project's folder or give {option}.")
    if args.site.is_file() or args.output.is_dir():
        raise UserError(f"--output must be a file and --site a folder; {args.output} and {args.site} are not.")
    try:
        records = read_records(args.results)
    except RecordError as error:
        raise UserError(f"{error} Delete it or make it again with `benchmarks run`.") from error
    benchmarks = read_benchmarks(args.benchmarks)
    leaderboard = sections(records, benchmarks)
    outputs = {
        args.output: markdown(leaderboard, args.results.as_posix()),
        args.site / "leaderboard.csv": as_csv(leaderboard),
        args.site / "leaderboard.tex": as_latex(leaderboard),
        args.site / "leaderboard.html": page(leaderboard, args.clips),
    }
    readme = args.output.with_name("README.md")
    if (text := _old(readme)) is not None:
        outputs[readme] = with_tables(text, leaderboard)
    changed = faults(records, benchmarks, args.results)
    if args.check:
        # what git ignores is not there after a clone, and what is not there is not out of date
        code = _check({path: text for path, text in outputs.items() if path == args.output or path.is_file()})
        root = args.output.parent
        broken = [*changed, *missing_citations(pages_of(root), root)]
        for line in broken:
            print(line)
        return 1 if broken else code
    if changed:
        told = "\n".join(changed)
        raise UserError(f"Nothing was written, because records are not whole:\n{told}")
    for path, text in outputs.items():
        if _old(path) == text:
            print(f"{path} is up to date.")
        else:
            write_text(path, text)
            print(f"Wrote {path} from {len(records)} records.")
    return 0


def _check(outputs: Mapping[Path, str]) -> int:
    code = 0
    for path, text in outputs.items():
        old = _old(path)
        if old == text:
            print(f"{path} is up to date.")
            continue
        code = 1
        print(f"{path} is out of date. Refresh it with `benchmarks leaderboard`. First changes:")
        changes = difflib.unified_diff((old or "").splitlines(), text.splitlines(), n=0, lineterm="")
        for line, _ in zip(list(changes)[2:], range(8), strict=False):
            print(f"  {line:.160}")
    return code


def _old(path: Path) -> str | None:
    if not path.is_file():
        return None
    with path.open(encoding="utf-8", newline="") as file:  # as the bytes are: no line ending is changed
        return file.read()
