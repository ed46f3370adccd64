"""Runner: trains and tests one row with one seed in `lightning` processes of its own. Imports no torch.

Each row is a process: a row that fails does not stop the others, and a killed run loses only the training since its
last checkpoint.
"""

import json
import subprocess
import sys
from collections import deque
from collections.abc import Sequence
from dataclasses import asdict

from benchmarks.records.clip_scores import beside
from benchmarks.records.provenance import Code
from benchmarks.records.record import read_record
from benchmarks.runs.filing import (
    RowError,
    collect_records,
    count_of_records,
    folder_lock,
    move_aside,
    valid_records,
)
from benchmarks.runs.job import Job
from benchmarks.runs.standing import retired_because
from datamodules.files import write_text
from lightning_modules.checkpoints.ending import training_finished

LIGHTNING = (sys.executable, "-c", "from benchmarks.cli import lightning; lightning()")
"""The `lightning` command of this installation."""

JOIN = (sys.executable, "-m", "benchmarks.runs.join_stages")
"""Joins two checkpoints: `motion video out`."""

_TAIL = 12


def run_job(job: Job, accept_stale: bool, lock: int | None) -> str:
    """Train and test one row, or skip it if it has valid records; returns "done" or "skipped".

    Args:
        job: the row and seed.
        accept_stale: keep what was trained or recorded by code that has changed since.
        lock: the descriptor of the folder's lock, which the child process inherits.

    Raises:
        RowError: if training or testing failed.
    """
    marker = job.evaluation_folder / "done"
    if marker.is_file() and marker.read_text(encoding="utf-8") == job.request:
        collect_records(job, accept_stale)
    if found := valid_records(job, accept_stale):
        print(f"  has {count_of_records(found)}: skipped", flush=True)
        return "skipped"
    for stage in job.stages.values():
        with folder_lock(stage) as own:
            print(f"  {stage.row.label}:", flush=True)
            _train(stage, accept_stale, own)
    if job.stages:
        _join(job)
    if job.trains:
        _train(job, accept_stale, lock)
    marker.unlink(missing_ok=True)
    for old in job.evaluation_folder.glob("record*.json"):
        old.unlink()
        beside(old).unlink(missing_ok=True)
    _lightning(job, "test", job.test_command(), lock)
    write_text(marker, job.request)
    found = [read_record(path) for path in sorted(job.evaluation_folder.glob("record*.json"))]
    if not found:
        print("  no record: the model supports none of the tasks", flush=True)
    elif not collect_records(job, accept_stale=True):
        why = sorted({reason for record in found if (reason := retired_because(record, job.row))})
        raise RowError(f"Its records are no results, so they are not filed: {'; '.join(why)}.")
    return "done"


def _train(job: Job, accept_stale: bool, lock: int | None) -> None:
    """Train to the end; resume from the last checkpoint if settings and code are unchanged."""
    path = job.folder / "training.json"
    state = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else None
    code = job.training_code
    reason = ""
    if state is not None and state["request"] != job.training_request:
        reason = "its settings have changed"
    elif state is not None and not accept_stale and (changed := Code(**state["code"]).difference(code)):
        reason = f"{changed}; --accept-stale would keep it"
    if reason:
        moved = move_aside(job)
        print(f"  training from scratch because {reason}; the old run was moved to {moved}", flush=True)
        state = None
    if state is not None and _ended(job, state["finished"]):
        print("  already trained", flush=True)
        return
    state = state or {"request": job.training_request, "code": asdict(code)}
    write_text(path, json.dumps({**state, "finished": False}, indent=1))
    last = job.trained_checkpoint("last")
    print(f"  training{f', from {last}' if last else ''}", flush=True)
    _lightning(job, "fit", job.fit_command(), lock)
    if job.trained_checkpoint("last") is None:
        raise RowError(f"`lightning fit` succeeded but left no last.ckpt in {job.folder}.")
    if not _ended(job, False):
        raise RowError(
            f"The training in {job.folder} stopped before its epochs, updates or seconds were reached. Rerun the "
            "command to continue it."
        )
    write_text(path, json.dumps({**state, "finished": True}, indent=1))


def _ended(job: Job, otherwise: bool) -> bool:
    """Whether the training reached its end, as its last checkpoint says; `otherwise` where that does not say."""
    last = job.trained_checkpoint("last")
    if last is None:
        return False
    found = training_finished(last)
    return otherwise if found is None else found


def _join(job: Job) -> None:
    """Join the networks of the two stages, in a process of its own."""
    stages = [str(stage.trained_checkpoint("last")) for stage in job.stages.values()]
    done = subprocess.run([*JOIN, *stages, str(job.joined)], stderr=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        raise RowError(f"The stages could not be joined: {done.stderr.strip()}")


def _lightning(job: Job, step: str, words: Sequence[str], lock: int | None) -> None:
    """Run `lightning`; its standard error also goes to a log, whose last lines are shown if it fails."""
    log = job.folder / f"{step}.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    tail: deque[str] = deque(maxlen=_TAIL)
    with log.open("a", encoding="utf-8") as file, start_lightning(words, lock) as child:
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
        raise RowError(f"`lightning {step}` {how}. The log is {log}; its last lines:\n{''.join(tail).rstrip()}")


def start_lightning(words: Sequence[str], lock: int | None) -> "subprocess.Popen[str]":
    """The command, running; it holds the lock too, because it may outlive a killed parent."""
    return subprocess.Popen(
        [*LIGHTNING, *words],
        stderr=subprocess.PIPE,
        text=True,
        encoding="utf-8",
        errors="replace",
        pass_fds=() if lock is None else (lock,),
    )


def _stop(child: "subprocess.Popen[str]") -> None:
    child.terminate()
    try:
        child.wait(timeout=20.0)
    except subprocess.TimeoutExpired:
        child.kill()
