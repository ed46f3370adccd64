"""Filing of a job's files: its valid records, their copies among the results, its folder's lock."""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from benchmarks.records.clip_scores import beside, copy_per_clip
from benchmarks.records.record import Record, read_record
from benchmarks.runs.job import Job

try:
    import fcntl
except ImportError:  # on Windows folders are not locked
    fcntl = None  # type: ignore[assignment]


class RowError(Exception):
    """A row failed; the other rows still run."""


def valid_records(job: Job, accept_stale: bool) -> list[Record]:
    """The row's records of this request by the current code; of older code too with `accept_stale`."""
    records = [record for record in job.filed().values() if record.request == job.request]
    return [] if any(record.stale for record in records) and not accept_stale else records


def collect_records(job: Job, accept_stale: bool) -> list[Path]:
    """Copy the evaluation's records to the results and delete those that they replace; returns the paths."""
    found = {path: read_record(path) for path in sorted(job.evaluation_folder.glob("record*.json"))}
    if not accept_stale and any(record.stale for record in found.values()):
        return []
    folder = job.results / job.spec.name
    written = []
    for source, record in found.items():
        path = folder / record.file_name
        if not path.is_file() or read_record(path) != record:
            record.write(path)
        if beside(source).is_file():
            copy_per_clip(source, path)
        written.append(path)
    for path in job.filed():
        if written and path not in written:
            path.unlink()
            beside(path).unlink(missing_ok=True)
    return written


def count_of_records(records: Sequence[Record]) -> str:
    """`2 valid records`."""
    return f"{len(records)} valid record{'s' if len(records) != 1 else ''}"


def unused_folder(folder: Path) -> Path:
    """`<folder>.old-<n>` with the lowest unused n."""
    number = 1
    while (unused := folder.with_name(f"{folder.name}.old-{number}")).exists():
        number += 1
    return unused


@contextmanager
def folder_lock(job: Job) -> Iterator[int | None]:
    """Lock the job's folder until this process and its child process have ended; yields the lock's descriptor.

    Raises:
        RowError: if another process holds the lock.
    """
    if fcntl is None:
        yield None
        return
    path = job.folder.with_name(f"{job.folder.name}.lock")
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise RowError(f"Another process uses {job.folder}. Wait until it ends, or stop it.") from error
        yield descriptor
    finally:
        os.close(descriptor)
