"""Reconstruction losses against target frames."""

import torch
from jaxtyping import Bool, Float
from torch import Tensor

Frames = Float[Tensor, "batch time channel height width"]
Known = Bool[Tensor, "batch time #channel #height #width"]
KnownBefore = Bool[Tensor, "batch #channel #height #width"]
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
    before_known: KnownBefore | None = None,
) -> Scalar:
    """Mean absolute error of predicted differences against X_i - X_(i-1), with X_0 = `before` (Vid-ODE eq. 6).

    A difference counts at the pixels that are known in both of its frames. A frame of which nothing is known is passed
    over: the difference after it is to the last frame that is there.

    Args:
        differences: as predicted.
        target: the true frames X_1 to X_T.
        before: the frame that the first difference is to.
        known: False where a pixel of the target is missing; None: none is.
        before_known: the same of `before`.
    """
    previous = torch.cat([before[:, None], target[:, :-1]], dim=1)
    if known is None:
        return frame_error(differences, target - previous, None if before_known is None else before_known[:, None])
    there = torch.ones_like(known[:, 0]) if before_known is None else before_known.expand_as(known[:, 0])
    frames, both, last = [], [], before
    for frame, here in zip(target.unbind(1), known.unbind(1), strict=True):
        frames.append(last)
        both.append(here & there)
        arrived = here.flatten(1).any(dim=1)[:, None, None, None]
        last, there = torch.where(arrived, frame, last), torch.where(arrived, here, there)
    return frame_error(differences, target - torch.stack(frames, dim=1), torch.stack(both, dim=1))
