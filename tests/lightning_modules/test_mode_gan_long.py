"""A clip of 600 frames is drawn in chunks: nothing but the result ever holds more frames than a chunk."""

from typing import Any

import torch
from torch.testing import assert_close

from lightning_modules.dynamics import LatentODE
from lightning_modules.dynamics.mlp import MLP
from lightning_modules.mode_gan import ModeGAN
from lightning_modules.motion_gan import MotionGAN
from lightning_modules.motion_to_video_gan import MotionToVideoGAN
from lightning_modules.networks.heatmaps import Heatmaps
from lightning_modules.networks.mode_gan import MotionGenerator, MotionToVideoGenerator


def test_600_frames_are_drawn_64_at_a_time_and_are_the_frames_drawn_alone() -> None:
    torch.manual_seed(0)
    dynamics = LatentODE(field=MLP([6, 8, 6], "tanh"), initial=MLP([4, 6], "relu"), max_step=0.0625)
    motion = MotionGAN(MotionGenerator(dynamics, MLP([6, 4], "relu"), code_size=4), Heatmaps(8))
    system = ModeGAN(motion, MotionToVideoGAN(MotionToVideoGenerator(2, 1, 8, 1, 4, 4), Heatmaps(8))).eval()
    largest: dict[str, int] = {}

    def look(name: str, output: torch.Tensor) -> None:
        largest[name] = max(largest.get(name, 0), output.shape[1] if name != "block" else output.shape[0])

    parts: dict[str, Any] = {"maps": system.video.heatmaps, "frames": system.video.generator}
    parts["block"] = system.video.network.blocks[0]
    for name, part in parts.items():
        part.register_forward_hook(lambda _, __, output, name=name: look(name, output))
    times, seeds = (torch.arange(600) / 60)[None], torch.tensor([7])
    with torch.no_grad():
        clip = system.generate(times, seeds=seeds)
        moved = system.move(times, seeds=seeds)
        alone = system.video.render(type(moved)(*(field[:, 599:] for field in moved)), seeds=seeds)
    assert clip.frames.shape == (1, 600, 1, 8, 8)
    assert largest == {"maps": 64, "frames": 64, "block": 64}
    assert_close(clip.frames[:, 599:], alone.frames, atol=1e-6, rtol=0)
