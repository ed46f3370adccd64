"""The latent-dynamics benchmarks: each is read as it stands, runs at tiny size, and its figures say what is true."""

import csv
import math
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from torch import Tensor

from benchmarks.config.resolve import full_class_paths, read_config, resolve
from benchmarks.figures.base import Trained
from benchmarks.figures.latent_cost import LatentCost
from benchmarks.figures.latent_frame_rate import LatentFrameRate, round_trip
from benchmarks.figures.latent_gan import shapes_of
from benchmarks.figures.latent_trajectories import LatentTrajectories
from benchmarks.metrics.features import c3d, i3d
from benchmarks.pretrained.registry import WeightsUnavailable
from benchmarks.records.record import read_records
from benchmarks.runs.job import Job
from benchmarks.runs.spec import read_benchmark
from benchmarks.utils.pixels import from_pixels
from lightning_modules.checkpoints.build import build
from lightning_modules.latent_dynamics import LatentDynamicsGAN

pytestmark = pytest.mark.usefixtures("rows_in_process")

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "configs" / "benchmark"
SMALL = ROOT / "configs" / "experiment" / "generate_moving_shapes"
UCF101 = sorted((ROOT / "configs" / "experiment" / "generate_ucf101").glob("*.yaml"))
MEMBERS = ("original", "ode1", "ode2", "ode3", "sde")


def small(name: str, folder: Path = SMALL) -> dict[str, Any]:
    """The small experiment of a family with one of its dynamics, `tgan_sde`."""
    family, _, member = name.partition("_")
    dynamics = f"model.init_args.generator.init_args.dynamics={ROOT}/configs/model/dynamics/{name}.yaml"
    overrides = [] if member == "original" else [dynamics]
    config: dict[str, Any] = full_class_paths(resolve([folder / f"{family}_small.yaml"], overrides))
    return config


@pytest.mark.parametrize("folder", [SMALL, SMALL.with_name("generate_weizmann_strips")], ids=lambda path: path.name)
@pytest.mark.parametrize("family", ["mocogan", "tgan", "tganv2"])
def test_small_dynamics_are_the_papers(family: str, folder: Path) -> None:
    found = small(f"{family}_original", folder)["model"]["init_args"]["generator"]["init_args"]["dynamics"]
    paper = full_class_paths(read_config(ROOT / "configs" / "model" / f"{family}_original.yaml"))
    paper = paper["init_args"]["generator"]["init_args"]["dynamics"]
    if family == "tganv2":  # its state is a picture of as many channels as the generator begins with
        paper = yaml.safe_load(str(paper).replace("1024", "64"))
    assert found == paper


@pytest.mark.parametrize("name", ["latent_nde_moving_shapes", "latent_nde_weizmann", "latent_nde_frame_rate"])
def test_small_members_differ_in_their_dynamics_alone(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The rows of a family are one configuration but for the dynamics, which are those of the paper's sizes."""
    monkeypatch.chdir(ROOT)
    spec = read_benchmark(FOLDER / f"{name}.yaml")
    rest: dict[str, list[Any]] = {}
    for row in (row for row in spec.rows if not row.scale):
        settings = Job(spec, row, 0, Path("runs"), Path("results")).settings
        family, _, member = row.label.lower().replace(" ", "").partition(",")
        paper = full_class_paths(read_config(Path(f"configs/model/{family}_{member}.yaml")))
        model = settings["model"]["init_args"]["generator"]["init_args"]
        assert model["dynamics"] == paper["init_args"]["generator"]["init_args"]["dynamics"]
        without = settings["model"]["init_args"]["generator"]["init_args"] = dict(model)
        del without["dynamics"]
        rest.setdefault(family, []).append(settings)
    assert {family: len(found) for family, found in rest.items()} == {"mocogan": 5, "tgan": 5}
    assert all(settings == found[0] for found in rest.values() for settings in found)


@pytest.mark.parametrize(
    "path", sorted((ROOT / "configs/experiment/generate_ucf101").glob("*.yaml")), ids=lambda p: p.stem
)
def test_on_ucf101_model_time_ends_with_the_sixteenth_frame_and_all_else_is_the_model(path: Path) -> None:
    content = read_config(path)
    paper = read_config(ROOT / "configs" / "model" / f"{path.stem}_original.yaml")
    assert content["model"]["init_args"].pop("seconds_per_unit") == 15 / 25
    assert paper["init_args"].pop("seconds_per_unit") == 15 / 16
    assert content["model"] == paper
    assert content["budget"] == {"generator_updates": 100_000}
    assert content["data"]["init_args"]["batch_size"] == 32


def small_gan(name: str) -> LatentDynamicsGAN:
    torch.manual_seed(0)
    system = build(small(name)["model"])
    assert isinstance(system, LatentDynamicsGAN)
    return system.eval()


@pytest.mark.parametrize("name", ["mocogan_ode1", "mocogan_ode2", "tgan_ode3"])
def test_an_ode_comes_back_to_where_it_started(name: str) -> None:
    error = round_trip(small_gan(name), 1.0)
    assert isinstance(error, float)
    assert 0 < error < 1e-3


@pytest.mark.parametrize("name", ["mocogan_original", "tgan_sde"])
def test_what_has_no_way_back_has_a_dash(name: str) -> None:
    assert round_trip(small_gan(name), 1.0) == "-"


def tiny(name: str, labels: list[str], overrides: list[str]) -> dict[str, Any]:
    """The benchmark with one seed, some of its rows, and overrides on each."""
    spec: dict[str, Any] = yaml.safe_load((FOLDER / f"{name}.yaml").read_text())
    spec["seeds"] = [0]
    spec["rows"] = [row for row in spec["rows"] if row["label"] in labels]
    for row in spec["rows"]:
        if "experiment" in row:
            row["overrides"] = [*row.get("overrides", []), *overrides]
    return spec


def run(spec: dict[str, Any], name: str, folder: Path) -> list[str]:
    """Run a benchmark as the command does, its rows in this process; the names of the figure's files."""
    from benchmarks.cli import benchmarks

    path = folder / f"{name}.yaml"
    path.write_text(yaml.safe_dump(spec))
    words = ["run", str(path), f"--runs={folder / 'runs'}", f"--results={folder / 'results'}"]
    with pytest.raises(SystemExit) as stop:
        benchmarks(words)
    assert stop.value.code == 0
    return sorted(file.name for file in (folder / "runs" / "figures" / name).glob("*"))


FEW = [
    "data.init_args.train_clips=8",
    "data.init_args.test_clips=16",
    "data.init_args.batch_size=4",
    "budget.generator_updates=2",
]


LABELS = {
    "MoCoGAN, original": "mocogan_original",
    "MoCoGAN, ODE 2": "mocogan_ode2",
    "TGAN, original": "tgan_original",
    "TGAN, SDE": "tgan_sde",
}


def untrained(label: str) -> Trained:
    """A row whose weights are random, on few clips."""
    config = small(LABELS[label])
    config["data"]["init_args"] |= {"train_clips": 8, "val_clips": 2, "test_clips": 16}
    return Trained(label, "", 0, config, None, [])


def check_frame_rates(path: Path) -> None:
    with path.open() as file:
        lines = {line["row"]: line for line in csv.DictReader(file)}
    assert list(lines) == ["true shapes", "true shapes, still", *LABELS]
    for label, line in list(lines.items())[2:]:
        assert math.isfinite(float(line["rate_1"]) + float(line["rate_2"]) + float(line["rate_4"]))
        assert float(line["same_4"]) < 1e-3  # the same clip, seen more often
        assert line["between"] == ("blended states" if "original" in label else "its own")
        assert (line["beyond"] == "-") == (label == "TGAN, original")
        assert (line["round_trip"] == "-") == ("ODE" not in label)


def test_continuous_time_is_measured(tmp_path: Path) -> None:
    torch.manual_seed(0)
    files = LatentFrameRate(clips=8).draw([untrained(label) for label in LABELS], tmp_path)
    assert [file.name for file in files] == ["frame_rate.csv", "frame_rate.png"]
    check_frame_rates(files[0])


def test_true_shapes_are_near_at_every_rate_and_wrong_times_are_far(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    row = untrained("MoCoGAN, ODE 2")
    row.config["data"]["init_args"]["test_clips"] = 256
    source, *_ = shapes_of(row)

    def answer(pace: float) -> dict[str, float]:
        """The numbers of a model that draws the true clips, `pace` times as fast."""

        def true(_: LatentDynamicsGAN, times: Tensor, count: int) -> Tensor:
            moments = np.tile(times.double().numpy() * pace, (count, 1))
            return from_pixels(source.render(np.arange(count), moments))

        monkeypatch.setattr("benchmarks.figures.latent_frame_rate.generate_clips", true)
        (file, _) = LatentFrameRate(factors=(1, 4), clips=128).draw([row], tmp_path)
        with file.open() as opened:
            known, still, line = csv.DictReader(opened)
        for factor in ("rate_1", "rate_4", "beyond"):
            assert 0 < float(known[factor]) < 0.01
            assert 0.15 < float(still[factor]) < 0.4
        assert float(known["rate_4"]) == pytest.approx(float(known["rate_1"]), rel=0.1)
        return {factor: float(line[factor]) for factor in ("rate_1", "rate_4", "beyond")}

    assert max(answer(pace=1).values()) < 1e-6
    faster = answer(pace=1.5)
    assert min(faster.values()) > 0.03
    assert faster["rate_4"] == pytest.approx(faster["rate_1"], rel=0.1)


def test_trajectories_are_finer_where_time_is_continuous(tmp_path: Path) -> None:
    torch.manual_seed(0)
    rows = [untrained(label) for label in LABELS]
    files = LatentTrajectories(codes=2, paths=3).draw(rows, tmp_path)
    assert [file.name for file in files] == ["trajectories.png", "trajectories.csv"]
    with files[1].open() as file:
        found = Counter(line["row"] for line in csv.DictReader(file))
    assert found == {label: 2 * (16 if "original" in label else 121) for label in LABELS}


def test_costs_are_the_dynamics_own(tmp_path: Path) -> None:
    files = LatentCost(clips=2, repeats=1).draw([untrained("MoCoGAN, ODE 2"), untrained("TGAN, original")], tmp_path)
    assert [file.name for file in files] == ["cost.csv"]
    with files[0].open() as file:
        ode, original = csv.DictReader(file)
    assert ode["function_evaluations"] == "60"
    assert abs(int(ode["temporal_parameters"]) - 1632) <= 16
    assert (original["function_evaluations"], original["temporal_parameters"]) == ("0", "826468")
    assert float(ode["samples_per_second"]) > 0


@pytest.mark.slow
def test_trainings_are_shared_by_the_table_and_both_figures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    spec = tiny("latent_nde_frame_rate", list(LABELS), FEW)
    spec["figure"]["init_args"] = {"clips": 16}
    files = run(spec, "latent_nde_frame_rate", tmp_path)
    assert files == ["frame_rate.csv", "frame_rate.png"]
    check_frame_rates(tmp_path / "runs/figures/latent_nde_frame_rate/frame_rate.csv")
    drawn = run(tiny("latent_nde_fig2", list(LABELS), FEW), "latent_nde_fig2", tmp_path)  # is trained already
    assert drawn == ["trajectories.csv", "trajectories.png"]
    assert len(list((tmp_path / "runs" / "generate_moving_shapes").glob("*/0"))) == len(LABELS)


def unavailable(name: str) -> None:
    raise WeightsUnavailable(f"{name}: tests fetch nothing")


@pytest.mark.slow
@pytest.mark.parametrize("name", ["latent_nde_f_ablation", "latent_nde_family_and_order"])
def test_a_papers_table_runs_on_shapes(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All that needs C3D or I3D is a dash with its reason; what the temporal generator costs is not."""
    monkeypatch.chdir(ROOT)
    for network in (c3d, i3d):
        monkeypatch.setattr(network, "path_of", unavailable)
    override = tmp_path / "shapes.yaml"
    sampling = {"class_path": "datamodules.sampling.Regular", "init_args": {"num_frames": 16, "start": "first"}}
    data = {"train_clips": 4, "val_clips": 2, "test_clips": 2, "size": 32, "frame_rate": 25, "batch_size": 2}
    small = {"width": 4, "size": 32}
    content = {
        "model": {"init_args": {"generator": {"init_args": small}, "video_critic": {"init_args": small}}},
        "data": {"class_path": "datamodules.moving_shapes.MovingShapes", "init_args": {**data, "sampling": sampling}},
        "trainer": {"limit_val_batches": 0},
        "checkpoints": {"monitor": None},
        "budget": {"generator_updates": 2},
        "evaluation": {"selection": "last"},
    }
    override.write_text(yaml.safe_dump(content))
    labels = ["MoCoGAN", "TGAN, ODE 1, matched f"]
    files = run(tiny(name, labels, [str(override)]), name, tmp_path)
    assert files == ["cost.csv"]
    with (tmp_path / "runs/figures" / name / "cost.csv").open() as file:
        costs = {line["row"]: line for line in csv.DictReader(file)}
    assert {label: int(costs[label]["function_evaluations"]) for label in labels} == {"MoCoGAN": 0, labels[1]: 60}
    assert int(costs["MoCoGAN"]["temporal_parameters"]) == 1632
    records = list(read_records(tmp_path / "results").values())
    assert sorted(record.row for record in records) == labels
    for record in records:
        assert set(record.metrics) == set(tiny(name, [], [])["metrics"])
