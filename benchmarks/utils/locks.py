"""Locks of folders: one process at a time, by a file that the system unlocks when the process dies. Imports no torch.

The rule: a lock is held by a living process, never by a file that is left over. Between machines it holds as far as
the file system's own locks do: on NFS with a lock service it does; where there are no locks, nothing is locked and a
line says so.
"""

import os
import platform
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

try:
    import fcntl
except ImportError:  # on Windows folders are not locked
    fcntl = None  # type: ignore[assignment]

NAME = ".fit.lock"
"""The file in a run's folder that `lightning fit` locks."""


class LockedError(Exception):
    """Another process holds the lock; the message says which, as far as it is known."""


@contextmanager
def locked(path: Path) -> Iterator[int | None]:
    """Hold the lock of a file, which is made if there is none; yields its descriptor, for child processes to inherit.

    Raises:
        LockedError: if another process holds it.
    """
    if fcntl is None:
        yield None
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise LockedError(_holder(path)) from error
        except OSError as error:
            print(
                f"{path.parent} cannot be locked ({error.strerror}): run one process in it at a time.", file=sys.stderr
            )
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, _me().encode(), 0)
        yield descriptor
    finally:
        os.close(descriptor)


def _me() -> str:
    return f"process {os.getpid()} on {platform.node() or 'this machine'}, since {datetime.now(UTC):%Y-%m-%d %H:%M} UTC"


def _holder(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8").strip() or "another process"
    except OSError:
        return "another process"
