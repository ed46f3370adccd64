"""A benchmark file that asks for what no row measures, or sets a number beside another definition, is not read."""

from pathlib import Path

import pytest
import yaml

from benchmarks.config.resolve import read_config
from benchmarks.metrics.naming import metric_name
from benchmarks.runs.spec import read_benchmark
from benchmarks.utils.errors import UserError

ROOT = Path(__file__).parents[3]
BENCHMARKS = sorted((ROOT / "configs" / "benchmark").glob("*.yaml"))


@pytest.mark.parametrize("path", BENCHMARKS, ids=lambda path: path.stem)
def test_shipped_benchmarks_show_what_is_measured(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    read_benchmark(path)


@pytest.mark.parametrize("number", [1, 2, 3, 4, 9])
def test_vid_odes_tables_measure_what_the_paper_measured(number: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    spec = read_benchmark(ROOT / "configs" / "benchmark" / f"vid_ode_table{number}.yaml")
    assert spec.metrics == ["ssim_vid_ode", "lpips_alex", "psnr_pooled"]


EXPERIMENTS = [
    path
    for path in sorted((ROOT / "configs" / "experiment").rglob("*.yaml"))
    if (read_config(path).get("checkpoints") or {}).get("monitor")
]


@pytest.mark.parametrize("path", EXPERIMENTS, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_weights_are_selected_by_what_the_experiment_measures(path: Path) -> None:
    config = read_config(path)
    stage, task, metric = config["checkpoints"]["monitor"].split("/")
    evaluation = config["evaluation"]
    assert stage == "val"
    assert [one["class_path"].rpartition(".")[2].lower() for one in evaluation["tasks"]] == [task]
    assert metric in [metric_name(one) for one in evaluation["metrics"]]


def test_ucf101s_weights_are_selected_by_the_score_of_2048_clips() -> None:
    """As the paper says; 5 % of the train list, which is the validation, has 476 clips."""
    for path in (ROOT / "configs" / "experiment" / "generate_ucf101").glob("*.yaml"):
        evaluation = read_config(path)["evaluation"]
        assert evaluation["tasks"][0]["init_args"] == {"clips": 2048}
        assert evaluation["selection"] == "best:is@train-seeds"


ROW = {"label": "Vid-ODE", "group": "KTH Action, extrapolation", "experiment": "predict_kth/vid_ode"}
SAMPLES = {
    "a column": ({"metrics": ["psnr"]}, r"no row measures 'psnr'\. Measured are .*psnr_pooled"),
    "frames": ({"per_frame": {"psnr": [1]}}, r"no row measures 'psnr'"),
    "a figure": (
        {"figure": {"class_path": "RateCurves", "init_args": {"metrics": ["lpips_vgg"]}}},
        r"no row measures 'lpips_vgg'",
    ),
    "lost by an override": (
        {"rows": [{**ROW, "overrides": ["evaluation=configs/evaluation/predict_5_cam5.yaml"]}], "metrics": ["ssim"]},
        r"no row measures 'ssim'",
    ),
    "a published number": (
        {"published": "vid_ode#table2", "evaluation": {"metrics": [{"class_path": "SSIM"}]}, "metrics": ["ssim"]},
        r"vid_ode#table2 prints 'ssim', which is our 'ssim_vid_ode', and no row of KTH Action",
    ),
    "beside another definition": (
        {"published": "vid_ode#table2", "metrics": ["ssim", "lpips_alex", "psnr_pooled"]},
        r"prints 'ssim', which is our 'ssim_vid_ode', and that is not among `metrics`",
    ),
}


@pytest.mark.parametrize("sample", SAMPLES)
def test_a_plan_that_asks_for_what_is_not_measured_is_refused(
    sample: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    content, message = SAMPLES[sample]
    path = tmp_path / "plan.yaml"
    path.write_text(yaml.safe_dump({"title": "A plan", "rows": [ROW], **content}))
    with pytest.raises(UserError, match=message) as caught:
        read_benchmark(path)
    assert str(caught.value).startswith(str(path))


def test_what_cannot_be_known_is_not_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Metrics of a class that is not ours may have any name, and so may those of an experiment that is elsewhere."""
    monkeypatch.chdir(ROOT)
    path = tmp_path / "plan.yaml"
    for changed in (
        {"rows": [{"label": "a", "experiment": "mine/away"}]},
        {"rows": [ROW], "evaluation": {"metrics": [{"class_path": "mine.Sharpness"}]}},
    ):
        path.write_text(yaml.safe_dump({"title": "A plan", "metrics": ["sharpness"], **changed}))
        assert read_benchmark(path).metrics == ["sharpness"]
