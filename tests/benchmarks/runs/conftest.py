"""`benchmarks run` in the tiny project."""

from pathlib import Path

import pytest

from benchmarks.cli import benchmarks
from benchmarks.runs import runner
from support.tiny_project import FILES, Run, enter_project, stub_command


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """`benchmarks run` in a small project whose `lightning` is the stub."""
    enter_project(tmp_path, monkeypatch, FILES)
    monkeypatch.setattr(runner, "LIGHTNING", stub_command())

    def call(*options: str) -> int:
        with pytest.raises(SystemExit) as caught:
            benchmarks(["run", "configs/benchmark/tiny.yaml", *options])
        return int(str(caught.value.code))

    return call
