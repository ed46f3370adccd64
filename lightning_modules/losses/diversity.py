"""Diversity losses: two different noises must not become the same thing."""

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

    Eq. 3 has g = P, the initial value of the ODE; eq. 6 has g = G with the heatmaps held fixed. The paper's norms are
    sums; these are means over the elements. In eq. 3, whose two spaces have equal sizes, that is the same number; in
    eq. 6 the quotient is 64 * 64 * 3 * 16 / 128 times larger, which keeps it near 1 and is otherwise part of its
    weight. `floor` is added to the denominator, so that the loss is finite where two outcomes coincide and zero where
    two noises do; a cap on the quotient would take the gradient away exactly where outcomes have collapsed.
    """
    apart = (noise - other_noise).abs().flatten(1).mean(dim=1)
    return (apart / ((outcome - other_outcome).abs().flatten(1).mean(dim=1) + floor)).mean()
