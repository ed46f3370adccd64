"""Scheduling: many jobs at once on this machine, a SLURM or a Ray cluster; records are copied back. Imports no torch.

A job is one `benchmarks run` of one row and seed, so the checkpoints of a lost worker are kept if
the folders are shared.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Protocol, runtime_checkable

from benchmarks.runs.launchers.worker import JobSpec, Outcome, write_files

State = Literal["waiting", "running", "done", "failed"]


@runtime_checkable
class Handle(Protocol):
    """A job that a backend has taken."""

    def poll(self) -> Outcome | bool:
        """The outcome when there is one; else whether the job is running, not still queueing."""
        ...

    def cancel(self) -> None:
        """Stop it."""
        ...


@runtime_checkable
class Backend(Protocol):
    """Where jobs run."""

    @property
    def capacity(self) -> int | None:
        """How many jobs are handed over at once; None: all, the backend has a queue of its own."""
        ...

    def submit(self, spec: JobSpec) -> Handle:
        """Take a job."""
        ...

    def close(self) -> None:
        """Release what was started for the backend."""
        ...


@dataclass
class JobProgress:
    """What is known of one job while the others run.

    Args:
        spec: what is asked.
        state: waiting, running, done or failed.
        started: when it began to run, on the monotonic clock.
        seconds: how long it ran, once it has ended.
        lost: how many workers were lost under it.
        outcome: how it ended.
    """

    spec: JobSpec
    state: State = "waiting"
    started: float | int | None = None
    seconds: float | int = 0.0
    lost: int = 0
    outcome: Outcome | None = None
    handle: Handle | None = field(default=None, repr=False)
    not_before: float | int = 0.0


def launch(
    specs: Sequence[JobSpec],
    backend: Backend,
    *,
    retries: int = 2,
    pause: float | int = 10.0,
    interval: float | int = 0.5,
    show: Callable[[Sequence[JobProgress]], None] = lambda _: None,
    home: Path = Path(),
) -> list[JobProgress]:
    """Run every job to its end; two jobs that share a folder never run at the same time.

    A job whose worker is lost (killed, its machine gone) is submitted again; one that fails is not. Any
    exception, Ctrl-C for one, cancels what runs.

    Args:
        specs: in order of preference.
        backend: where they run.
        retries: how often a job is submitted again after its worker was lost.
        pause: seconds before that, in which its remaining processes can end.
        interval: seconds between two looks.
        show: called at every look.
        home: the folder that the records' paths are relative to.
    """
    jobs = [JobProgress(spec) for spec in specs]
    try:
        while any(job.outcome is None for job in jobs):
            for job in jobs:
                if job.handle is not None:
                    _look(job, retries, pause, home)
            _hand_over(jobs, backend)
            show(jobs)
            if any(job.outcome is None for job in jobs):
                time.sleep(interval)
    finally:
        for job in jobs:
            if job.handle is not None:
                job.handle.cancel()
        backend.close()
    return jobs


def _hand_over(jobs: Sequence[JobProgress], backend: Backend) -> None:
    active = [job for job in jobs if job.handle is not None]
    busy = {folder for job in active for folder in job.spec.folders}
    for job in jobs:
        if backend.capacity is not None and len(active) >= backend.capacity:
            return
        ready = job.handle is None and job.outcome is None and time.monotonic() >= job.not_before
        if ready and busy.isdisjoint(job.spec.folders):
            job.handle = backend.submit(job.spec)
            active.append(job)
            busy.update(job.spec.folders)


def _look(job: JobProgress, retries: int, pause: float | int, home: Path) -> None:
    assert job.handle is not None
    found, now = job.handle.poll(), time.monotonic()
    if not isinstance(found, Outcome):
        if found and job.state == "waiting":
            job.state, job.started = "running", now
        return
    job.handle = None
    job.seconds = now - job.started if job.started is not None else 0.0
    if found.lost and job.lost < retries:
        job.lost += 1
        job.state, job.started, job.not_before = "waiting", None, now + pause
        return
    write_files(found.files, home)
    job.outcome, job.state = found, "done" if found.code == 0 and not found.lost else "failed"
