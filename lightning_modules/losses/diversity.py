"""Diversity loss: different noise must give different results."""

from jaxtyping import Float
from torch import Tensor

Scalar = Float[Tensor, ""]


def diversity_loss(
    noise: Float[Tensor, "batch *noise"],
    other_noise: Float[Tensor, "batch *noise"],
    outcome: Float[Tensor, "batch *outcome"],
    other_outcome: Float[Tensor, "batch *outcome"],
    *,
    floor: float = 1e-2,
) -> Scalar:
    """Mean over the clips of |z - z'|_1 / |g(z) - g(z')|_1 (MODE-GAN, eqs 3 and 6).

    In eq. 3 g = P, the initial value of the ODE; in eq. 6 g = G for fixed heatmaps. The paper's norms are
    sums; these are means over the elements. In eq. 3, whose two spaces have equal sizes, that is the same number; in
    eq. 6 the quotient is 64 * 64 * 3 * 16 / 128 times larger, which keeps it near 1 and otherwise changes only its
    weight. `floor` is added to the denominator, so that the loss is finite where two outcomes coincide and zero where
    the noises do; a cap on the quotient would have no gradient exactly where outcomes have collapsed.
    """
    apart = (noise - other_noise).abs().flatten(1).mean(dim=1)
    return (apart / ((outcome - other_outcome).abs().flatten(1).mean(dim=1) + floor)).mean()
