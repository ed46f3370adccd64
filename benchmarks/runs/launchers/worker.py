"""What a launched job is, and how its worker runs it. Imports no torch."""

import os
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
CHILD = (sys.executable, "-c", "from benchmarks.cli import child; child()")
"""The `benchmarks` command of this installation, which ends when its worker ends."""


@dataclass(frozen=True)
class JobSpec:
    """One job: a `benchmarks` command, and the files to copy back.

    Args:
        name: in tables and messages.
        words: after `benchmarks`.
        folders: where it writes; no two jobs spec in one folder at a time.
        collect: patterns of the files to copy back, relative to the working folder.
        environment: variables to set.
    """

    name: str
    words: tuple[str, ...]
    folders: frozenset[str] = frozenset()
    collect: tuple[str, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)


class Artifact(NamedTuple):
    """A file that a job copies back: its bytes, and its time of writing (Unix seconds)."""

    content: bytes
    time: float


@dataclass(frozen=True)
class Outcome:
    """How a job ended.

    Args:
        code: exit code of its process; 0 is success.
        tail: the last lines of its standard error.
        files: what it copies back, by path relative to the working folder.
        lost: whether the worker was lost; the job can then be submitted again.
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
    """Run a job in the working folder `folder`; a killed process counts as a lost worker."""
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


def write_files(files: Mapping[str, Artifact], home: Path) -> list[Path]:
    """Write each file atomically unless it exists and is as new; returns the paths written.

    Nothing is written if the worker shares the folder.

    Raises:
        UserError: for a path outside of `home`.
    """
    written = []
    for name, (content, moment) in files.items():
        path = home / name
        if not path.resolve().is_relative_to(home.resolve()):
            raise UserError(
                f"A job returned a file with the path '{name}', which is outside of {home}; it is not written."
            )
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
