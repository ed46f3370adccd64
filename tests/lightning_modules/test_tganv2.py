"""TGANv2: the pyramid, its critic, its members, and one update."""

import copy
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from lightning import Trainer
from torch.testing import assert_close
from torch.utils.data import DataLoader

from datamodules.clip import Batch, VideoClip
from lightning_modules.build import build
from lightning_modules.dynamics import ConvJetEncoder, ConvLSTM, Dynamics, LatentODE, LatentSDE, LeakyConvField
from lightning_modules.latent_dynamics import LatentDynamicsGAN
from lightning_modules.networks.tganv2 import TGANv2Critic, TGANv2Generator

MODELS = Path(__file__).parents[2] / "configs" / "model"
TIMES = (torch.arange(16) / 16).expand(2, -1)
SEEDS = torch.tensor([5, 6])
MEMBERS: dict[str, Any] = {
    "original": lambda: ConvLSTM(8),
    "ode1": lambda: LatentODE(LeakyConvField(8), max_step=1 / 15),
    "ode2": lambda: LatentODE(LeakyConvField(8, 2), ConvJetEncoder(8, 2), order=2, max_step=1 / 15),
    "ode3": lambda: LatentODE(LeakyConvField(8, 3), ConvJetEncoder(8, 3), order=3, max_step=1 / 15),
    "sde": lambda: LatentSDE(LeakyConvField(8), LeakyConvField(8)),
}


def system_of(dynamics: Dynamics) -> LatentDynamicsGAN:
    torch.manual_seed(0)
    generator = TGANv2Generator(dynamics, code=6, channels=8, widths=(6, 4, 4, 4), levels=3)
    return LatentDynamicsGAN(
        generator, TGANv2Critic(levels=3, width=2, blocks=4), penalty_weight=1.0, seconds_per_unit=15 / 16
    )


def moving() -> Batch:
    clip = VideoClip(torch.rand(2, 16, 3, 48, 48) * 2 - 1, TIMES)
    index = torch.arange(2)
    return Batch(clip, index, torch.full_like(index, -1), torch.ones(2, 16, dtype=torch.bool))


@pytest.mark.parametrize("name", MEMBERS)
def test_a_pyramid_is_drawn_judged_and_learnt_from(name: str) -> None:
    system, data = system_of(MEMBERS[name]()), moving()
    assert isinstance(data.clip, VideoClip)
    shapes = [(2, 16, 3, 12, 12), (2, 8, 3, 24, 24), (2, 4, 3, 48, 48)]
    assert [level.shape for level in system.draw(data).levels] == shapes
    assert [level.shape for level in system.network.levels(data.clip.frames)] == shapes
    before = copy.deepcopy(dict(system.named_parameters()))
    quiet = dict.fromkeys(("logger", "enable_checkpointing", "enable_progress_bar", "enable_model_summary"), False)
    loader: Any = DataLoader([data], batch_size=None)  # type: ignore[arg-type]
    Trainer(max_epochs=1, accelerator="cpu", **quiet).fit(system, loader)  # type: ignore[arg-type]
    assert not [key for key, value in system.named_parameters() if torch.equal(value, before[key])]
    assert all(bool(loss.isfinite()) for loss in system.last_losses.values())
    system.eval()
    clip = system.generate(TIMES, seeds=SEEDS)
    assert clip.frames.shape == (2, 16, 3, 48, 48)
    assert_close(system.generate(TIMES[1:], seeds=SEEDS[1:]).frames, clip.frames[1:], atol=1e-5, rtol=1e-4)


def test_real_levels_are_means_of_frames_that_the_clip_has() -> None:
    frames = torch.arange(16.0).reshape(1, 16, 1, 1, 1).expand(3, 16, 3, 48, 48)
    first, second, third = system_of(ConvLSTM(8)).network.levels(frames)
    assert_close(first[..., 0, 0, 0], torch.arange(16.0).expand(3, -1))
    assert bool((second[:, :, 0, 0, 0].diff(dim=1) == 2).all())
    assert bool((third[:, :, 0, 0, 0].diff(dim=1) == 4).all())


def test_the_critic_wants_every_level() -> None:
    critic = TGANv2Critic(levels=2, width=2)
    assert critic(torch.zeros(2, 1, 3, 24, 24), torch.zeros(2, 1, 3, 12, 12)).shape == (2, 2)
    with pytest.raises(ValueError, match="2 levels together; got 1"):
        critic(torch.zeros(2, 1, 3, 24, 24))


@pytest.mark.parametrize("name", MEMBERS)
def test_a_configuration_builds_what_its_name_says(name: str) -> None:
    with torch.device("meta"):
        system = build(yaml.safe_load((MODELS / f"tganv2_{name}.yaml").read_text()))
    assert isinstance(system, LatentDynamicsGAN)
    dynamics = system.network.dynamics
    assert type(dynamics) is type(MEMBERS[name]())
    assert not isinstance(dynamics, LatentODE) or dynamics.order == int(name.removeprefix("ode"))
    assert (system.loss, system.penalty_weight, system.schedule_interval) == ("non_saturating", 16.0, "update")
    for player in system.configure_optimizers():
        assert tuple(player["optimizer"].param_groups[0]["betas"]) == (0.0, 0.9)
        assert isinstance(player["lr_scheduler"], torch.optim.lr_scheduler.LinearLR)
