"""MODE-GAN's benchmarks: each is read as it stands, and each figure is drawn from tiny trainings of its own kind."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from benchmarks.config.resolve import read_config
from benchmarks.figures.mode_gan import RealFrames
from benchmarks.records.record import read_record
from benchmarks.runs.job import Job
from benchmarks.runs.spec import read_benchmark

pytestmark = pytest.mark.usefixtures("rows_in_process")

ROOT = Path(__file__).parents[3]


JOINED = sorted((ROOT / "configs" / "experiment").glob("*/mode_gan.yaml"))


@pytest.mark.parametrize("path", JOINED, ids=lambda path: path.parent.name)
def test_a_joined_model_is_its_two_stages_without_their_critics(path: Path) -> None:
    """Else the weights of the stages would not fit the model that is evaluated."""
    joined = read_config(path)["model"]["init_args"]
    for part, stage in (("motion", "motion_gan"), ("video", "motion_to_video_gan")):
        model = read_config(path.parent / f"{stage}.yaml")["model"]
        arguments = joined[part]["init_args"]
        assert joined[part]["class_path"] == model["class_path"]
        assert arguments == {name: model["init_args"][name] for name in arguments}
        left_out = set(model["init_args"]) - set(arguments)
        training = {
            "diversity_weight",
            "weight_by_confidence",
            "penalty_weight",
            "generator_optimizer",
            "schedule",
            "schedule_interval",
        }
        assert all(name in training or name.startswith(("critic", "frame_", "sequence_")) for name in left_out)


def run(spec: dict[str, Any], name: str, folder: Path) -> list[Path]:
    """Run a benchmark as the command does, its rows in this process; the figure's files."""
    from benchmarks.cli import benchmarks

    path = folder / f"{name}.yaml"
    path.write_text(yaml.safe_dump(spec))
    words = ["run", str(path), f"--runs={folder / 'runs'}", f"--results={folder / 'results'}"]
    with pytest.raises(SystemExit) as stop:
        benchmarks(words)
    assert stop.value.code == 0
    return sorted((folder / "runs" / "figures" / name).iterdir())


def tiny(name: str, overrides: list[str]) -> dict[str, Any]:
    """The benchmark with one seed and overrides on every row."""
    spec: dict[str, Any] = yaml.safe_load((ROOT / "configs" / "benchmark" / f"{name}.yaml").read_text())
    spec["seeds"] = [0]
    for row in spec["rows"]:
        row["overrides"] = [*row.get("overrides", []), *overrides]
    return spec


PENDULUM = [
    "data.init_args.train_clips=8",
    "data.init_args.val_clips=2",
    "data.init_args.test_clips=4",
    "data.init_args.batch_size=4",
    "model.init_args.critic_updates=1",
    "budget.generator_updates=2",
    "trainer.enable_progress_bar=false",
]


@pytest.mark.slow
def test_the_pendulums_figures_are_drawn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    files = run(tiny("mode_gan_fig5", PENDULUM), "mode_gan_fig5", tmp_path)
    assert [file.name for file in files] == ["seed-0.csv", "seed-0.png"]
    lines = files[0].read_text().splitlines()
    assert lines[0] == "row,sample,seconds,angle,velocity"
    assert len(lines) == 1 + 3 * 32  # the data, the RNN and the ODE
    records = [read_record(file) for file in (tmp_path / "results").rglob("*.json")]
    assert sorted(record.row for record in records) == ["RNN", "neural ODE"]
    for record in records:
        assert set(record.metrics) == set(tiny("mode_gan_fig5", [])["metrics"])
        assert all(entry.value is not None for entry in record.metrics.values())
        assert record.budget.updates == 2
    files = run(tiny("mode_gan_fig10", PENDULUM), "mode_gan_fig10", tmp_path)  # is trained already
    assert [file.name for file in files] == ["generators.csv", "states.png"]


BALLS = [
    "data.init_args.train_clips=4",
    "data.init_args.val_clips=2",
    "data.init_args.test_clips=4",
    "data.init_args.batch_size=2",
    "trainer.enable_progress_bar=false",
]
TRAIN = [*BALLS, "model.init_args.critic_updates=1", "trainer.max_epochs=1", "trainer.limit_val_batches=0"]


@pytest.mark.slow
def test_two_stages_are_trained_joined_and_asked_at_other_frame_rates(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As Fig. 21, on bouncing balls and by a metric that needs no weights."""
    monkeypatch.chdir(ROOT)
    spec: dict[str, Any] = yaml.safe_load((ROOT / "configs" / "benchmark" / "mode_gan_fig21.yaml").read_text())
    metric = "temporal_16f_motion_histograms"
    narrow = [f"model.init_args.{part}.init_args.width=4" for part in ("generator", "frame_critic", "sequence_critic")]
    spec["seeds"], spec["metrics"], spec["tasks"] = [0], [metric], [spec["tasks"][0], spec["tasks"][2]]
    spec["evaluation"] = {"metrics": [{"class_path": "benchmarks.metrics.temporal.TemporalDistance"}]}
    spec["figure"]["init_args"]["metric"] = metric
    # 20 frames of 20 per second, the balls' own rate, last longer than 16 of 16 per second
    spec["test_overrides"] = ["data.init_args.sampling.init_args.num_frames=20"]
    spec["scale"] = ["other_real_clips"]
    spec["rows"] = [
        {
            "label": "MODE-GAN",
            "experiment": "generate_bouncing_balls/mode_gan",
            "overrides": [*BALLS, "model.init_args.video.init_args.generator.init_args.width=4"],
            "join": {
                "motion": {"experiment": "generate_bouncing_balls/motion_gan", "overrides": TRAIN},
                "video": {"experiment": "generate_bouncing_balls/motion_to_video_gan", "overrides": [*TRAIN, *narrow]},
            },
        }
    ]
    files = run(spec, "mode_gan_fig21", tmp_path)
    assert [file.name for file in files] == [f"{metric}.csv", f"{metric}.png"]
    lines = files[0].read_text().splitlines()
    assert sorted(tuple(line.split(",")[::2][:2]) for line in lines[1:]) == [
        (row, rate) for row in ("MODE-GAN", "other real clips") for rate in ("16.0", "20.0")
    ]
    for record in (read_record(file) for file in (tmp_path / "results").rglob("*.json")):
        assert record.budget.updates == (4 if record.row == "MODE-GAN" else 0)  # two of each stage
        assert record.metrics[metric].value is not None


def test_the_figure_of_the_data_trains_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    spec = read_benchmark(Path("configs/benchmark/mode_gan_fig13.yaml"))
    jobs = [Job(spec, row, 0, Path("runs"), Path("results")) for row in spec.rows]
    assert {job.row.group for job in jobs} == {"Weizmann", "MUG", "UvA", "KTH"}
    assert not any(job.trains or job.row.join for job in jobs)
    assert RealFrames.shows_scale  # these rows are all there is to draw
