"""Pipes: a fresh python that measures when it is told to, a word at a time. Imports no torch."""

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
    """A process that measures when it is told to."""

    def __init__(self, process: "subprocess.Popen[str]", errors: Any) -> None:
        assert process.stdin is not None
        assert process.stdout is not None
        self.process, self.stdin, self.stdout, self.errors = process, process.stdin, process.stdout, errors

    def send(self, line: str) -> None:
        """Tell it something."""
        try:
            self.stdin.write(line + "\n")
            self.stdin.flush()
        except BrokenPipeError as error:
            raise self._failure() from error

    def ask(self, word: str) -> Report:
        """Send the word; the answer."""
        self.send(word)
        line = self.stdout.readline()
        if not line:
            raise self._failure()
        answer: Report = json.loads(line)
        if "error" in answer:
            raise UserError(answer["error"])
        return answer

    def _failure(self) -> UserError:
        self.process.wait()
        self.errors.seek(0)
        tail = "\n".join(self.errors.read().splitlines()[-15:])
        return UserError(
            f"The measuring process ended early (exit code {self.process.returncode}). Its last words:\n{tail}"
        )


@contextmanager
def process(module: str, spec: Mapping[str, Any], threads: int, path: str | None = None) -> Iterator[Pipe]:
    """A fresh python that answers over its pipes; what it prints is shown only if it fails."""
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
            with suppress(BrokenPipeError):  # it ended by itself, with a word still under way
                pipe.stdin.close()
