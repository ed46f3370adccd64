"""Heatmaps: one image per keypoint, with a Gaussian at its position."""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from datamodules.errors import UserError


def gaussian_heatmaps(
    keypoints: Float[Tensor, "*batch joint 2"], size: tuple[int, int], sigma: float
) -> Float[Tensor, "*batch joint height width"]:
    """exp(-|u - k|^2 / (2 sigma^2)) at every pixel u (MODE-GAN, eq. 2).

    Args:
        keypoints: x then y; -1 and 1 are the centres of the first and the last pixel.
        size: height and width in pixels.
        sigma: in the keypoints' unit, so that it does not depend on the heatmap's size.
    """
    height, width = size
    across = torch.linspace(-1, 1, width, device=keypoints.device, dtype=keypoints.dtype)
    down = torch.linspace(-1, 1, height, device=keypoints.device, dtype=keypoints.dtype)
    x = (across - keypoints[..., 0, None]).square().div(-2 * sigma**2).exp()
    y = (down - keypoints[..., 1, None]).square().div(-2 * sigma**2).exp()
    return y[..., :, None] * x[..., None, :]


class Heatmaps(nn.Module):
    """Renders keypoints as heatmaps of one size and sigma.

    Args:
        size: side in pixels.
        sigma: standard deviation of the Gaussian, for an image of width 2. The paper gives none; 1 / (14.3 sqrt 2) =
            0.0494 (1.56 pixels of 64) is that of Kim et al. (2019), whose keypoints the paper uses.
    """

    def __init__(self, size: int = 64, sigma: float = 0.0494) -> None:
        super().__init__()
        if size < 2 or not sigma > 0:
            raise UserError(f"Heatmaps need a size of at least 2 and a positive sigma; got {size} and {sigma}.")
        self.size = size
        self.sigma = sigma

    def forward(self, keypoints: Float[Tensor, "*batch joint 2"]) -> Float[Tensor, "*batch joint height width"]:
        """One channel per keypoint, 1 at its position."""
        return gaussian_heatmaps(keypoints, (self.size, self.size), self.sigma)
