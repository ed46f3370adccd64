import torch
from torch.testing import assert_close

from lightning_modules.networks.warping import warp


def test_zero_flow_is_the_identity() -> None:
    image = torch.randn(2, 3, 7, 9, dtype=torch.float64)
    assert_close(warp(image, torch.zeros(2, 2, 7, 9, dtype=torch.float64)), image)


def test_a_flow_of_whole_pixels_is_a_shift_that_repeats_the_border() -> None:
    image = torch.randn(1, 2, 8, 10, dtype=torch.float64)
    flow = torch.zeros(1, 2, 8, 10, dtype=torch.float64)
    flow[:, 0], flow[:, 1] = 3, -1  # to the right, upwards
    x, y = (torch.arange(10) + 3).clamp(max=9), (torch.arange(8) - 1).clamp(min=0)
    assert_close(warp(image, flow), image[:, :, y][:, :, :, x])


def test_a_flow_of_half_a_pixel_is_the_mean_of_two() -> None:
    image = torch.randn(1, 1, 4, 6, dtype=torch.float64)
    flow = torch.zeros(1, 2, 4, 6, dtype=torch.float64)
    flow[:, 0] = 0.5
    assert_close(warp(image, flow)[..., :-1], (image[..., :-1] + image[..., 1:]) / 2)
