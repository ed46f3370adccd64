"""What `benchmarks speed` lets MODE-GAN's stages learn from: motions that fit the network, and what it asks of them."""

from typing import Any

import pytest
import torch

from benchmarks.cli import benchmarks
from benchmarks.speed_worker import _batch, _learned, _rendered
from datamodules.clip import KeypointClip, Trajectory, VideoClip, check_clip
from lightning_modules.dynamics import LatentODE
from lightning_modules.dynamics.mlp import MLP
from lightning_modules.motion_gan import MotionGAN
from lightning_modules.motion_to_video_gan import MotionToVideoGAN
from lightning_modules.networks.heatmaps import Heatmaps
from lightning_modules.networks.mode_gan import MotionGenerator, VideoGenerator


def motion_gan(**options: Any) -> MotionGAN:
    dynamics = LatentODE(field=MLP([6, 8, 6], "tanh"), initial=MLP([4, 6], "relu"), max_step=0.0625)
    return MotionGAN(MotionGenerator(dynamics, MLP([6, 4], "relu"), code_size=4), **options)


def test_each_stage_gets_what_it_learns_from() -> None:
    batch = _batch(size=8, frames=4, batch_size=2, channels=1, fps=16.0)
    video = MotionToVideoGAN(VideoGenerator(3, 1, 8, 1, 4, 4), Heatmaps(8)).eval()
    states, points, both = (_learned(s, batch.clip) for s in (motion_gan(), motion_gan(heatmaps=Heatmaps(8)), video))
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


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", ["bouncing_balls/motion_gan", "bouncing_balls/motion_to_video_gan", "pendulum/motion_gan_rnn"]
)
def test_both_stages_have_their_speed_measured(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--steps", "1", "--threads", "1", "--batch-size", "1", "--no-data"]
    with pytest.raises(SystemExit) as stop:
        benchmarks(["speed", f"configs/experiment/generate_{name}.yaml", *words])
    assert stop.value.code == 0
    said = capsys.readouterr().out
    assert "train" in said
    assert ("render 1x" if name.endswith("video_gan") else "generate 1x") in said
