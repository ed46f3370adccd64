"""Warping of an image by a flow field."""

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import grid_sample

Image = Float[Tensor, "batch channel height width"]


def warp(image: Image, flow: Float[Tensor, "batch 2 height width"]) -> Image:
    """The image sampled at p + flow(p) for every pixel p, bilinearly, with border padding.

    `flow` is in pixels, x (to the right) then y (down). Zero flow is the identity (align_corners).
    """
    # autocast's bfloat16 would round places near the border of an image of 128 pixels to a quarter of a pixel
    precise = torch.promote_types(torch.promote_types(image.dtype, flow.dtype), torch.float32)
    image, flow = image.to(precise), flow.to(precise)
    height, width = image.shape[-2:]
    y = torch.linspace(-1, 1, height, device=flow.device, dtype=flow.dtype)
    x = torch.linspace(-1, 1, width, device=flow.device, dtype=flow.dtype)
    scale = flow.new_tensor([2 / max(width - 1, 1), 2 / max(height - 1, 1)])
    grid = torch.stack(torch.meshgrid(x, y, indexing="xy"), dim=-1) + flow.permute(0, 2, 3, 1) * scale
    return grid_sample(image, grid, mode="bilinear", padding_mode="border", align_corners=True)
