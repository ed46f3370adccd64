"""Worker processes that measure on command, over pipes. Imports no torch."""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any

from benchmarks.utils.errors import UserError

Report = dict[str, Any]


class Pipe:
    """The parent's end of the pipe to a worker process."""

    def __init__(self, process: "subprocess.Popen[str]", errors: Any) -> None:
        assert process.stdin is not None
        assert process.stdout is not None
        self.process, self.stdin, self.stdout, self.errors = process, process.stdin, process.stdout, errors

    def send(self, line: str) -> None:
        """Send one line."""
        try:
            self.stdin.write(line + "\n")
            self.stdin.flush()
        except BrokenPipeError as error:
            raise self._failure() from error

    def call(self, command: str) -> Report:
        """Send a command; returns the reply."""
        self.send(command)
        line = self.stdout.readline()
        if not line:
            raise self._failure()
        reply: Report = json.loads(line)
        if "error" in reply:
            raise UserError(reply["error"])
        return reply

    def _failure(self) -> UserError:
        self.process.wait()
        self.errors.seek(0)
        tail = "\n".join(self.errors.read().splitlines()[-15:])
        return UserError(
            f"The measuring process ended early (exit code {self.process.returncode}). Its last output:\n{tail}"
        )


@contextmanager
def process(module: str, spec: Mapping[str, Any], threads: int, path: str | None = None) -> Iterator[Pipe]:
    """A new Python process with a pipe; its output is shown only if it fails."""
    environment = {**os.environ, "OMP_NUM_THREADS": str(threads)}
    folders = [path, os.environ.get("PYTHONPATH")]
    environment["PYTHONPATH"] = os.pathsep.join(folder for folder in folders if folder)
    with (
        tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as errors,
        subprocess.Popen(
            [sys.executable, "-m", module],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            env=environment,
        ) as measuring,
    ):
        pipe = Pipe(measuring, errors)
        try:
            pipe.send(json.dumps(dict(spec), default=str))
            yield pipe
        finally:
            measuring.kill()
            with suppress(BrokenPipeError):  # it has ended by itself, with a command still in the pipe
                pipe.stdin.close()
