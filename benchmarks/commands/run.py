"""`benchmarks run`: train and test every row of a benchmark with every seed, and keep the records. No torch."""

import argparse
import signal
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from benchmarks.records.parts import RecordError
from benchmarks.runs.filing import RowError, count_of_records, folder_lock, valid_records
from benchmarks.runs.job import Job
from benchmarks.runs.launchers.submit import add_arguments as add_launcher_arguments
from benchmarks.runs.launchers.submit import launch_jobs
from benchmarks.runs.runner import run_job
from benchmarks.runs.spec import BenchmarkSpec, read_benchmark
from benchmarks.utils.errors import UserError, unknown_name_error


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `benchmarks run`."""
    parser.add_argument("benchmark", help="a file of configs/benchmark, or its name")
    parser.add_argument(
        "--only", action="append", default=[], metavar="ROW", help="only this row or group of rows; may be repeated"
    )
    parser.add_argument("--seeds", metavar="0,1", help="only these seeds, instead of the benchmark's own")
    parser.add_argument("--dry-run", action="store_true", help="print what would run, and run nothing")
    parser.add_argument(
        "--accept-stale", action="store_true", help="also accept trainings and records of code that has changed since"
    )
    parser.add_argument("--runs", type=Path, default=Path("runs"), help="folder of checkpoints and logs")
    parser.add_argument("--results", type=Path, default=Path("benchmarks/results"), help="folder of committed records")
    add_launcher_arguments(parser)


def main(args: argparse.Namespace) -> int:
    """Run every row without a valid record; returns 1 if a row failed."""
    path = Path(args.benchmark)
    if not path.suffix and len(path.parts) == 1:
        path = Path("configs/benchmark") / f"{path}.yaml"
    spec = read_benchmark(path)
    jobs = _jobs(spec, args)
    if args.dry_run:
        for job in jobs:
            print(f"{job.name}: {_outlook(job, args.accept_stale)}")
        return 0
    outcomes: list[tuple[Job, str]] = []
    with _terminated_like_interrupted():
        if args.launcher:
            outcomes = launch_jobs(jobs, args)
        for number, job in enumerate([] if args.launcher else jobs, start=1):
            print(f"[{number}/{len(jobs)}] {job.name}", flush=True)
            start = time.monotonic()
            try:
                with folder_lock(job) as lock:
                    outcome = run_job(job, args.accept_stale, lock)
            except (RowError, RecordError, OSError) as error:
                print(f"{job.name} failed: {error}", file=sys.stderr, flush=True)
                outcome = "failed"
            outcomes.append((job, outcome))
            print(f"[{number}/{len(jobs)}] {job.name}: {outcome} ({time.monotonic() - start:.0f} s)", flush=True)
    counts = Counter(outcome for _, outcome in outcomes)
    failed = [job.name for job, outcome in outcomes if outcome == "failed"]
    print(f"{spec.name}: " + ", ".join(f"{count} {outcome}" for outcome, count in sorted(counts.items())) + ".")
    if spec.figure and not failed and not args.only:
        from benchmarks.figures.base import draw_figure  # draws with what it needs, torch and matplotlib

        for path in draw_figure(spec, jobs, args.runs / "figures" / spec.name):
            print(f"Look at {path}")
    if failed:
        print(f"Failed: {'; '.join(failed)}. Rerun the command to resume.", file=sys.stderr)
    return 1 if failed else 0


def _jobs(spec: BenchmarkSpec, args: argparse.Namespace) -> list[Job]:
    """The jobs in order: all rows of the first seed first, so that a whole table is there early."""
    rows = [row for row in spec.rows if row.experiment is not None]
    labels = {name for row in rows for name in (row.label, row.name, row.group) if name}
    without = {name for row in spec.rows if row.experiment is None for name in (row.label, row.name) if name} - labels
    for label in args.only:
        if label in without:
            raise UserError(
                f"{label} of {spec.name} names no experiment: the project has no such model, and the row shows "
                f"published numbers only. Rows that can run: {', '.join(sorted(labels))}."
            )
        if label not in labels:
            raise unknown_name_error(f"row in {spec.name}:", label, sorted(labels))
    try:
        seeds = [int(seed) for seed in args.seeds.split(",")] if args.seeds else spec.seeds
    except ValueError as error:
        raise UserError(
            f"--seeds must be whole numbers with commas between them, like 0,1; got {args.seeds}."
        ) from error
    jobs = [
        Job(spec, row, seed, args.runs, args.results)
        for index, seed in enumerate(seeds)
        for row in rows
        if (not args.only or {row.label, row.name, row.group} & set(args.only))
        and (index == 0 or not (row.scale or (row.checkpoint is not None and "{seed}" not in row.checkpoint)))
    ]
    for job in jobs:
        job.check()
    return jobs


def _outlook(job: Job, accept_stale: bool) -> str:
    found = valid_records(job, accept_stale)
    if found:
        return f"done, has {count_of_records(found)}"
    steps = [f"lightning {' '.join(stage.fit_command())}" for stage in job.stages.values()]
    steps += ["join"] if steps else []
    steps += [f"lightning {' '.join(job.fit_command())}"] if job.trains else []
    return ", then ".join([*steps, f"test on {job.spec.split}"])


@contextmanager
def _terminated_like_interrupted() -> Iterator[None]:
    """SIGTERM raises KeyboardInterrupt while rows run, so that it ends them like Ctrl-C."""

    def interrupt(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    old = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, old)
