"""TGANv2: the pyramid, its critic, its members, and one update."""

import copy
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning import Trainer
from torch import nn
from torch.nn.functional import softplus
from torch.testing import assert_close
from torch.utils.data import DataLoader

from benchmarks.config.resolve import full_class_paths, read_config
from datamodules.clip import Batch, VideoClip
from lightning_modules.adversarial import detached
from lightning_modules.checkpoints.build import build
from lightning_modules.dynamics import ConvJetEncoder, ConvLSTM, Dynamics, LatentODE, LatentSDE, LeakyConvField
from lightning_modules.latent_dynamics import LatentDynamicsGAN
from lightning_modules.networks.tganv2 import TGANv2Critic, TGANv2Generator

MODELS = Path(__file__).parents[3] / "configs" / "model"
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
    return Batch(clip, index, index, torch.full_like(index, -1), torch.ones(2, 16, dtype=torch.bool))


@pytest.mark.parametrize("name", MEMBERS)
def test_a_pyramid_is_drawn_judged_and_learnt_from(name: str) -> None:
    system, data = system_of(MEMBERS[name]()), moving()
    assert isinstance(data.clip, VideoClip)
    shapes = [(2, 16, 3, 12, 12), (2, 8, 3, 24, 24), (2, 4, 3, 48, 48)]
    assert [level.shape for level in system.generate_fakes(data).levels] == shapes
    assert [level.shape for level in system.network.levels(data.clip.frames)] == shapes
    before = copy.deepcopy(dict(system.named_parameters()))
    quiet: Any = dict.fromkeys(("logger", "enable_checkpointing", "enable_progress_bar", "enable_model_summary"), False)
    batches: Any = [data]
    loader: Any = DataLoader(batches, batch_size=None)
    Trainer(max_epochs=1, accelerator="cpu", **quiet).fit(system, loader)
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
def test_a_configuration_has_tganv2s_loss_and_decay(name: str) -> None:
    with torch.device("meta"):
        system = build(full_class_paths(read_config(MODELS / f"tganv2_{name}.yaml")))
    assert isinstance(system, LatentDynamicsGAN)
    assert (system.loss, system.penalty_weight, system.schedule_interval) == ("non_saturating", 16.0, "update")
    for player in system.configure_optimizers():
        group, decay = player["optimizer"].param_groups[0], player["lr_scheduler"]
        assert (group["initial_lr"], tuple(group["betas"])) == (1e-4, (0.0, 0.9))
        assert isinstance(decay, torch.optim.lr_scheduler.LinearLR)
        assert (decay.start_factor, decay.end_factor, decay.total_iters) == (1.0, 0.0, 100_000)


def test_the_losses_are_those_of_the_public_code() -> None:
    """Every level of every clip counts alike; the penalty is half a sum over levels and clips: a mean times B / 2."""
    system, data = system_of(ConvLSTM(8)), moving()
    assert isinstance(data.clip, VideoClip)
    system.penalty_weight = len(SEEDS) / 2
    fakes, critic = detached(system.generate_fakes(data)), system.critics["video"]
    torch.manual_seed(3)
    ours = system.critic_losses(data, fakes)
    torch.manual_seed(3)
    reals = [level.requires_grad_() for level in system.network.levels(data.clip.frames)]
    real, fake = critic(*reals), critic(*fakes.levels)
    assert real.shape == fake.shape == (2, 3)
    assert_close(ours["video"], softplus(-real).mean() + softplus(fake).mean())
    slopes = torch.autograd.grad(real.sum(), reals)
    assert_close(ours["penalty"], sum((0.5 * slope.square().sum() for slope in slopes), torch.zeros(())))
    assert_close(system.generator_losses(data, fakes), {"video": softplus(-fake).mean()})


def test_training_levels_keep_every_second_frame_from_one_offset(monkeypatch: pytest.MonkeyPatch) -> None:
    """With 16 frames that differ in their state alone, the second level's are 8 of them, 2 apart, in every clip."""
    generator = system_of(ConvLSTM(8)).network
    assert isinstance(generator, TGANv2Generator)
    generator.blocks = nn.ModuleList([nn.Identity() for _ in generator.blocks])
    generator.renders = nn.ModuleList([nn.Identity() for _ in generator.renders])
    grid = torch.arange(16.0).reshape(1, 16, 1, 1, 1).expand(2, 16, 1, 3, 3)
    monkeypatch.setattr(generator, "states", lambda *_: grid)
    seen = set()
    for _ in range(20):
        first, second, third = (level[..., 0, 0, 0] for level in generator(TIMES))
        assert_close(first, grid[..., 0, 0, 0])
        for level, length, step in ((second, 8, 2.0), (third, 4, 4.0)):
            assert level.shape == (2, length)
            assert bool((level.diff(dim=1) == step).all())
            assert torch.equal(level[0], level[1])
        seen.add(int(second[0, 0]))
    assert seen == {0, 1}
