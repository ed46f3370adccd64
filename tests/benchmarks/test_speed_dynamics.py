"""What is said of the dynamics' cost is counted right: calls, evaluations, and what a gradient keeps."""

import json
from pathlib import Path

import pytest
import torch
import yaml

from benchmarks.errors import UserError
from benchmarks.timing.dynamics import Call, clips, gan, kept_bytes, main, solvers
from datamodules.clip import VideoClip
from lightning_modules.dynamics import LatentODE, VectorField

SMALL = Path(__file__).parents[2] / "configs" / "experiment" / "generate_moving_shapes"


@pytest.fixture
def model(tmp_path: Path) -> Path:
    path = tmp_path / "mocogan_ode2.yaml"
    path.write_text(yaml.safe_dump(yaml.safe_load((SMALL / "mocogan_ode2_small.yaml").read_text())["model"]))
    return path


def test_a_report_has_the_step_the_share_and_the_solvers(model: Path, tmp_path: Path) -> None:
    assert main([str(model), "--batch-size=2", "--repeats=1", "--threads=1", f"--json={tmp_path / 'x.json'}"]) == 0
    (report,) = json.loads((tmp_path / "x.json").read_text())
    assert report["model"] == "mocogan_ode2"
    assert 0 < report["dynamics"] < report["step"]
    assert report["share"] == report["dynamics"] / report["step"]
    assert report["rk4_backprop_evaluations"] == 60


def test_backprop_keeps_every_step_and_the_adjoint_evaluates_again() -> None:
    torch.manual_seed(0)
    dynamics = LatentODE(VectorField(4, 1, 8))
    call = Call(torch.randn(3, 4), (torch.arange(16) / 15).expand(3, -1), True)
    found = solvers(dynamics, call, 1)
    assert found["rk4_backprop_evaluations"] == 15 * 4
    assert found["rk4_adjoint_evaluations"] >= 2 * 15 * 4
    assert found["rk4_adjoint_bytes"] < found["rk4_backprop_bytes"] / 4


def test_kept_bytes_counts_each_tensor_once() -> None:
    x = torch.randn(10, requires_grad=True)
    assert kept_bytes(lambda: (x * x).sum()) == 40


def test_the_clips_are_the_systems_own(model: Path) -> None:
    system = gan(model)
    batch = clips(system, 2)
    assert isinstance(batch.clip, VideoClip)
    assert batch.clip.frames.shape == (2, 16, 3, 32, 32)
    assert torch.equal(system.model_time(batch.clip.times)[:, -1], torch.ones(2))


def test_another_model_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "blend.yaml"
    path.write_text("class_path: baselines.linear_blend.LinearBlend\n")
    with pytest.raises(UserError, match="LinearBlend; the share of dynamics"):
        gan(path)
