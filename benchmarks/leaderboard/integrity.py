"""Integrity: whether every record is whole, and every record that a page cites is there, however good its row is.

A page cites records by a path, `benchmarks/results/...`: a file, a folder or a pattern with `*`. A number of records
before it, as in "30 records in `benchmarks/results/x`", is how many there must be at least.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from benchmarks.records.clip_scores import SUFFIX, belongs_to
from benchmarks.records.record import Record
from benchmarks.runs.spec import BenchmarkSpec
from benchmarks.runs.standing import checkpoint_of, row_of
from benchmarks.utils.arrays import PerClipError
from datamodules.files import sha256_of

CITED = re.compile(r"(?:(\d+) records?\s+in\s+`)?(benchmarks/results/[\w./*\[\]-]*[\w*\]])")


def faults(records: Mapping[Path, Record], benchmarks: Mapping[str, BenchmarkSpec], results: Path) -> list[str]:
    """What is wrong with the records of a folder, one line each.

    A record stands in its table's folder under its own name; the clips' scores beside it are its own; and it is of the
    checkpoint that its row ships, if it names one. Schema and protocol hash were checked when it was read.
    """
    found = []
    for path, record in records.items():
        if path.name != record.file_name or path.parent.name != record.table:
            found.append(f"{path} is the record of another place: {record.table}/{record.file_name}.")
        file = checkpoint_of(row_of(benchmarks.get(record.table), record.group, record.row), record.seed)
        known = record.checkpoint_sha256 is not None and file is not None and file.is_file()
        if known and file is not None and record.checkpoint_sha256 != sha256_of(file):
            found.append(f"{path} was measured on another checkpoint than its row's, {file}.")
    for scores in sorted(results.rglob(f"*{SUFFIX}")):
        record_path = scores.with_name(scores.name.removesuffix(SUFFIX) + ".json")
        if record_path not in records:
            found.append(f"{scores} belongs to {record_path.name}, which is not there.")
            continue
        try:
            own = belongs_to(record_path)
        except PerClipError as error:
            found.append(str(error))
            continue
        if not own:
            found.append(f"{scores} belongs to another record than {record_path.name}, or one was changed.")
    return found


def missing_citations(pages: Iterable[Path], root: Path) -> list[str]:
    """What pages cite that is not there, one line each.

    Args:
        pages: Markdown files.
        root: the folder that the cited paths start from.
    """
    return [line for page in pages for line in _missing(page, root)]


def pages_of(root: Path) -> list[Path]:
    """The pages of a project: README.md, and those in docs."""
    return [path for path in (root / "README.md", *sorted((root / "docs").glob("*.md"))) if path.is_file()]


def _missing(page: Path, root: Path) -> Iterator[str]:
    for count, place in CITED.findall(page.read_text(encoding="utf-8")):
        there = sorted(root.glob(place))
        records = [path for entry in there for path in (entry.glob("*.json") if entry.is_dir() else [entry])]
        if not records:
            yield f"{page} cites {place}, which is not there."
        elif count and len(records) < int(count):
            yield f"{page} cites {count} records in {place}; there are {len(records)}."
