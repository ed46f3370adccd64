"""The names that are read off configurations are those of the metrics that are built from them."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from benchmarks.config.build import build, import_ours
from benchmarks.config.resolve import full_class_paths, read_yaml
from benchmarks.config.signatures import subclasses
from benchmarks.metrics import naming
from benchmarks.metrics.base import ClipMetric
from benchmarks.metrics.names import PAIRED, SETS
from benchmarks.metrics.naming import metric_name

CONFIGS = Path(__file__).parents[3] / "configs"
I3D, C3D = {"class_path": "I3DFeatures", "init_args": {"output": "mixed5c"}}, {"class_path": "C3DFeatures"}
ODD: list[dict[str, Any]] = [
    {"class_path": "FrechetVideoDistance", "init_args": {"ddof": 0, "num_samples": 3, "start": 4, "clips": 99}},
    {"class_path": "FrechetVideoDistance", "init_args": {"network": {"class_path": "UntrainedFeatures"}}},
    {"class_path": "FrechetVideoDistance", "init_args": {"clips": 99, "reference_clips": "all"}},
    {"class_path": "MaximumMeanDiscrepancy", "init_args": {"clips": 99, "reference_clips": 40}},
    {"class_path": "TemporalDistance", "init_args": {"frames": 9}},
    {"class_path": "MotionCourseDistance", "init_args": {"frames": 9, "start": 2, "clips": 30}},
    {"class_path": "ShapePathDistance", "init_args": {"start": 0}},
    {"class_path": "MaximumMeanDiscrepancy", "init_args": {"network": I3D}},
    {"class_path": "PrecisionRecall", "init_args": {"which": "recall", "neighbours": 5}},
    {"class_path": "InceptionScore", "init_args": {"network": C3D, "of": "target", "splits": 1}},
    {"class_path": "FrechetInceptionDistance", "init_args": {"network": {"class_path": "InceptionFeatures"}}},
    {"class_path": "FieldError", "init_args": {"variable": "u", "channel": 0, "low": -1, "high": 1, "unit": "m/s"}},
    {"class_path": "MinMaxError"},
    {"class_path": "LPIPS", "init_args": {"backbone": "vgg"}},
]


def shipped() -> Iterator[dict[str, Any]]:
    """Every metric that a file of configs/evaluation or configs/benchmark names, and those with short names."""
    yield from [*ODD, *PAIRED.values(), *SETS.values()]
    for path in [*sorted((CONFIGS / "evaluation").glob("*.yaml")), *sorted((CONFIGS / "benchmark").glob("*.yaml"))]:
        content = read_yaml(path)
        evaluation = content.get("evaluation", content if path.parent.name == "evaluation" else {})
        yield from evaluation.get("metrics") or []


@pytest.mark.parametrize("config", list(shipped()), ids=lambda config: str(metric_name(config)))
def test_a_name_is_that_of_the_built_metric(config: dict[str, Any]) -> None:
    import_ours()
    built = build(ClipMetric, full_class_paths(config), "metric")  # type: ignore[type-abstract]
    assert metric_name(config) == built.name


def test_every_metric_of_ours_has_a_name_before_it_is_built() -> None:
    import_ours()
    ours = [kind.__name__ for kind in subclasses((ClipMetric,)) if kind.__module__.startswith("benchmarks.")]
    assert {*naming.FIXED, *naming.WITH_ARGUMENTS} == set(ours)


def test_a_strangers_metric_has_no_name_before_it_is_built() -> None:
    assert metric_name({"class_path": "mine.Sharpness"}) is None
    assert metric_name({"class_path": "FrechetVideoDistance", "init_args": {"network": "mine.Net"}}) is None
