"""Adversarial losses, for the critic and for the generator."""

from jaxtyping import Float
from torch import Tensor

Logits = Float[Tensor, "..."]
Scalar = Float[Tensor, ""]


def least_squares_real(real: Logits) -> Scalar:
    """The critic's half on real data: scores near 1 (LSGAN, Mao et al., 2017, eq. 2 with b = 1)."""
    return (real - 1).square().mean()


def least_squares_fake(fake: Logits) -> Scalar:
    """The critic's half on fakes: scores near 0 (LSGAN, eq. 2 with a = 0)."""
    return fake.square().mean()


def least_squares_generator(fake: Logits) -> Scalar:
    """The generator's loss: fakes scored near 1 (LSGAN, eq. 2 with c = 1)."""
    return (fake - 1).square().mean()
