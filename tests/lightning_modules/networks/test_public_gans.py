"""TGAN's, TGANv2's and MoCoGAN's networks give what the public code gives with the same weights and the same noise.

The golden numbers were taken down from sergeytulyakov/mocogan at 937a99d, pfnet-research/tgan at 09aa105 (Chainer
7.8.1, batch norms with shifts and PyTorch's epsilon), pfnet-research/tgan2 at f892bc4 (Chainer 7.8.1; the critic) and
Zasder3/Latent-Neural-Differential-Equations-for-Video-Generation at 0717f48 (TGANv2's generator and critic), run
outside this repository with weights and noise from numpy's legacy generator, whose streams never change: the k-th
parameter's come from seed `first + k`. Weights of a batch norm are 1 + 0.1 r, vectors 0.1 r, all others
1.5 r / sqrt(inputs).
"""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.testing import assert_close

from lightning_modules import noise
from lightning_modules.dynamics import ConvLSTM, Deconvolution1d, NoisyGRU
from lightning_modules.dynamics.matched import count
from lightning_modules.networks.mocogan import MoCoGANGenerator, MoCoGANImageCritic, MoCoGANVideoCritic
from lightning_modules.networks.tgan import TGANCritic, TGANGenerator
from lightning_modules.networks.tganv2 import TGANv2Critic, TGANv2Generator

GOLDEN: dict[str, dict[str, Any]] = json.loads((Path(__file__).parents[1] / "golden" / "public_gans.json").read_text())
BATCH, TIME = 2, 16
TIMES = (torch.arange(TIME) / 15).expand(BATCH, -1)
NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)


def drawn(seed: int, *shape: int) -> Tensor:
    return torch.from_numpy(np.random.RandomState(seed).standard_normal(shape)).float()


def fill(first: int, *modules: nn.Module) -> None:
    """Every parameter from its own seed, in the order of the modules."""
    gains = {id(m.weight) for module in modules for m in module.modules() if isinstance(m, NORMS)}
    parameters = [parameter for module in modules for parameter in module.parameters()]
    with torch.no_grad():
        for seed, parameter in enumerate(parameters, start=first):
            noise = drawn(seed, *parameter.shape)
            if id(parameter) in gains:
                parameter.copy_(1 + 0.1 * noise)
            elif parameter.ndim == 1:
                parameter.copy_(0.1 * noise)
            else:
                parameter.copy_(1.5 * noise / np.prod(parameter.shape[1:]) ** 0.5)


def agree(ours: Tensor, name: str, atol: float = 2e-5) -> None:
    theirs = GOLDEN[name]
    flat = ours.detach().double().flatten()
    pick = torch.from_numpy(np.linspace(0, len(flat) - 1, min(64, len(flat))).astype(int))
    assert len(flat) == theirs["size"]
    assert_close(flat[pick], torch.tensor(theirs["some"], dtype=torch.float64), rtol=1e-4, atol=atol)
    assert float(flat.mean()) == pytest.approx(theirs["mean"], rel=1e-3, abs=atol)
    assert float(flat.norm()) == pytest.approx(theirs["norm"], rel=1e-4)


@pytest.fixture
def clips() -> Tensor:
    return drawn(903, BATCH, TIME, 3, 64, 64).tanh()


def test_mocogans_generator(monkeypatch: pytest.MonkeyPatch) -> None:
    """h_0 normal and dropped, noise for every frame, content before motion, tanh at the end."""
    generator = MoCoGANGenerator(NoisyGRU(16, 1 / 15), content=50, motion=16, width=8)
    fill(0, generator)
    given = {"motion": drawn(900, BATCH, 16), "content": drawn(902, BATCH, 50)}
    monkeypatch.setattr(noise, "normal", lambda *_, stream, **__: given[stream])
    monkeypatch.setattr(
        "lightning_modules.dynamics.recurrent.normal_sequence", lambda *_, **__: drawn(901, BATCH, TIME, 16)
    )
    (frames,) = generator(TIMES)
    agree(frames, "mocogan_generator")


@pytest.mark.parametrize(("categories", "name"), [(0, "video_critic"), (3, "categorical_video_critic")])
def test_mocogans_video_critics(clips: Tensor, categories: int, name: str) -> None:
    critic = MoCoGANVideoCritic(width=8, categories=categories)
    fill(100, critic)
    agree(critic(clips), f"mocogan_{name}")


def test_mocogans_image_critic(clips: Tensor) -> None:
    critic = MoCoGANImageCritic(width=8)
    fill(200, critic)
    agree(critic(clips[:, 3]), "mocogan_image_critic")


def test_tgans_generator(monkeypatch: pytest.MonkeyPatch) -> None:
    """z_fast from 1-D deconvolutions; z_slow and z_fast each through a layer of its own to 4 x 4 pixels."""
    generator = TGANGenerator(Deconvolution1d(100, 100, 128, 1 / 15), width=4)
    dynamics, (slow, slow_norm), (fast, fast_norm) = generator.dynamics, generator.slow[:2], generator.fast[:2]
    fill(0, dynamics)
    fill(100, slow, slow_norm, fast, fast_norm, generator.image)
    code = drawn(900, BATCH, 100).tanh()
    monkeypatch.setattr(noise, "normal", lambda *_, **__: torch.special.ndtri((code + 1) / 2))
    with torch.no_grad():
        agree(dynamics(code, TIMES), "tgan_dynamics")
        (frames,) = generator(TIMES)
    agree(frames, "tgan_generator", atol=1e-4)  # the code comes through the normal distribution's quantiles


def test_tgans_critic(clips: Tensor) -> None:
    critic = TGANCritic(width=8)
    fill(200, critic)
    agree(critic(clips), "tgan_critic")


LEVELS = ((24, 16), (48, 8), (96, 4), (192, 2))
"""The side and the frames of each level of a pyramid of 16 frames, by TGANv2's own stride."""


@pytest.mark.parametrize(("last_relu", "name"), [(True, "tganv2_critic"), (False, "tganv2_critic_latent_nde")])
def test_tganv2s_critic(last_relu: bool, name: str) -> None:
    """Both public critics, at all four levels: they differ in the ReLU before the sum alone."""
    critic = TGANv2Critic(width=4, last_relu=last_relu)
    parts = [[*blocks, last] for blocks, last in zip(critic.levels, critic.last, strict=True)]  # type: ignore[misc]
    fill(400, *(part for level in parts for part in level))
    frames = [drawn(910 + k, BATCH, time, 3, side, side).tanh() for k, (side, time) in enumerate(LEVELS)]
    with torch.no_grad():
        agree(critic(*frames), name, atol=2e-4)  # sums over up to 50 positions: the two public codes differ by 4e-6
        untouched = TGANv2Critic(width=4, last_relu=last_relu, pad_single=False)
        untouched.load_state_dict(critic.state_dict())
        difference = (untouched(*frames) - critic(*frames)).abs()
    # the third and fourth level have axes of length 1 on the way
    assert torch.equal(difference > 0.01, torch.tensor([False, False, True, True]).expand(BATCH, -1))


def test_tganv2s_critic_has_the_parameters_and_the_initial_weights_of_the_public_code() -> None:
    with torch.device("meta"):
        assert count(TGANv2Critic()) == 116_077_060
    torch.manual_seed(0)
    last = TGANv2Critic(levels=1).last[0]
    assert isinstance(last, nn.Linear)
    assert float(last.weight.std()) == pytest.approx((2 / 1025) ** 0.5, rel=0.1)  # .044; 1,024 draws: 2 % each
    render = TGANv2Generator(ConvLSTM(8), channels=8).renders[0]
    assert isinstance(render, nn.Sequential)
    assert float(render[2].weight.std()) == pytest.approx((3 * 9 * 128) ** -0.5, rel=0.1)  # .017; 3,456 draws


def test_tganv2s_generator(monkeypatch: pytest.MonkeyPatch) -> None:
    """The pyramid of a training step, and the clips of an evaluation with the statistics that the step has left."""
    generator = TGANv2Generator(ConvLSTM(8, 1 / 15), code=6, channels=8, widths=(8, 6, 4, 4, 2, 2), stride=4)
    parts: list[nn.Module] = [generator.first, generator.dynamics]
    for block in generator.blocks:
        (norm, second_norm), (convolution, second) = block.norms, block.convolutions  # type: ignore[misc]
        parts += [norm, convolution, second_norm, second, block.shortcut]  # type: ignore[list-item]
    fill(500, *parts, *generator.renders)
    code = drawn(920, BATCH, 6).tanh()
    monkeypatch.setattr(noise, "normal", lambda *_, **__: torch.special.ndtri((code + 1) / 2))
    monkeypatch.setattr(torch, "randint", lambda high, *_, **__: torch.tensor(min(high - 1, 1)))
    with torch.no_grad():
        levels = generator(TIMES)
        assert [level.shape[1] for level in levels] == [16, 4, 1, 1]
        agree(torch.cat([level.flatten() for level in levels]), "tganv2_levels", atol=1e-4)  # as for TGAN
        (clips,) = generator.eval()(TIMES)
    agree(clips, "tganv2_clips", atol=1e-4)
