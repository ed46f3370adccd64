"""One pass over the fakes for both players equals two."""

import pytest
import torch
from torch import nn
from torch.testing import assert_close

from lightning_modules.adversarial import frozen
from lightning_modules.losses.adversarial import least_squares_fake, least_squares_generator, least_squares_real
from lightning_modules.networks.vid_ode_parts import PatchCritic
from lightning_modules.shared_pass import shared_critic_losses

EXACT = {"rtol": 1e-6, "atol": 1e-12}


@pytest.mark.parametrize("norm", [True, False])
def test_values_and_gradients_are_those_of_two_plain_passes(norm: bool) -> None:
    torch.manual_seed(0)
    critic = PatchCritic(2, 4, norm=norm).double()
    real, noise = torch.randn(2, 3, 2, 16, 16, dtype=torch.float64)
    generator = nn.Conv2d(2, 2, 3, padding=1, dtype=torch.float64)
    fake = generator(noise)
    losses = {
        "real_loss": least_squares_real,
        "fake_loss": least_squares_fake,
        "generator_loss": least_squares_generator,
    }
    ours = shared_critic_losses(critic, real, fake, **losses, critic_weight=0.7, generator_weight=0.3)
    on_critic = 0.7 * (least_squares_real(critic(real)) + least_squares_fake(critic(fake.detach())))
    with frozen(critic):
        on_generator = 0.3 * least_squares_generator(critic(fake))
    theirs = (on_critic, on_generator)
    assert_close(ours, theirs, **EXACT)
    weights = list(critic.parameters())
    assert_close(torch.autograd.grad(ours[0], weights), torch.autograd.grad(on_critic, weights), **EXACT)
    for loss in (ours[1], on_generator):
        assert not any(g is not None for g in torch.autograd.grad(loss, weights, allow_unused=True, retain_graph=True))
    drawn = list(generator.parameters())
    expected = torch.autograd.grad(on_generator, drawn, retain_graph=True)
    assert_close(torch.autograd.grad(ours[1], drawn, retain_graph=True), expected, **EXACT)


def test_known_gradients_scale_with_what_follows() -> None:
    """As in an update of several batches, whose losses are divided."""
    torch.manual_seed(0)
    critic = PatchCritic(1, 2).double()
    real, fake = torch.randn(2, 1, 1, 16, 16, dtype=torch.float64)
    fake.requires_grad_()
    losses = {
        "real_loss": least_squares_real,
        "fake_loss": least_squares_fake,
        "generator_loss": least_squares_generator,
    }
    whole, third = (
        shared_critic_losses(critic, real, fake, **losses, critic_weight=1.0, generator_weight=1.0) for _ in range(2)
    )
    first = critic[0].weight
    assert_close(torch.autograd.grad(third[0] / 3, first)[0] * 3, torch.autograd.grad(whole[0], first)[0])
    assert_close(torch.autograd.grad(third[1] / 3, fake)[0] * 3, torch.autograd.grad(whole[1], fake)[0])


def test_nothing_is_left_in_the_critics_gradients() -> None:
    critic = PatchCritic(1, 2)
    losses = {
        "real_loss": least_squares_real,
        "fake_loss": least_squares_fake,
        "generator_loss": least_squares_generator,
    }
    fake = torch.randn(1, 1, 16, 16, requires_grad=True)
    shared_critic_losses(critic, torch.randn(1, 1, 16, 16), fake, **losses, critic_weight=1.0, generator_weight=1.0)
    assert all(p.grad is None for p in critic.parameters())
