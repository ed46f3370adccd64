"""Vid-ODE's benchmarks: each is read as it stands, each figure is drawn from tiny systems, one through the command."""

import csv
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from benchmarks.config.resolve import full_class_paths, resolve
from benchmarks.figures.base import Trained, build_figure
from benchmarks.records.parts import Measurement
from benchmarks.runs.job import Job
from benchmarks.runs.published import read_table
from benchmarks.runs.spec import read_benchmark
from benchmarks.utils.errors import UserError
from support.record_maker import make_record

pytestmark = pytest.mark.usefixtures("rows_in_process")

ROOT = Path(__file__).parents[3]
CONFIGS = ROOT / "configs"
BENCHMARKS = sorted((CONFIGS / "benchmark").glob("vid_ode_*.yaml"))
FRAMES = "benchmarks.figures.vid_ode_frames."
BALLS = "predict_bouncing_balls/vid_ode_small"


@pytest.mark.parametrize("path", BENCHMARKS, ids=lambda path: path.stem)
def test_published_numbers_have_rows(path: Path) -> None:
    spec = read_benchmark(path)
    for number in [] if spec.published is None else read_table(spec.published):
        verb = {"predict": "extrapolation", "interpolate": "interpolation"}[number.task]
        rows = [row for row in spec.rows if number.belongs_to(row.label, row.group)]
        assert [row for row in rows if row.group.endswith((verb, "CAM5"))], f"{number.row} of {number.group}"


def test_balls_and_ablation_share_their_trainings() -> None:
    fig4, ablation = (
        read_benchmark(CONFIGS / "benchmark" / f"vid_ode_{name}.yaml") for name in ("fig4", "ablation_balls")
    )
    pairs = [(row.experiment, tuple(row.overrides)) for row in fig4.rows]
    assert (ablation.rows[0].experiment, tuple(ablation.rows[0].overrides)) in pairs
    assert (ablation.rows[-1].experiment, tuple(ablation.rows[-1].overrides)) in pairs


def trained(experiment: str, label: str, smoke: str, *overrides: str, records: list[Any] | None = None) -> Trained:
    """An untrained row at the smoke's sizes."""
    path = CONFIGS / "experiment" / f"{experiment}.yaml"
    words = [word.replace("=configs/", f"={CONFIGS}/") for word in overrides]
    config = full_class_paths(resolve([path], [*words, str(CONFIGS / "smoke" / f"{smoke}.yaml")]))
    return Trained(label, "", 0, config, None, records or [])


def drawn(files: list[Path], count: int) -> None:
    from PIL import Image

    assert len(files) == count
    for path in files:
        assert np.asarray(Image.open(path)).std() > 0, path


def test_frames_of_rows_stand_below_the_true_ones(tmp_path: Path) -> None:
    rows = [
        trained("predict_bouncing_balls/vid_ode_small", "Vid-ODE", "vid_ode"),
        trained(BALLS, "ConvGRU", "conv_gru", "model=configs/model/conv_gru_small.yaml"),
    ]
    figure = build_figure({"class_path": f"{FRAMES}FrameStrips", "init_args": {"context": 10, "clips": 2}})
    drawn(figure.draw(rows, tmp_path), 2)
    between = build_figure(
        {"class_path": f"{FRAMES}FrameStrips", "init_args": {"capability": "interpolate", "clips": 1}}
    )
    rows = [trained("interpolate_bouncing_balls/vid_ode_demo", "Vid-ODE", "vid_ode")]
    drawn(between.draw(rows, tmp_path), 1)
    with pytest.raises(UserError, match="test clips"):
        build_figure({"class_path": f"{FRAMES}FrameStrips", "init_args": {"clips": 5}}).draw(rows, tmp_path)


def test_vid_ode_is_taken_apart_and_nothing_else_is(tmp_path: Path) -> None:
    figure = build_figure(
        {"class_path": f"{FRAMES}Composition", "init_args": {"capability": "predict", "context": 10, "clips": 1}}
    )
    drawn(figure.draw([trained("predict_bouncing_balls/vid_ode_small", "Vid-ODE", "vid_ode")], tmp_path), 1)
    with pytest.raises(UserError, match="ConvGRU"):
        figure.draw([trained(BALLS, "ConvGRU", "conv_gru", "model=configs/model/conv_gru_small.yaml")], tmp_path)


FIGURES = {int(path.stem.removeprefix("vid_ode_fig")): path for path in BENCHMARKS if "vid_ode_fig" in path.stem}
INTERPOLATED = {1, 3, 8, 11, 12, 13, 17, 18, 21}
"""The figures that the paper's captions and text call interpolation; the others that it draws of frames extrapolate."""
DATA = {
    "kth": {1, 3, 5, 8, 11, 14, 18, 19},
    "moving_gif": {3, 12, 15, 17},
    "penn_action": {3, 13, 16, 20, 21, 22},
    "bouncing_balls": {4},
    "cam5": {6, 7},
}


def test_every_figure_of_frames_or_numbers_has_a_plan() -> None:
    """Figs 2, 9 and 10 are drawings of networks."""
    assert set(FIGURES) == set(range(1, 23)) - {2, 9, 10}


@pytest.mark.parametrize("number", FIGURES)
def test_a_figures_plan_is_of_its_task_and_data(number: int) -> None:
    spec = read_benchmark(FIGURES[number])
    assert f"Fig. {number}" in spec.title
    assert spec.figure is not None
    verb = "interpolate" if number in INTERPOLATED else "predict"
    assert {str(row.experiment).split("_")[0] for row in spec.rows} == {verb}
    asked = {str(row.experiment).split("/")[0].split("_", 1)[1] for row in spec.rows}
    assert asked == {name for name, numbers in DATA.items() if number in numbers}
    figure = build_figure(spec.figure)
    assert getattr(figure, "capability", verb) == verb


def test_figure_6_is_regular_at_100_per_cent() -> None:
    """Of a window's 20 frames, which the trainings see 5 of, all are shown, then ever fewer."""
    spec = read_benchmark(FIGURES[6])
    job = Job(spec, spec.rows[0], 0, Path("runs"), Path("results"))
    sampling = resolve([CONFIGS / "data" / "cam5.yaml"], [])["init_args"]["eval_sampling"]["init_args"]
    assert spec.test_overrides == [f"data.init_args.eval_sampling.init_args.inputs={sampling['window']}"]
    assert [task["init_args"]["context"] for task in spec.tasks] == [sampling["window"]] * 5
    assert [task["init_args"]["rate"] for task in spec.tasks] == [1.0, 0.8, 0.6, 0.4, 0.2]
    table5 = read_benchmark(CONFIGS / "benchmark" / "vid_ode_table5.yaml")
    shared = Job(table5, table5.rows[0], 0, Path("runs"), Path("results"))
    assert job.training_request == shared.training_request


def test_unseen_times_and_other_rates_are_asked(tmp_path: Path) -> None:
    rows = [trained("interpolate_bouncing_balls/vid_ode_demo", "Vid-ODE", "vid_ode")]
    drawn(build_figure({"class_path": f"{FRAMES}UnseenTimes", "init_args": {"clips": 1}}).draw(rows, tmp_path), 1)
    for verb in ("interpolate", "predict"):
        figure = build_figure(
            {"class_path": f"{FRAMES}FrameRateStrips", "init_args": {"capability": verb, "rates": [8, 20]}}
        )
        drawn(figure.draw(rows, tmp_path), 1)
    gru = [trained(BALLS, "ConvGRU", "conv_gru", "model=configs/model/conv_gru_small.yaml")]
    with pytest.raises(UserError, match="does not implement"):
        build_figure({"class_path": f"{FRAMES}UnseenTimes", "init_args": {}}).draw(gru, tmp_path)
    with pytest.raises(UserError, match="grid"):
        build_figure({"class_path": f"{FRAMES}FrameRateStrips", "init_args": {"capability": "predict"}}).draw(
            gru, tmp_path
        )


def test_curves_run_over_the_tasks_rates(tmp_path: Path) -> None:
    records = [
        make_record(
            task={"name": "predict", "rate": rate},
            metrics={"mse": Measurement(1 - rate, 2, None, [], higher_is_better=False)},
        )
        for rate in (1.0, 0.2)
    ]
    rows = [Trained("Vid-ODE", "", 0, {}, None, records)]
    figure = build_figure({"class_path": "benchmarks.figures.curves.RateCurves", "init_args": {}})
    picture, numbers = figure.draw(rows, tmp_path)
    drawn([picture], 1)
    table = list(csv.DictReader(numbers.open()))
    assert [(line["metric"], line["row"], float(line["rate"])) for line in table] == [
        ("mse", "Vid-ODE", 1.0),
        ("mse", "Vid-ODE", 0.2),
    ]
    assert [float(line["mean"]) for line in table] == pytest.approx([0.0, 0.8])
    with pytest.raises(UserError, match="No record"):
        figure.draw([Trained("Vid-ODE", "", 0, {}, None, [])], tmp_path)


def test_winds_are_arrows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHRONOREEL_DATA", str(tmp_path / "data"))
    random, (lat, lon) = np.random.default_rng(0), (np.linspace(-90, 90, 73), np.linspace(20, 377.5, 144))
    u, v = (random.normal(size=(132, 73, 144)).astype(np.float32) for _ in "uv")
    np.savez(tmp_path / "navy_winds_uv.npz", u=u, v=v, lat=lat, lon=lon, time=730.5 * np.arange(132))
    row = trained(
        "predict_noaa_winds/vid_ode",
        "ConvGRU-Δt",
        "conv_gru_dt",
        "model=configs/model/conv_gru_dt_small.yaml",
        "model.init_args.observe=5",
        "model.init_args.channels=2",
    )
    row.config["data"]["init_args"] = {
        key: value for key, value in row.config["data"]["init_args"].items() if not key.endswith("_clips")
    } | {"archives": str(tmp_path)}
    figure = build_figure({"class_path": "benchmarks.figures.winds.WindVectors", "init_args": {"clips": 1}})
    drawn(figure.draw([row], tmp_path), 1)
    balls = [trained(BALLS, "ConvGRU", "conv_gru", "model=configs/model/conv_gru_small.yaml")]
    with pytest.raises(UserError, match="two channels"):
        figure.draw(balls, tmp_path)


@pytest.mark.slow
def test_figure_4_runs_through_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from benchmarks.cli import benchmarks

    monkeypatch.chdir(ROOT)
    spec: dict[str, Any] = yaml.safe_load((CONFIGS / "benchmark" / "vid_ode_fig4.yaml").read_text())
    spec["seeds"] = [0]
    for row in spec["rows"]:
        (model,) = [word for word in row["overrides"] if word.startswith("model=")] or ["vid_ode_small"]
        name = Path(model).stem.removesuffix("_small")
        smoke = "vid_ode" if name == "vid_rnn" else name
        row["overrides"] = [*row.get("overrides", []), f"configs/smoke/{smoke}.yaml", "budget.generator_updates=2"]
    spec["rows"] = [row for row in spec["rows"] if row["label"] != "Vid-RNN"]  # Vid-ODE's smoke override has ODEs
    path = tmp_path / "vid_ode_fig4.yaml"
    path.write_text(yaml.safe_dump(spec))
    words = ["run", str(path), f"--runs={tmp_path / 'runs'}", f"--results={tmp_path / 'results'}"]
    with pytest.raises(SystemExit) as stop:
        benchmarks(words)
    assert stop.value.code == 0
    assert len(list((tmp_path / "results" / "vid_ode_fig4").glob("*.json"))) == 8
    drawn(sorted((tmp_path / "runs" / "figures" / "vid_ode_fig4").glob("*.png")), 2)
