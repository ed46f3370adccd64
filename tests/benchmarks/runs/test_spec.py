"""Every plan in configs/benchmark: what it names is there, and what it asks can be made."""

from pathlib import Path

import pytest
from jsonargparse import ArgumentParser

from benchmarks.evaluation.callback import Evaluation
from benchmarks.figures.base import build_figure
from benchmarks.runs.job import Job
from benchmarks.runs.spec import read_plan

ROOT = Path(__file__).parents[3]
PLANS = sorted((ROOT / "configs" / "benchmark").glob("*.yaml"))


@pytest.fixture(scope="module")
def parser() -> ArgumentParser:
    parser = ArgumentParser(exit_on_error=False)
    parser.add_class_arguments(Evaluation, "evaluation")
    return parser


@pytest.mark.parametrize("path", PLANS, ids=lambda path: path.stem)
def test_a_plan_is_read(path: Path, parser: ArgumentParser, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its experiments and overlays are there, its figure can be made, and it measures what its columns name."""
    monkeypatch.chdir(ROOT)
    plan = read_plan(path)
    for row in plan.rows:
        if row.experiment is not None:
            Job(plan, row, 0, Path("runs"), Path("results")).check()
    if plan.figure is not None:
        build_figure(plan.figure)
    asked = {**plan.evaluation, "tasks": plan.tasks or [{"class_path": "benchmarks.evaluation.tasks.Generate"}]}
    evaluation = parser.instantiate(parser.parse_object({"evaluation": asked})).evaluation
    if "metrics" in plan.evaluation:
        assert [metric.name for metric in evaluation.metrics] == plan.metrics
