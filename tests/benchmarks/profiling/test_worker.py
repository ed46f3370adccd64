"""What `benchmarks speed` lets a system learn from, and asks of it: frames and motions that fit, and every verb."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
import yaml
from torch import Tensor

from benchmarks.cli import benchmarks
from benchmarks.config.resolve import resolve
from benchmarks.profiling.worker import _batch, _rate, _rendered, _sampling, _shape, _training_sample
from datamodules.clip import KeypointClip, Trajectory, VideoClip, check_clip
from datamodules.sampling import Regular
from datamodules.video_folder import VideoFolder
from lightning_modules.dynamics import LatentODE
from lightning_modules.dynamics.mlp import MLP
from lightning_modules.motion_gan import MotionGAN
from lightning_modules.motion_to_video_gan import MotionToVideoGAN
from lightning_modules.networks.heatmaps import Heatmaps
from lightning_modules.networks.mode_gan import MotionGenerator, MotionToVideoGenerator
from lightning_modules.system import System


def motion_gan(**options: Any) -> MotionGAN:
    dynamics = LatentODE(field=MLP([6, 8, 6], "tanh"), initial=MLP([4, 6], "relu"), max_step=0.0625)
    return MotionGAN(MotionGenerator(dynamics, MLP([6, 4], "relu"), code_size=4), **options)


@pytest.mark.parametrize(
    ("rate", "stride", "expected"), [(None, 1, 25.0), (16.0, 1, 16.0), (None, 5, 5.0), (16.0, 2, 8.0)]
)
def test_frames_come_as_often_as_the_data_give_them(rate: float | None, stride: int, expected: float) -> None:
    data = VideoFolder("nowhere", frame_rate=rate, sampling=Regular(4, stride=stride))
    assert _rate(data, motion_gan()) == expected
    assert _rate(None, motion_gan()) == 25.0


def test_each_stage_gets_what_it_learns_from() -> None:
    batch = _batch(size=8, frames=4, batch_size=2, channels=1, fps=16.0)
    video = MotionToVideoGAN(MotionToVideoGenerator(3, 1, 8, 1, 4, 4), Heatmaps(8)).eval()
    states, points, both = (
        _training_sample(s, batch.clip) for s in (motion_gan(), motion_gan(heatmaps=Heatmaps(8)), video)
    )
    assert isinstance(states, Trajectory)
    assert states.values.shape == (2, 4, 4)
    for clip, joints in ((points, 2), (both, 3)):
        assert isinstance(clip, KeypointClip)
        assert clip.keypoints.shape == (2, 4, joints, 2)
        check_clip(clip)
    with torch.no_grad():
        drawn = _rendered(video, batch.clip.times, batch.ids)
    assert isinstance(drawn, VideoClip)
    assert drawn.frames.shape == (2, 4, 1, 8, 8)


class Between:
    """Notes what it is asked to fill in."""

    def __init__(self) -> None:
        self.asked: list[tuple[Tensor, Tensor]] = []

    def eval(self) -> None:
        """Nothing to switch."""

    def inbetween(self, observed: VideoClip, times: Tensor, *, seeds: Tensor) -> VideoClip:
        self.asked.append((observed.times[0], times[0]))
        return VideoClip(observed.frames[:, :1].expand(-1, times.shape[1], -1, -1, -1), times)


def test_frames_between_two_ends_are_timed_too() -> None:
    system = Between()
    batch = _batch(size=8, frames=4, batch_size=2, channels=1, fps=4.0)
    spec = {"steps": 1, "precision": "32-true"}
    found = _sampling(system, batch, 4.0, "cpu", spec)
    assert list(found) == ["inbetween 1x, 2 frames", "inbetween 4x, 11 frames"]
    assert all(shown.equal(torch.tensor([0, 0.75])) for shown, _ in system.asked)
    assert system.asked[0][1].equal(torch.tensor([0.25, 0.5]))
    assert system.asked[-1][1].equal(torch.arange(1, 12) / 16)


class MadeFor(System):
    generator = SimpleNamespace(size=32, frames=16, channels=1)


def test_a_generator_of_one_size_is_asked_for_that_size() -> None:
    nothing = {"size": None, "frames": None, "batch_size": None, "channels": None}
    asked = {"size": 32, "frames": 16, "batch_size": 8, "channels": 1}
    assert _shape(nothing, MadeFor(), None) == asked
    assert _shape({**nothing, "frames": 4}, MadeFor(), None) == {**asked, "frames": 4}


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", ["bouncing_balls/motion_gan", "bouncing_balls/motion_to_video_gan", "pendulum/motion_gan_rnn"]
)
def test_both_stages_have_their_speed_measured(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--steps", "1", "--threads", "1", "--batch-size", "1", "--no-data", "--json", str(tmp_path / "x.json")]
    path = Path(f"configs/experiment/generate_{name.removesuffix('_rnn')}.yaml")
    if name.endswith("_rnn"):
        option = "model.init_args.generator.init_args.dynamics=configs/model/dynamics/pendulum_rnn.yaml"
        config = resolve([path], [option])
        path = tmp_path / "rnn.yaml"
        path.write_text(yaml.safe_dump(config))
    with pytest.raises(SystemExit) as stop:
        benchmarks(["speed", str(path), *words])
    assert stop.value.code == 0
    said = capsys.readouterr().out
    assert "train" in said
    assert ("render 1x" if name.endswith("video_gan") else "generate 1x") in said
    if name.endswith("motion_gan"):  # its step ends with the diversity loss, which solves nothing
        assert json.loads((tmp_path / "x.json").read_text())["train"]["function_evaluations"] >= 16
