"""Forked: a `lightning` command in a copy of this process, which has everything imported; for many short rows."""

import os
import signal
import sys
from collections.abc import Callable, Sequence
from subprocess import TimeoutExpired
from time import monotonic, sleep
from types import TracebackType
from typing import NoReturn, TextIO


class Forked:
    """What `subprocess.Popen` is to a program, to the `lightning` command, without its ten seconds of imports.

    Linux only, and for training on CPUs: a copy of a process cannot take over its GPU.

    Args:
        words: what stands after `lightning`.
    """

    stderr: TextIO

    def __init__(self, words: Sequence[str]) -> None:
        from benchmarks.lightning_cli import main  # before the fork: every child has it

        sys.stdout.flush()
        sys.stderr.flush()
        reading, writing = os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            _run(main, list(words), reading, writing)
        os.close(writing)
        self.stderr = os.fdopen(reading, encoding="utf-8", errors="replace")
        self.returncode: int | None = None

    def __enter__(self) -> "Forked":
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.stderr.close()
        self.wait()

    def wait(self, timeout: float | None = None) -> int:
        """The exit code, or minus the signal's number; raises TimeoutExpired."""
        end = None if timeout is None else monotonic() + timeout
        while self.returncode is None:
            pid, status = os.waitpid(self.pid, 0 if end is None else os.WNOHANG)
            if pid:
                self.returncode = os.waitstatus_to_exitcode(status)
            elif end is not None and monotonic() > end:
                raise TimeoutExpired("lightning", timeout or 0)
            else:
                sleep(0.05)
        return self.returncode

    def terminate(self) -> None:
        """Ask it to end."""
        self._signal(signal.SIGTERM)

    def kill(self) -> None:
        """End it."""
        self._signal(signal.SIGKILL)

    def _signal(self, number: int) -> None:
        if self.returncode is None:
            os.kill(self.pid, number)


def _run(main: Callable[[list[str]], int], words: list[str], reading: int, writing: int) -> NoReturn:
    """The child's whole life."""
    code = 1
    try:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        os.close(reading)
        os.dup2(writing, 2)
        sys.argv = ["lightning", *words]
        code = main(words)
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 1
    except BaseException:
        import traceback

        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
