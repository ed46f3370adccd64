"""What is said of the dynamics' cost is counted right: calls, evaluations, and what a gradient keeps."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from benchmarks.cli import benchmarks
from benchmarks.config.resolve import full_class_paths, resolve
from benchmarks.profiling import dynamics
from benchmarks.profiling.dynamics import Call, kept_bytes, measured, solvers
from benchmarks.profiling.table import table
from benchmarks.profiling.worker import _batch, _default_rate
from datamodules.clip import VideoClip
from lightning_modules.checkpoints.build import build
from lightning_modules.dynamics import LatentODE, VectorField
from lightning_modules.latent_dynamics import LatentDynamicsGAN

ROOT = Path(__file__).parents[3]
SMALL = ROOT / "configs" / "experiment" / "generate_moving_shapes"


def config_of(name: str) -> dict[str, Any]:
    """The small model of a family with one of its dynamics, `tgan_sde`."""
    family, _, member = name.partition("_")
    dynamics = f"model.init_args.generator.init_args.dynamics={ROOT}/configs/model/dynamics/{name}.yaml"
    overrides = [] if member == "original" else [dynamics]
    config: dict[str, Any] = full_class_paths(resolve([SMALL / f"{family}_small.yaml"], overrides))["model"]
    return config


def gan(name: str) -> LatentDynamicsGAN:
    system = build(config_of(name))
    assert isinstance(system, LatentDynamicsGAN)
    return system.train()


@pytest.mark.parametrize("name", ["mocogan_ode2", "tgan_sde"])
def test_a_report_has_the_dynamics_alone_and_the_solvers(name: str) -> None:
    report = measured(gan(name), _batch(size=32, frames=16, batch_size=2, channels=3, fps=16.0), 1)
    assert min(report["alone"].values()) > 0
    assert ("rk4_backprop" in report) == ("ode" in name)
    if "ode" in name:
        assert report["rk4_backprop"]["evaluations"] == 60
        assert set(report["dopri5_adjoint"]) == {"wall", "cpu", "evaluations", "bytes"}


def test_what_is_replayed_is_a_training_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """Clips and single frames, for the critics and, with a gradient, for the generator."""
    seen = []
    monkeypatch.setattr(dynamics, "replay", lambda _, calls: seen.append([call.requires_grad for call in calls]))
    batch = _batch(size=32, frames=16, batch_size=2, channels=3, fps=16.0)
    measured(gan("mocogan_original"), batch, 1)
    measured(gan("tgan_original"), batch, 1)
    assert seen[0] == [False, False, True, True]
    assert seen[-1] == [False, True]


def test_backprop_keeps_every_step_and_the_adjoint_evaluates_again() -> None:
    torch.manual_seed(0)
    dynamics = LatentODE(VectorField(4, 1, 8))
    call = Call(torch.randn(3, 4), (torch.arange(16) / 15).expand(3, -1), True)
    found = solvers(dynamics, call, 1)
    assert found["rk4_backprop"]["evaluations"] == 15 * 4
    assert found["rk4_adjoint"]["evaluations"] >= 2 * 15 * 4
    assert found["rk4_adjoint"]["bytes"] < found["rk4_backprop"]["bytes"] / 4


def test_kept_bytes_counts_each_tensor_once() -> None:
    x = torch.randn(10, requires_grad=True)
    assert kept_bytes(lambda: (x * x).sum()) == 40


def test_clips_are_those_of_the_published_grid() -> None:
    """16 frames are one unit of model time, so that discrete members know them without being told a rate."""
    system = gan("mocogan_original")
    assert (system.network.frames, system.network.size, _default_rate(system)) == (16, 32, 16)
    batch = _batch(size=32, frames=16, batch_size=2, channels=3, fps=_default_rate(system))
    assert isinstance(batch.clip, VideoClip)
    assert torch.equal(system.model_time(batch.clip.times)[:, -1], torch.ones(2))


def test_the_rows_of_the_dynamics_are_printed() -> None:
    way = {"wall": 0.2, "cpu": 0.1, "evaluations": 60, "bytes": 2**20}
    report = {
        "model": "GAN", "parameters": 1, "device": "CPU", "sample": {}, "loading": "no data named",
        "batch": {"size": 32, "frames": 16, "batch_size": 2, "channels": 3},
        "dynamics": {"share": 0.034, "rk4_backprop": way},
    }  # fmt: skip
    printed = "\n".join(table(report))
    assert "temporal generator: 3.4% of the CPU time of a training step" in printed
    assert "100.0 ms CPU, 60 evaluations, 1.00 MiB saved" in printed


@pytest.mark.slow
def test_the_command_times_two_models_and_their_dynamics(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    numbers, paths = tmp_path / "x.json", []
    for member in ("original", "ode1"):
        paths.append(tmp_path / f"mocogan_{member}.yaml")
        paths[-1].write_text(yaml.safe_dump(config_of(f"mocogan_{member}")))
    words = [*map(str, paths), "--dynamics", "--batch-size=2", "--steps=1", "--threads=1", f"--json={numbers}"]
    with pytest.raises(SystemExit) as ended:
        benchmarks(["speed", *words])
    assert not ended.value.code
    original, ode = json.loads(numbers.read_text())
    assert original["batch"] == {"size": 32, "frames": 16, "batch_size": 2, "channels": 3, "fps": 16}
    assert set(original["sample"]) == {"generate 1x, 16 frames"}
    assert set(ode["sample"]) == {"generate 1x, 16 frames", "generate 4x, 61 frames"}
    assert ode["by_the_first"]["cpu min"] == ode["train"]["cpu"]["min"] / original["train"]["cpu"]["min"]
    assert ode["dynamics"]["rk4_backprop"]["evaluations"] == 60
    assert ode["dynamics"]["share"] == ode["dynamics"]["alone"]["cpu"] / ode["train"]["cpu"]["min"]
    assert "temporal generator:" in capsys.readouterr().out


def test_another_model_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "blend.yaml"
    path.write_text("class_path: baselines.linear_blend.LinearBlend\n")
    with pytest.raises(SystemExit) as ended:
        benchmarks(["speed", str(path), "--dynamics", "--threads=1"])
    assert ended.value.code == 2
    assert "--dynamics is for a LatentDynamicsGAN; this is a LinearBlend" in capsys.readouterr().err
