"""`benchmarks run --launcher`: the rows and seeds of a benchmark as jobs of a backend. Imports no torch."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks.runs.job import Job
from benchmarks.runs.launchers.backends import NAMES, backend
from benchmarks.runs.launchers.scheduler import launch
from benchmarks.runs.launchers.status_table import LiveTable
from benchmarks.runs.launchers.worker import JobSpec
from benchmarks.utils.hashing import slug


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `benchmarks run` that are about backends."""
    parser.add_argument("--launcher", choices=NAMES, help="many rows at a time: here, on SLURM or on a Ray cluster")
    parser.add_argument(
        "--launcher-option",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="such as workers=4 (local), slurm_partition=gpu (slurm), address=auto (ray); may be repeated",
    )


def launch_jobs(jobs: Sequence[Job], args: argparse.Namespace) -> list[tuple[Job, str]]:
    """Run each job by the backend of `--launcher`, under one live table; returns how each ended, done or failed."""
    specs = {job.name: job_spec_of(job, args) for job in jobs}
    metrics = jobs[0].spec.metrics if jobs else []
    table = LiveTable({job.name: trainings_of(job) for job in jobs}, metrics[0] if metrics else None)
    taken = backend(args.launcher, args.launcher_option, args.runs / "launched")
    with table:
        ended = launch(list(specs.values()), taken, show=table.show)
    for progress in ended:
        if progress.state == "failed" and progress.outcome is not None:
            print(f"{progress.spec.name} failed: {progress.outcome.tail.rstrip()}", file=sys.stderr, flush=True)
    return [(job, progress.state) for job, progress in zip(jobs, ended, strict=True)]


def trainings_of(job: Job) -> list[Path]:
    """The folders with a job's `progress.json`: a joined row's stages in order, else the row's own."""
    return [stage.folder for stage in job.stages.values()] or [job.folder]


def job_spec_of(job: Job, args: argparse.Namespace) -> JobSpec:
    """The command that runs one job alone, and the files it copies back."""
    words = ["run", str(args.benchmark), f"--only={job.row.name}", f"--seeds={job.seed}"]
    words += [f"--runs={job.runs}", f"--results={job.results}"]
    words += ["--accept-stale"] if args.accept_stale else []
    folders = {str(job.folder), *(str(stage.folder) for stage in job.stages.values())}
    here = Path(job.results)
    brought = () if here.is_absolute() else (f"{here / job.spec.name}/{slug(job.row.label)}-s{job.seed}-*",)
    return JobSpec(job.name, tuple(words), frozenset(folders), brought)
