"""Filing of a job's files: its valid records, their copies among the results, its folder's lock."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from benchmarks.records.clip_scores import beside, copy_per_clip
from benchmarks.records.record import Record, read_record
from benchmarks.runs.job import Job
from benchmarks.runs.standing import STALE, retired_because
from benchmarks.utils.locks import NAME, LockedError, locked


class RowError(Exception):
    """A row failed; the other rows still run."""


def valid_records(job: Job, accept_stale: bool) -> list[Record]:
    """The row's records of this request, if all of them are results: see `standing`.

    Those of older code are accepted too with `accept_stale`.
    """
    records = [record for record in job.filed().values() if record.request == job.request]
    return records if all(_counts(job, record, accept_stale) for record in records) else []


def collect_records(job: Job, accept_stale: bool) -> list[Path]:
    """Copy the evaluation's records to the results and delete those that they replace; returns the paths."""
    found = {path: read_record(path) for path in sorted(job.evaluation_folder.glob("record*.json"))}
    if not all(_counts(job, record, accept_stale) for record in found.values()):
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


def _counts(job: Job, record: Record, accept_stale: bool) -> bool:
    why = retired_because(record, job.row)
    return why is None or (accept_stale and why == STALE)


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
    try:
        with locked(job.folder.with_name(f"{job.folder.name}.lock")) as descriptor:
            yield descriptor
    except LockedError as error:
        raise RowError(f"Another process uses {job.folder} ({error}). Wait until it ends, or stop it.") from error


def move_aside(job: Job) -> Path:
    """Rename the job's folder, in which a training of other settings or code lies; returns where it is now.

    Raises:
        RowError: if a training is running in it.
    """
    moved = unused_folder(job.folder)
    try:
        with locked(job.folder / NAME):
            job.folder.rename(moved)
    except LockedError as error:
        raise RowError(f"`lightning fit` runs in {job.folder} ({error}). Wait until it ends, or stop it.") from error
    return moved
