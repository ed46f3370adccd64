"""Filtering along time gives what 3D convolutions give, and their derivatives of every order, with fewer products."""

import pytest
import torch
from torch import Tensor, nn
from torch.testing import assert_close

from lightning_modules.networks import time_filtering
from lightning_modules.networks.mocogan import MoCoGANVideoCritic
from lightning_modules.networks.tgan import TGANCritic
from lightning_modules.networks.time_filtering import convolved, filtering, pays

Sides = int | tuple[int, ...]
SHAPES: list[tuple[int, Sides, Sides, int]] = [
    (4, (1, 2, 2), (0, 1, 1), 11),
    (4, (2, 2, 2), (1, 1, 1), 10),
    (4, (2, 2, 2), (1, 1, 1), 4),
    (3, 1, 1, 3),
]


def stack(taps: int, stride: Sides, padding: Sides, dtype: torch.dtype) -> nn.Sequential:
    torch.manual_seed(0)
    filtered = nn.Conv3d(32, 33, taps, stride, padding)  # type: ignore[arg-type]
    layers = [nn.Conv3d(3, 32, 3, 1, 1), nn.LeakyReLU(0.2), filtered, nn.BatchNorm3d(33), nn.LeakyReLU(0.2)]
    return nn.Sequential(*layers).to(dtype)


def ways(layers: nn.Sequential, clips: Tensor) -> list[list[Tensor]]:
    """By either way: the scores, the gradients, and those of the gradient's norm."""
    found = []
    for way in (layers, lambda x: convolved(layers, x)):
        x = clips.clone().requires_grad_()
        scores = way(x)
        given = [x, *layers.parameters()]
        first = torch.autograd.grad(scores.sin().sum(), given, create_graph=True)
        second = torch.autograd.grad(first[0].square().sum(), given, allow_unused=True)
        found.append(
            [scores.detach(), *(g.detach() for g in first), *(torch.zeros(()) if g is None else g for g in second)]
        )
    return found


@pytest.mark.parametrize(("taps", "stride", "padding", "frames"), SHAPES)
def test_it_is_the_convolution_with_all_its_derivatives(taps: int, stride: Sides, padding: Sides, frames: int) -> None:
    clips = torch.randn(2, 3, frames, 8, 8, dtype=torch.float64)
    theirs, ours = ways(stack(taps, stride, padding, torch.float64), clips)
    assert_close(ours, theirs, atol=1e-9, rtol=1e-9)


@pytest.mark.parametrize("critic", [MoCoGANVideoCritic(size=32, width=32), TGANCritic(size=32, width=32)])
def test_critics_score_alike_with_and_without(critic: nn.Module, monkeypatch: pytest.MonkeyPatch) -> None:
    """In single precision, to a few of its last digits; the running statistics too."""
    torch.manual_seed(0)
    found = []
    for on in (True, False):
        monkeypatch.setattr(time_filtering, "pays", lambda _, on=on: on)
        state = {name: value.clone() for name, value in critic.state_dict().items()}
        found.append([critic(torch.linspace(-1, 1, 2 * 16 * 3 * 32 * 32).sin().view(2, 16, 3, 32, 32)).detach()])
        found[-1] += [value.clone() for name, value in critic.state_dict().items() if "running" in name]
        critic.load_state_dict(state)
    assert_close(found[0], found[1], atol=2e-5, rtol=1e-4)


def test_products_are_fewer() -> None:
    """By layer of MoCoGAN's critic: frames in, and of taps times frames out what share is multiplied."""
    for frames, share in ((13, 0.525), (10, 0.5), (7, 0.4375)):
        maps = filtering(frames, 4, 1, 0)
        assert len(maps.kernels) * maps.inputs.shape[1] == share * 4 * (frames - 3)
    maps = filtering(16, 4, 2, 1)
    assert len(maps.kernels) * maps.inputs.shape[1] == 0.625 * 4 * 8


def test_it_is_for_cpus_in_full_precision() -> None:
    clips = torch.zeros(1, 3, 4, 4, 4)
    assert pays(clips)
    assert not pays(clips.half())
    assert not pays(clips.to("meta"))
    with torch.autocast("cpu", torch.bfloat16):
        assert not pays(clips)


def test_nothing_but_the_frames_is_kept() -> None:
    layers, clips = stack(4, (1, 2, 2), (0, 1, 1), torch.float32), torch.randn(2, 3, 11, 8, 8)
    kept: dict[int, int] = {}

    def note(tensor: Tensor) -> Tensor:
        kept[tensor.data_ptr()] = tensor.numel()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        answer = convolved(layers, clips)
    before, after = 32 * 22 * 64, 33 * 16 * 16
    maps = 22 * 27 * 64 + 2 * before + 2 * after  # what goes into convolutions, activations and the batch norm
    weights = sum(parameter.numel() for parameter in layers.parameters())
    assert sum(kept.values()) < maps + weights + 1000
    assert answer.requires_grad
