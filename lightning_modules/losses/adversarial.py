"""Adversarial losses, for the critic and for the generator; in float32 or finer, whatever precision critics have."""

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import softplus

Logits = Float[Tensor, "..."]
Scalar = Float[Tensor, ""]


def least_squares_real(real: Logits) -> Scalar:
    """The critic's half on real data: scores near 1 (LSGAN, Mao et al., 2017, eq. 2 with b = 1)."""
    return (_precise(real) - 1).square().mean()


def least_squares_fake(fake: Logits) -> Scalar:
    """The critic's half on fakes: scores near 0 (LSGAN, eq. 2 with a = 0)."""
    return _precise(fake).square().mean()


def least_squares_generator(fake: Logits) -> Scalar:
    """The generator's loss: fakes scored near 1 (LSGAN, eq. 2 with c = 1)."""
    return (_precise(fake) - 1).square().mean()


def wasserstein_real(real: Logits) -> Scalar:
    """The critic's half on real data (WGAN, Arjovsky et al., 2017): the higher the score the better."""
    return -_precise(real).mean()


def wasserstein_fake(fake: Logits) -> Scalar:
    """The critic's half on fakes (WGAN): the lower the score the better."""
    return _precise(fake).mean()


def wasserstein_generator(fake: Logits) -> Scalar:
    """The generator's loss (WGAN): fakes scored high."""
    return -_precise(fake).mean()


def non_saturating_real(real: Logits) -> Scalar:
    """The critic's half on real data: cross-entropy with 1, as softplus(-logit) (Goodfellow et al., 2014)."""
    return softplus(-_precise(real)).mean()


def non_saturating_fake(fake: Logits) -> Scalar:
    """The critic's half on fakes: cross-entropy with 0, as softplus(logit)."""
    return softplus(_precise(fake)).mean()


def non_saturating_generator(fake: Logits) -> Scalar:
    """The generator's non-saturating loss: cross-entropy with 1, as softplus(-logit)."""
    return softplus(-_precise(fake)).mean()


def _precise(scores: Logits) -> Logits:
    return scores.to(torch.promote_types(scores.dtype, torch.float32))
