"""Structural similarity with Wang's window: the original definition, batched, in float64."""

import math

import torch
from jaxtyping import Float
from torch import Tensor

from benchmarks.utils.errors import UserError

WINDOW = 11
_GAUSSIAN = [math.exp(-0.5 * ((index - WINDOW // 2) / 1.5) ** 2) for index in range(WINDOW)]
_TAPS = [weight / sum(_GAUSSIAN) for weight in _GAUSSIAN]
_CELLS, _CELLS_CPU = 1 << 24, 1 << 17
"""Pixels processed at once: about 1.5 GB of float64; on a CPU as many as its cache holds."""


def structural_similarity(
    x: Float[Tensor, "*planes height width"], y: Float[Tensor, "*planes height width"], *, data_range: float
) -> Float[Tensor, "*planes"]:
    """SSIM of each plane (Wang et al., 2004): 11 x 11 Gaussian window of sigma 1.5, averaged over its valid positions.

    Equals scikit-image's `structural_similarity(gaussian_weights=True, use_sample_covariance=False)`, which filters
    with reflected borders and then crops five pixels on each side: the positions whose window lies inside the image.
    torchmetrics' SSIM differs (0.646 where this is 0.660): it reflects the border and keeps part of it.
    In float64, because the variances are differences of nearly equal squares.

    Raises:
        UserError: if the images are smaller than the window.
    """
    height, width = x.shape[-2:]
    if min(height, width) < WINDOW:
        raise UserError(
            f"SSIM's window has {WINDOW} x {WINDOW} pixels; frames of {height} x {width} are too small for it."
        )
    step = max(1, (_CELLS_CPU if x.device.type == "cpu" else _CELLS) // (height * width))
    pairs = zip(x.reshape(-1, height, width).split(step), y.reshape(-1, height, width).split(step), strict=True)
    values = [_similarity(a.double(), b.double(), data_range) for a, b in pairs]
    return torch.cat(values).reshape(x.shape[:-2])


def _similarity(
    x: Float[Tensor, "plane height width"], y: Float[Tensor, "plane height width"], data_range: float
) -> Float[Tensor, " plane"]:
    c1, c2 = (0.01 * data_range) ** 2, (0.03 * data_range) ** 2
    mean_x, mean_y = _smooth(x), _smooth(y)
    squares = mean_x**2 + mean_y**2
    product = mean_x * mean_y
    variances = _smooth(x * x + y * y) - squares
    covariance = _smooth(x * y) - product
    similarity = (2 * product + c1) * (2 * covariance + c2) / ((squares + c1) * (variances + c2))
    return similarity.mean((-2, -1))


def _smooth(image: Float[Tensor, "plane height width"]) -> Float[Tensor, "plane valid_height valid_width"]:
    """The Gaussian mean at each valid position: eleven shifted sums per axis, faster than conv2d in float64."""
    for axis in (-2, -1):
        length = image.shape[axis] - WINDOW + 1
        total = torch.zeros_like(image.narrow(axis, 0, length))
        for index, weight in enumerate(_TAPS):
            total.add_(image.narrow(axis, index, length), alpha=weight)
        image = total
    return image
