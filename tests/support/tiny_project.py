"""A project of one benchmark and two rows, one trained and one not, whose `lightning` command is a stand-in."""

import os
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from benchmarks.records import provenance

STUB = Path(__file__).with_name("stub_lightning.py")
"""A script that counts to ten instead of training."""

PYTHONPATH = os.pathsep.join([str(provenance.ROOT), str(STUB.parents[1])])
"""Where a process finds the packages, and what tests share."""

BENCHMARK = """
title: Tiny
seeds: [0, 1]
tasks: [{class_path: benchmarks.evaluation.tasks.Predict}, {class_path: benchmarks.evaluation.tasks.Interpolate}]
rows:
  - {label: Learns, experiment: shapes/learns}
  - {label: Repeats, experiment: shapes/repeats}
"""

FILES = {
    "configs/benchmark/tiny.yaml": BENCHMARK,
    "configs/model/learns.yaml": "{class_path: baselines.constant.Constant, init_args: {value: mean}}",
    "configs/experiment/shapes/learns.yaml": "model: ../../model/learns.yaml",
    "configs/experiment/shapes/repeats.yaml": "model: {class_path: baselines.repeat_last.RepeatLast}",
    "configs/smoke/learns.yaml": "trainer: {max_epochs: 1}",
}

Run = Callable[..., int]
"""`benchmarks run` on the tiny benchmark, with the given options; returns the exit code."""


def write_files(files: Mapping[str, str]) -> None:
    """Write each text to its path under the working folder."""
    for name, text in files.items():
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).write_text(text)


def enter_project(folder: Path, monkeypatch: pytest.MonkeyPatch, files: Mapping[str, str]) -> None:
    """Make `folder` the working folder, write the files there, and let processes find the packages."""
    monkeypatch.chdir(folder)
    monkeypatch.setenv("PYTHONPATH", PYTHONPATH)
    write_files(files)


def stub_command() -> tuple[str, str]:
    """The words that stand in for `lightning`."""
    return sys.executable, str(STUB)


def calls() -> list[str]:
    """The calls of `lightning` since the last look."""
    path = Path("calls.txt")
    lines = path.read_text().splitlines() if path.is_file() else []
    path.unlink(missing_ok=True)
    return lines
