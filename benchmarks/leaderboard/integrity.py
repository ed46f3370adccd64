"""Integrity: whether every record is whole, and every record that a page cites is there, however good its row is.

A page cites records by a path, `benchmarks/results/...`: a file, a folder or a pattern with `*`. A number of records
before it, as in "30 records in `benchmarks/results/x`", is how many there must be at least.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from benchmarks.records.clip_scores import SUFFIX, belongs_to, beside
from benchmarks.records.record import Record
from benchmarks.records.signature import is_signed
from benchmarks.runs.spec import BenchmarkSpec
from benchmarks.runs.standing import checkpoint_of, retired_because, row_of
from benchmarks.utils.arrays import PerClipError
from datamodules.files import sha256_of

CITED = re.compile(r"(?:(\d+) records?\s+in\s+`)?(benchmarks/results/[\w./*\[\]-]*[\w*\]])")


def faults(records: Mapping[Path, Record], benchmarks: Mapping[str, BenchmarkSpec], results: Path) -> list[str]:
    """What is wrong with the records of a folder, one line each.

    A record stands in its table's folder under its own name, and holds its digest if its row is shown; the clips'
    scores that it was written with are beside it, and its own; it is of the checkpoint that its row ships, if it names
    one, and of no other seed's. Schema, protocol hash and digest were checked when it was read.
    """
    found = []
    for path, record in records.items():
        if path.name != record.file_name or path.parent.name != record.table:
            found.append(f"{path} is the record of another place: {record.table}/{record.file_name}.")
        row = row_of(benchmarks.get(record.table), record.group, record.row)
        if not is_signed(path) and retired_because(record, row) is None:
            found.append(f"{path} has no digest, so nobody can tell whether it was changed. Make it again.")
        if record.clips_sha256 is not None and not beside(path).is_file():
            found.append(f"{path} has no values of its clips: {beside(path).name} is not beside it.")
        elif record.clips_sha256 is not None and record.clips_sha256 != sha256_of(beside(path)):
            found.append(f"{beside(path)} is not the file that {path.name} was written with.")
        file = checkpoint_of(row, record.seed)
        known = record.checkpoint_sha256 is not None and file is not None and file.is_file()
        if known and file is not None and record.checkpoint_sha256 != sha256_of(file):
            found.append(f"{path} was measured on another checkpoint than its row's, {file}.")
    found += _of_one_training(records)
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


def _of_one_training(records: Mapping[Path, Record]) -> Iterator[str]:
    """Two seeds of a row that were measured on one checkpoint: one of them is no training of its own."""
    seen: dict[tuple[str, ...], tuple[int, Path]] = {}
    for path, record in records.items():
        if record.checkpoint_sha256 is None:
            continue
        key = (*record.evaluation_key, record.group, record.row, record.checkpoint_sha256)
        seed, first = seen.setdefault(key, (record.seed, path))
        if seed != record.seed:
            yield f"{path} is of the same checkpoint as {first.name}, though their seeds are {record.seed} and {seed}."


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
