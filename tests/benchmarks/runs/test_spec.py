"""Every spec in configs/benchmark: what it names is there, and what it asks can be made."""

from pathlib import Path

import pytest
from jsonargparse import ArgumentParser

from benchmarks.evaluation.callback import Evaluation
from benchmarks.figures.base import build_figure
from benchmarks.runs.job import Job
from benchmarks.runs.spec import read_benchmark

ROOT = Path(__file__).parents[3]
BENCHMARKS = sorted((ROOT / "configs" / "benchmark").glob("*.yaml"))


@pytest.fixture(scope="module")
def parser() -> ArgumentParser:
    parser = ArgumentParser(exit_on_error=False)
    parser.add_class_arguments(Evaluation, "evaluation")
    return parser


@pytest.mark.parametrize("path", BENCHMARKS, ids=lambda path: path.stem)
def test_a_plan_is_read(path: Path, parser: ArgumentParser, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its experiments and overrides are there, its figure can be made, and it measures what its columns name."""
    monkeypatch.chdir(ROOT)
    spec = read_benchmark(path)
    for row in spec.rows:
        if row.experiment is not None:
            Job(spec, row, 0, Path("runs"), Path("results")).check()
    if spec.figure is not None:
        build_figure(spec.figure)
    asked = {**spec.evaluation, "tasks": spec.tasks or [{"class_path": "benchmarks.evaluation.tasks.Generate"}]}
    evaluation = parser.instantiate(parser.parse_object({"evaluation": asked})).evaluation
    if "metrics" in spec.evaluation:
        assert [metric.name for metric in evaluation.metrics] == spec.metrics
