"""JobSpec: what a launched job is, and what its worker does. Imports no torch."""

import ctypes
import os
import signal
import subprocess
import sys
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from benchmarks.utils.errors import UserError
from datamodules.files import atomic_path

_TAIL = 20
CHILD = (sys.executable, "-c", "from benchmarks.runs.launchers.worker import child; child()")
"""A `benchmarks` command of this very installation that ends with the worker that started it."""


@dataclass(frozen=True)
class JobSpec:
    """One job: a `benchmarks` command, and what is to be brought home.

    Args:
        name: how tables and messages call it.
        words: after `benchmarks`.
        folders: where it writes; no two jobs spec in one folder at a time.
        collect: patterns of the files to bring home, relative to the working folder.
        environment: variables to set.
    """

    name: str
    words: tuple[str, ...]
    folders: frozenset[str] = frozenset()
    collect: tuple[str, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)


class Artifact(NamedTuple):
    """A file that a job brings home: its bytes, and when it was written (Unix seconds)."""

    content: bytes
    time: float


@dataclass(frozen=True)
class Outcome:
    """How a job ended.

    Args:
        code: of its process; 0 is good.
        tail: the last lines that it said as errors.
        files: what it brings home, by path relative to the working folder.
        lost: whether the worker was lost, so that another might do the job.
    """

    code: int
    tail: str = ""
    files: Mapping[str, Artifact] = field(default_factory=dict)
    lost: bool = False


def perform(
    spec: JobSpec,
    folder: str,
    command: Sequence[str] = CHILD,
    started: Callable[["subprocess.Popen[str]"], None] = lambda _: None,
) -> Outcome:
    """Do a job in the working folder `folder`; a process that is killed counts as a lost worker."""
    tail: deque[str] = deque(maxlen=_TAIL)
    environment = {**os.environ, **spec.environment}
    with subprocess.Popen(
        [*command, *spec.words],
        cwd=folder,
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        encoding="utf-8",
        errors="replace",
    ) as process:
        started(process)
        tail.extend(process.stderr or ())
    code = process.returncode
    return Outcome(code, "".join(tail), _files(spec, Path(folder)), lost=code < 0)


def child() -> None:
    """`benchmarks`, asked to end by the system (Linux) when the worker above it dies."""
    from benchmarks.cli import benchmarks

    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGTERM)  # PR_SET_PDEATHSIG
    benchmarks()


def write_files(files: Mapping[str, Artifact], home: Path) -> list[Path]:
    """Write what is not there yet or is older, each file whole or not at all; returns the paths written.

    Where home is the folder that the worker worked in, there is nothing to write.

    Raises:
        UserError: for a path that leads out of `home`.
    """
    written = []
    for name, (content, moment) in files.items():
        path = home / name
        if not path.resolve().is_relative_to(home.resolve()):
            raise UserError(f"A job brought a file with the path '{name}', which leads out of {home}. It is refused.")
        if path.is_file() and path.stat().st_mtime >= moment:
            continue
        with atomic_path(path) as temporary:
            temporary.write_bytes(content)
            os.utime(temporary, (moment, moment))
        written.append(path)
    return written


def _files(spec: JobSpec, folder: Path) -> dict[str, Artifact]:
    found = (path for pattern in spec.collect for path in sorted(folder.glob(pattern)) if path.is_file())
    return {path.relative_to(folder).as_posix(): Artifact(path.read_bytes(), path.stat().st_mtime) for path in found}
