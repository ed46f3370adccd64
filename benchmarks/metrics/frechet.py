"""The Fréchet distance between two sets of features: exact, in float64, and never negative, complex or NaN."""

import torch
from jaxtyping import Float
from torch import Tensor

from benchmarks.metrics.moments import Matrix, finite
from benchmarks.metrics.moments import Moments as Moments
from benchmarks.utils.errors import UserError

Features = Float[Tensor, "_clips _features"]
_BLOCK = 256
"""The number of columns of a triangular product that are computed at once."""


def frechet_distance(x: Features, y: Features, *, ddof: int = 1) -> float:
    """|mean x - mean y|^2 + Tr(Cx + Cy - 2 (Cx Cy)^(1/2)) of Gaussians fitted to two sets of features.

    Tr((Cx Cy)^(1/2)) is the sum of the singular values of A B^T for any A^T A = Cx and B^T B = Cy. With few clips and
    many features, A and B are the centred features themselves and no covariance is computed: fast, and exact where a
    matrix square root fails. For many clips see `frechet_distance_of_moments`.

    Args:
        x: features of one set, n x d.
        y: features of the other, m x d.
        ddof: 1 for unbiased covariances; 0 as in StyleGAN-V's code (a difference of 0.5 % at n = 256, less beyond).

    Raises:
        ValueError: for fewer than two clips, features of different widths, or features that are not finite.
    """
    x, y = _checked(x), _checked(y)
    _check_widths(x.shape[1], y.shape[1])
    if len(x) + len(y) > x.shape[1]:
        return frechet_distance_of_moments(Moments.of(x), Moments.of(y), ddof=ddof)
    a = (x - x.mean(0)) / (len(x) - ddof) ** 0.5
    b = (y - y.mean(0)) / (len(y) - ddof) ** 0.5
    root = torch.linalg.svdvals(a @ b.T).sum()
    return _distance(x.mean(0) - y.mean(0), a.square().sum() + b.square().sum(), root)


def frechet_distance_of_moments(x: Moments, y: Moments, *, ddof: int = 1) -> float:
    """As `frechet_distance`, for sets of which only the moments are known.

    The trace of the matrix square root is the sum of the square roots of the eigenvalues of L^T Cy L, where L L^T = Cx.
    L is the Cholesky factor or, if Cx is singular (a dead unit, repeated clips, no more clips than features), a factor
    from its eigenvectors without the null space. Computed on the scatter matrices and scaled at the end.
    """
    _check_widths(len(x.mean), len(y.mean))
    sx, sy = x.scatter, y.scatter
    factor, failed = torch.linalg.cholesky_ex(sx)
    if int(failed) or min(x.clips, y.clips) <= len(sx):
        factor, other = sorted((_clamped_factor(sx), _clamped_factor(sy)), key=lambda half: half.shape[1])
        half = factor.T @ other
        inner = half @ half.T
    else:
        inner = _lower_product(factor, sy)
    root = torch.linalg.eigvalsh(inner, UPLO="L").clamp(min=0).sqrt().sum()
    first, second = x.clips - ddof, y.clips - ddof
    return _distance(x.mean - y.mean, sx.trace() / first + sy.trace() / second, root / (first * second) ** 0.5)


def _clamped_factor(covariance: Matrix) -> Float[Tensor, "feature rank"]:
    """F with F F^T = covariance and as many columns as its rank."""
    values, vectors = torch.linalg.eigh(covariance)
    real = values > values[-1].clamp(min=0) * len(values) * torch.finfo(values.dtype).eps
    return vectors[:, real] * values[real].sqrt()


def _lower_product(factor: Matrix, inside: Matrix) -> Matrix:
    """The lower triangle of L^T S L for a lower triangular L; the entries above it are undefined.

    For the columns from c on, only rows and columns from c on contribute: a third of the work of two full products.
    """
    product = torch.zeros_like(inside)
    for start in range(0, len(inside), _BLOCK):
        columns = slice(start, start + _BLOCK)
        product[start:, columns] = factor[start:, start:].T @ (inside[start:, start:] @ factor[start:, columns])
    return product


def _distance(between: Tensor, traces: Tensor, root: Tensor) -> float:
    distance = float(between.square().sum() + traces - 2 * root)
    if distance != distance:  # NaN
        raise UserError("The Fréchet distance is NaN: the features are so large that their squares overflow.")
    return max(distance, 0.0)


def _checked(features: Features) -> Features:
    if len(features) < 2:
        raise UserError(f"A Fréchet distance needs at least two clips on each side; got {len(features)}.")
    return finite(features)


def _check_widths(first: int, second: int) -> None:
    if first != second:
        raise ValueError(f"Both sets must have features of the same width; got {first} and {second}.")
