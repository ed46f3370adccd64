"""Reconstruction losses against target frames."""

import torch
from jaxtyping import Bool, Float
from torch import Tensor

Frames = Float[Tensor, "batch time channel height width"]
Known = Bool[Tensor, "batch time #channel #height #width"]
Scalar = Float[Tensor, ""]


def frame_error(predicted: Frames, target: Frames, known: Known | None = None) -> Scalar:
    """Mean absolute error over all pixels, or over those that are known (Vid-ODE eq. 5)."""
    error = (predicted - target).abs()
    if known is None:
        return error.mean()
    known = known.expand_as(error)
    return (error * known).sum() / known.sum().clamp(min=1)


def difference_error(
    differences: Frames,
    target: Frames,
    before: Float[Tensor, "batch channel height width"],
    known: Known | None = None,
) -> Scalar:
    """Mean absolute error of predicted differences against X_i - X_(i-1), with X_0 = `before` (Vid-ODE eq. 6).

    A difference is known where both of its frames are.
    """
    previous = torch.cat([before[:, None], target[:, :-1]], dim=1)
    if known is not None:
        known = known & torch.cat([torch.ones_like(known[:, :1]), known[:, :-1]], dim=1)
    return frame_error(differences, target - previous, known)
