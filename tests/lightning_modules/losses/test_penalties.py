"""Noise belongs to its seed; penalties and losses equal their formulas."""

import pytest
import torch
from torch import Tensor, nn

from lightning_modules.losses.adversarial import (
    non_saturating_fake,
    non_saturating_generator,
    non_saturating_real,
    wasserstein_fake,
    wasserstein_generator,
    wasserstein_real,
)
from lightning_modules.losses.penalties import gradient_penalty, zero_centred_penalty
from lightning_modules.noise import integers, normal, normal_sequence


def test_a_row_of_noise_depends_on_its_seed_alone() -> None:
    together = normal(torch.tensor([3, 5, 3]), 3, (4, 2), stream="content")
    alone = normal(torch.tensor([5]), 1, (4, 2), stream="content")
    assert torch.equal(together[1:2], alone)
    assert torch.equal(together[0], together[2])
    assert not torch.equal(together[0], together[1])
    assert not torch.equal(alone, normal(torch.tensor([5]), 1, (4, 2), stream="motion"))


def test_seeds_that_agree_in_their_low_bits_give_other_noise() -> None:
    """A CPU generator of torch keeps only the low 32 bits of its seed; evaluation seeds differ above them."""
    seeds = torch.tensor([5, 5 + 2**32, 5 + 2**48])
    rows = normal(seeds, 3, (50,), stream="content")
    assert min(float((rows[i] - rows[j]).abs().max()) for i, j in ((0, 1), (0, 2), (1, 2))) > 0.5


def test_a_longer_sequence_begins_with_the_shorter_one() -> None:
    seeds = torch.tensor([1, 2])
    long, short = (normal_sequence(seeds, 2, length, (30,), stream="motion") for length in (9, 4))
    assert torch.equal(long[:, :4], short)
    assert not torch.equal(long[:, 0], long[:, 1])


def test_noise_is_standard_normal() -> None:
    noise = normal(torch.arange(64), 64, (1000,), stream="content")
    assert abs(noise.mean().item()) < 0.02
    assert abs(noise.std().item() - 1) < 0.02


def test_integers_cover_their_range_and_belong_to_the_seed() -> None:
    drawn = integers(torch.arange(200), 200, 6, stream="category")
    assert sorted(set(drawn.tolist())) == [0, 1, 2, 3, 4, 5]
    assert torch.equal(integers(torch.arange(100, 200), 100, 6, stream="category"), drawn[100:])


def test_too_few_seeds_are_refused() -> None:
    with pytest.raises(ValueError, match="3 clips, got 2 seeds"):
        normal(torch.tensor([1, 2]), 3, (4,), stream="content")


def test_the_penalty_of_a_linear_critic_is_known() -> None:
    weight = torch.randn(12, dtype=torch.float64)

    def critic(x: Tensor) -> Tensor:
        return x.flatten(1) @ weight

    real, fake = torch.randn(2, 5, 3, 4, dtype=torch.float64)
    torch.testing.assert_close(gradient_penalty(critic, real, fake), (weight.norm() - 1).square())
    torch.testing.assert_close(gradient_penalty(critic, real, fake, center=0.0), weight.square().sum())
    torch.testing.assert_close(zero_centred_penalty(critic, real), weight.square().sum())


def test_several_inputs_share_one_norm() -> None:
    def critic(image: Tensor, heatmap: Tensor) -> Tensor:
        return 3 * image.flatten(1).sum(1) + 4 * heatmap.flatten(1).sum(1)

    real, fake = torch.zeros(2, 2, 1, 1, 1)
    penalty = gradient_penalty(critic, [real, real], [fake, fake])
    torch.testing.assert_close(penalty, torch.tensor(16.0))  # (sqrt(9 + 16) - 1)^2


def test_the_penalty_trains_the_critic_also_where_its_gradient_is_zero() -> None:
    critic = nn.Linear(3, 1)
    nn.init.zeros_(critic.weight)
    gradient_penalty(critic, torch.randn(4, 3), torch.randn(4, 3)).backward()
    assert critic.weight.grad is not None
    assert critic.weight.grad.isfinite().all()


def test_unequal_shapes_are_refused() -> None:
    with pytest.raises(ValueError, match="equal shapes"):
        gradient_penalty(nn.Identity(), torch.zeros(2, 3), torch.zeros(2, 4))


def test_losses_equal_their_formulas() -> None:
    logits = torch.tensor([-2.0, 0.5, 3.0], dtype=torch.float64)
    bce = nn.BCEWithLogitsLoss()
    torch.testing.assert_close(non_saturating_real(logits), bce(logits, torch.ones_like(logits)))
    torch.testing.assert_close(non_saturating_fake(logits), bce(logits, torch.zeros_like(logits)))
    torch.testing.assert_close(non_saturating_generator(logits), bce(logits, torch.ones_like(logits)))
    assert wasserstein_real(logits) == wasserstein_generator(logits) == -wasserstein_fake(logits) == -0.5
