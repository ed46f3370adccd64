"""Under bf16 autocast networks run in bfloat16; states, places and losses stay in single precision."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.testing import assert_close

from baselines.latent_ode import MeanDeviationGRU
from lightning_modules.dynamics.ode import LatentODE
from lightning_modules.dynamics.recurrent import Interpolated, Recurrent
from lightning_modules.losses import adversarial
from lightning_modules.losses.penalties import gradient_penalty, weighted_logit_penalty, zero_centred_penalty
from lightning_modules.networks.conv_gru import ConvGRUCell
from lightning_modules.networks.convolutions import Conv3d, ConvTranspose3d
from lightning_modules.networks.mode_gan import MotionGenerator
from lightning_modules.networks.vid_ode_parts import ODEConvGRU
from lightning_modules.networks.warping import warp

# bfloat16 keeps 8 binary digits; a few layers add up to a few of its steps
NEAR = {"rtol": 0.05, "atol": 0.05}


def mixed(run: Callable[[], Tensor]) -> Tensor:
    with torch.autocast("cpu", dtype=torch.bfloat16):
        return run()


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_gated_cell_keeps_the_precision_of_its_state(dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    cell, x, h = ConvGRUCell(4), torch.randn(2, 4, 5, 5), torch.randn(2, 4, 5, 5)
    after = mixed(lambda: cell(x.to(dtype), h))
    assert after.dtype == torch.float32
    assert_close(after, cell(x, h), **NEAR)
    assert mixed(lambda: cell(x, h.to(dtype))).dtype == dtype


def test_the_state_of_an_encoder_is_in_single_precision_from_the_first_frame_on() -> None:
    torch.manual_seed(0)
    seen: list[torch.dtype] = []
    encoder = ODEConvGRU(4, head=False)
    encoder.cell.register_forward_hook(lambda module, inputs, output: seen.extend([inputs[1].dtype, output.dtype]))
    embeddings, times = torch.randn(2, 3, 4, 5, 5).bfloat16(), torch.arange(3.0).expand(2, 3)
    mixed(lambda: encoder(embeddings, times, torch.ones(2, 3, dtype=torch.bool)))
    assert seen == [torch.float32] * 6


def test_states_between_grid_steps_are_in_single_precision() -> None:
    torch.manual_seed(0)
    dynamics = Interpolated(Recurrent(nn.GRUCell(4, 4), 0.1), 0.1)
    code, times = torch.randn(2, 4), torch.tensor([[0.0, 0.05, 0.32]]).expand(2, 3)
    between = mixed(lambda: dynamics(code.bfloat16(), times))
    assert between.dtype == torch.float32
    assert_close(between, dynamics(code, times), **NEAR)


def test_mean_and_deviation_are_in_single_precision() -> None:
    torch.manual_seed(0)
    cell, x, mean, deviation = MeanDeviationGRU(3, 4, 8), torch.randn(2, 3), torch.randn(2, 4), torch.rand(2, 4)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        after = cell(x.bfloat16(), mean, deviation)
    for ours, exact in zip(after, cell(x, mean, deviation), strict=True):
        assert ours.dtype == torch.float32
        assert_close(ours, exact, **NEAR)


def test_places_are_not_rounded() -> None:
    """A flow of bfloat16 moves a wide image as the same flow in single precision does."""
    torch.manual_seed(0)
    image, flow = torch.randn(1, 1, 128, 128), torch.randn(1, 2, 128, 128).bfloat16()
    warped = mixed(lambda: warp(image, flow))
    assert warped.dtype == torch.float32
    assert_close(warped, warp(image, flow.float()), rtol=0, atol=1e-5)


LOSSES = [name for name in vars(adversarial) if name.endswith(("_real", "_fake", "_generator"))]


@pytest.mark.parametrize("name", LOSSES)
def test_adversarial_losses_are_in_single_precision(name: str) -> None:
    scores = torch.linspace(-3, 3, 301).bfloat16()
    loss = getattr(adversarial, name)
    found = mixed(lambda: loss(scores))
    assert found.dtype == torch.float32
    assert_close(found, loss(scores.float()), rtol=1e-5, atol=1e-6)


def test_penalties_take_fakes_in_bfloat16_and_give_gradients_to_the_critic() -> None:
    torch.manual_seed(0)
    critic = nn.Sequential(nn.Conv2d(3, 4, 3), nn.LeakyReLU(), nn.Conv2d(4, 1, 3), nn.Flatten())
    real, fake = torch.randn(2, 3, 8, 8), torch.randn(2, 3, 8, 8).bfloat16()
    for penalty in (lambda: gradient_penalty(critic, real, fake), lambda: zero_centred_penalty(critic, real)):
        torch.manual_seed(1)
        found = mixed(penalty)
        torch.manual_seed(1)
        exact = penalty()
        assert found.dtype == torch.float32
        assert_close(found, exact, **NEAR)
        (ours,), (theirs,) = (torch.autograd.grad(p, critic[0].weight) for p in (found, exact))
        assert_close(ours, theirs, rtol=0.05, atol=0.05 * float(theirs.abs().max()))


def test_the_penalty_of_logits_is_in_single_precision() -> None:
    torch.manual_seed(0)
    critic, inputs = nn.Linear(4, 1), torch.randn(6, 4, requires_grad=True)
    logits = mixed(lambda: critic(inputs)[:, 0])
    assert logits.dtype == torch.bfloat16
    found = mixed(lambda: weighted_logit_penalty(logits[:3], logits[3:], inputs))
    (gradient,) = torch.autograd.grad(logits.sum(), inputs)
    doubt = torch.cat([-logits[:3], logits[3:]]).float().sigmoid()
    assert_close(found, (doubt.square() * gradient.square().sum(dim=1)).sum() / 3, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("layer", [Conv3d(8, 16, 3, padding=1), ConvTranspose3d(8, 16, 3, padding=1)])
def test_convolutions_over_two_frames_have_the_gradients_of_single_precision(layer: nn.Module) -> None:
    """In bfloat16 a part of the weight gradient is whatever the memory held."""
    torch.manual_seed(0)
    clip = torch.randn(2, 8, 2, 4, 4)

    def gradient() -> Tensor:
        return torch.autograd.grad(layer(clip).square().sum(), layer.weight)[0]

    assert_close(mixed(gradient), gradient(), rtol=1e-4, atol=1e-4)
    assert mixed(lambda: layer(clip.bfloat16())).dtype == torch.float32


def test_keypoints_are_not_rounded() -> None:
    torch.manual_seed(0)
    motion = MotionGenerator(LatentODE(nn.Linear(4, 4)), nn.Linear(4, 6), code_size=4, bounded=True)
    code, times = torch.randn(2, 4), torch.tensor([[0.0, 0.3]]).expand(2, 2)
    assert_close(mixed(lambda: motion(code, times)), motion(code, times), rtol=0, atol=1e-6)


def test_no_network_has_a_3d_convolution_that_autocast_would_round() -> None:
    """PyTorch's own are named in the networks only where a type is asked for."""
    found = [
        f"{path.name}: {line.strip()}"
        for folder in ("lightning_modules", "baselines")
        for path in (Path(__file__).parents[2] / folder).rglob("*.py")
        for line in path.read_text().splitlines()
        if path.name != "convolutions.py" and ("nn.Conv3d(" in line or "nn.ConvTranspose3d(" in line)
    ]
    assert found == []
