"""`benchmarks run`: trains and tests every row of a benchmark with every seed, and keeps the records. Imports no torch.

Each row is a `lightning` process of its own: whatever happens to it, the others go on, and a run that is killed loses
no more than what its training did since its last checkpoint.
"""

import argparse
import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter, deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from benchmarks.canonical import write_text
from benchmarks.forked import Forked
from benchmarks.job import Job
from benchmarks.launching.plan import add_arguments as add_launcher_arguments
from benchmarks.launching.plan import launch_jobs
from benchmarks.plan import Plan, read_plan
from benchmarks.records.clip_scores import beside, copy_per_clip
from benchmarks.records.record import Record, RecordError, read_record
from benchmarks.utils.errors import UserError, unknown_name_error

try:
    import fcntl
except ImportError:  # Windows: nothing keeps two runs off one folder there
    fcntl = None  # type: ignore[assignment]

LIGHTNING = (sys.executable, "-c", "from benchmarks.cli import lightning; lightning()")
"""The `lightning` command of this very installation."""

JOIN = (sys.executable, "-m", "benchmarks.joining")
"""Joins two checkpoints to one: `motion video out`."""

_TAIL = 12


class RowError(Exception):
    """A row could not be done; the others go on."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `benchmarks run`."""
    parser.add_argument("plan", help="a file of configs/benchmark, or its name")
    parser.add_argument(
        "--only", action="append", default=[], metavar="ROW", help="only this row or group of rows; may be repeated"
    )
    parser.add_argument("--seeds", metavar="0,1", help="only these seeds, instead of the benchmark's own")
    parser.add_argument("--dry-run", action="store_true", help="say what would be run and run nothing")
    parser.add_argument(
        "--accept-stale", action="store_true", help="keep what was trained or recorded by code that has changed since"
    )
    parser.add_argument(
        "--fork", action="store_true", help="start rows as copies of this process: faster for many short ones on a CPU"
    )
    parser.add_argument("--runs", type=Path, default=Path("runs"), help="folder of checkpoints and logs")
    parser.add_argument("--results", type=Path, default=Path("benchmarks/results"), help="folder of committed records")
    add_launcher_arguments(parser)


def main(args: argparse.Namespace) -> int:
    """Run what has no valid record yet; returns 1 if any row is left without one."""
    named = Path(args.plan)
    plan = read_plan(named if named.suffix or len(named.parts) > 1 else Path("configs/benchmark") / f"{named}.yaml")
    jobs = _jobs(plan, args)
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
                with _lock(job) as lock:
                    outcome = _run(job, args.accept_stale, lock, args.fork)
            except (RowError, RecordError, OSError) as error:
                print(f"{job.name} failed: {error}", file=sys.stderr, flush=True)
                outcome = "failed"
            outcomes.append((job, outcome))
            print(f"[{number}/{len(jobs)}] {job.name}: {outcome} ({time.monotonic() - start:.0f} s)", flush=True)
    counts = Counter(outcome for _, outcome in outcomes)
    failed = [job.name for job, outcome in outcomes if outcome == "failed"]
    print(f"{plan.name}: " + ", ".join(f"{count} {outcome}" for outcome, count in sorted(counts.items())) + ".")
    if plan.figure and not failed and not args.only:
        from benchmarks.figures.base import draw_figure  # draws with what it needs, torch and matplotlib

        for path in draw_figure(plan, jobs, args.runs / "figures" / plan.name):
            print(f"Look at {path}")
    if failed:
        print(f"Failed: {'; '.join(failed)}. Run the same command again to go on where they stopped.", file=sys.stderr)
    return 1 if failed else 0


def _jobs(plan: Plan, args: argparse.Namespace) -> list[Job]:
    """What is asked for, seed by seed, so that the first seed soon gives a whole table."""
    rows = [row for row in plan.rows if row.experiment is not None]
    labels = {name for row in rows for name in (row.label, row.name, row.group) if name}
    without = {name for row in plan.rows if row.experiment is None for name in (row.label, row.name) if name} - labels
    for label in args.only:
        if label in without:
            raise UserError(
                f"{label} of {plan.name} names no experiment: the project has no such model yet, so the row stands "
                f"with its published numbers alone. Rows to run: {', '.join(sorted(labels))}."
            )
        if label not in labels:
            raise unknown_name_error(f"row in {plan.name}:", label, sorted(labels))
    try:
        seeds = [int(seed) for seed in args.seeds.split(",")] if args.seeds else plan.seeds
    except ValueError as error:
        raise UserError(
            f"--seeds must be whole numbers with commas between them, like 0,1; got {args.seeds}."
        ) from error
    jobs = [
        Job(plan, row, seed, args.runs, args.results)
        for index, seed in enumerate(seeds)
        for row in rows
        if (not args.only or {row.label, row.name, row.group} & set(args.only))
        and (index == 0 or row.checkpoint is None or "{seed}" in row.checkpoint)
    ]
    for job in jobs:
        job.check()
    return jobs


def _outlook(job: Job, accept_stale: bool) -> str:
    found = _valid_records(job, accept_stale)
    if found:
        return f"done, has {_count(found)}"
    steps = [f"lightning {' '.join(stage.fit_command())}" for stage in job.stages.values()]
    steps += ["join"] if steps else []
    steps += [f"lightning {' '.join(job.fit_command())}"] if job.trains else []
    return ", then ".join([*steps, f"test on {job.plan.split}"])


def _run(job: Job, accept_stale: bool, lock: int | None, fork: bool) -> str:
    marker = job.exam_folder / "done"
    if marker.is_file() and marker.read_text(encoding="utf-8") == job.request:
        _collect(job, accept_stale)
    if found := _valid_records(job, accept_stale):
        print(f"  has {_count(found)}: skipped", flush=True)
        return "skipped"
    for stage in job.stages.values():
        with _lock(stage) as own:
            print(f"  {stage.row.label}:", flush=True)
            _train(stage, accept_stale, own, fork)
    if job.stages:
        _join(job)
    if job.trains:
        _train(job, accept_stale, lock, fork)
    marker.unlink(missing_ok=True)
    for old in job.exam_folder.glob("record*.json"):
        old.unlink()
        beside(old).unlink(missing_ok=True)
    _lightning(job, "test", job.test_command(), lock, fork)
    write_text(marker, job.request)
    if not _collect(job, accept_stale=True):
        print("  wrote no record: the model answers none of the tasks", flush=True)
    return "done"


def _train(job: Job, accept_stale: bool, lock: int | None, fork: bool) -> None:
    """Train to the end, from the last checkpoint if what it was trained with is what is asked for now."""
    path = job.folder / "training.json"
    state = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else None
    code = job.training_code
    reason = ""
    if state is not None and state["request"] != job.training_request:
        reason = "its settings have changed"
    elif state is not None and state["code"] != code and not accept_stale:
        changed = sorted(file for file in {**code, **state["code"]} if code.get(file) != state["code"].get(file))
        reason = f"its code has changed ({', '.join(changed[:4])}{', ...' if len(changed) > 4 else ''})"
        reason += "; --accept-stale would keep it"
    if reason:
        aside = _free_name(job.folder)
        job.folder.rename(aside)
        print(f"  training anew, because {reason}; the old run is now {aside}", flush=True)
        state = None
    if state is not None and state["finished"] and job.trained_checkpoint("last"):
        print("  is trained already", flush=True)
        return
    state = state or {"request": job.training_request, "code": code}
    write_text(path, json.dumps({**state, "finished": False}, indent=1))
    last = job.trained_checkpoint("last")
    print(f"  training{f', from {last}' if last else ''}", flush=True)
    _lightning(job, "fit", job.fit_command(), lock, fork)
    if job.trained_checkpoint("last") is None:
        raise RowError(f"`lightning fit` ended well but left no last.ckpt below {job.folder}.")
    write_text(path, json.dumps({**state, "finished": True}, indent=1))


def _join(job: Job) -> None:
    """Make one network of the two stages', in a process of its own."""
    stages = [str(stage.trained_checkpoint("last")) for stage in job.stages.values()]
    done = subprocess.run([*JOIN, *stages, str(job.joined)], stderr=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        raise RowError(f"The stages could not be joined: {done.stderr.strip()}")


def _lightning(job: Job, step: str, words: Sequence[str], lock: int | None, fork: bool) -> None:
    """Run `lightning`; what it says as errors also goes to a log, whose end is shown if it fails."""
    log = job.folder / f"{step}.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    tail: deque[str] = deque(maxlen=_TAIL)
    with log.open("a", encoding="utf-8") as file, _started(words, lock, fork) as child:
        file.write(f"$ lightning {' '.join(words)}\n")
        try:
            for line in child.stderr or ():
                sys.stderr.write(line)
                file.write(line)
                file.flush()
                tail.append(line)
            code = child.wait()
        except BaseException:
            _stop(child)
            raise
    if code:
        how = f"was killed by signal {-code}" if code < 0 else f"ended with code {code}"
        raise RowError(f"`lightning {step}` {how}. The whole log is {log}; its end:\n{''.join(tail).rstrip()}")


def _started(words: Sequence[str], lock: int | None, fork: bool) -> "subprocess.Popen[str] | Forked":
    """The command, running; it holds the lock too, because it may outlive a killed parent."""
    if fork:
        return Forked(words)
    return subprocess.Popen(
        [*LIGHTNING, *words],
        stderr=subprocess.PIPE,
        text=True,
        encoding="utf-8",
        errors="replace",
        pass_fds=() if lock is None else (lock,),
    )


def _stop(child: "subprocess.Popen[str] | Forked") -> None:
    child.terminate()
    try:
        child.wait(timeout=20.0)
    except subprocess.TimeoutExpired:
        child.kill()


def _collect(job: Job, accept_stale: bool) -> list[Path]:
    """Copy the exam's records to the results, in the place of those they supersede."""
    found = {path: read_record(path) for path in sorted(job.exam_folder.glob("record*.json"))}
    if not accept_stale and any(record.stale for record in found.values()):
        return []
    folder = job.results / job.plan.name
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


def _valid_records(job: Job, accept_stale: bool) -> list[Record]:
    """The row's records of exactly what is asked for, by the code as it is now."""
    records = [record for record in job.filed().values() if record.request == job.request]
    return [] if any(record.stale for record in records) and not accept_stale else records


def _count(records: Sequence[Record]) -> str:
    return f"{len(records)} valid record{'s' if len(records) != 1 else ''}"


def _free_name(folder: Path) -> Path:
    number = 1
    while (aside := folder.with_name(f"{folder.name}.old-{number}")).exists():
        number += 1
    return aside


@contextmanager
def _lock(job: Job) -> Iterator[int | None]:
    """Keep other runs off the job's folder, until this process and the one it started have ended."""
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
            raise RowError(f"Another process is working in {job.folder}. Wait for it, or stop it.") from error
        yield descriptor
    finally:
        os.close(descriptor)


@contextmanager
def _terminated_like_interrupted() -> Iterator[None]:
    """While rows run, SIGTERM ends them as cleanly as Ctrl-C."""

    def interrupt(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    old = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, old)
