"""Convolutions by Winograd's minimal filtering: a quarter of the multiplications, as matrix products, on CPUs."""

import math
from functools import lru_cache

import torch
from jaxtyping import Float
from torch import Tensor, nn

Images = Float[Tensor, "batch channel height width"]
Filtered = Float[Tensor, "batch out out_height out_width"]

_POINTS = (0.0, 1.0, -1.0, 2.0, -0.5)  # and infinity: six products per 7 - k outputs of a row, for a kernel of side k
_SMALLEST = 2**15  # input times output channels; below it the direct convolution is as fast
_LARGEST = 48  # pixels; the transforms are dense matrices, so their cost grows with the square of the side
_CACHE = 2**24  # bytes: images are taken in parts that leave room in a CPU's cache


class WinogradConv2d(nn.Conv2d):
    """`torch.nn.Conv2d` with the same parameters and, to rounding, the same result and gradients.

    Where it pays (on a CPU, in float32, for small images with many channels, stride 1) the convolution is computed by
    minimal filtering (Lavin and Gray, 2016): input, kernel and output are transformed along both axes, and between them
    stand 36 matrix products, with 4 times fewer multiplications for kernels of side 3 and up to 4 for side 4.
    Everywhere else, on GPUs above all, it is a plain convolution. At Vid-ODE's sizes forward and backward take half the
    time.
    """

    def forward(self, input: Images) -> Filtered:
        """The convolution."""
        return self._filter(input) if self._pays(input) else super().forward(input)

    def _pays(self, images: Images) -> bool:
        side = self.kernel_size[0]
        plain = (
            self.stride == self.dilation == (1, 1)
            and self.groups == 1
            and self.kernel_size in ((3, 3), (4, 4))
            and not isinstance(self.padding, str)
            and self.padding_mode == "zeros"
        )
        return (
            plain
            and images.device.type == "cpu"
            and images.dtype == self.weight.dtype == torch.float32
            and not torch.is_autocast_enabled("cpu")
            and not torch.compiler.is_compiling()
            and self.in_channels * self.out_channels >= _SMALLEST
            and 2 * side <= min(images.shape[-2:])
            and max(images.shape[-2:]) <= _LARGEST
        )

    def _filter(self, images: Images) -> Filtered:
        assert not isinstance(self.padding, str)
        height, width = images.shape[-2:]
        rows, kernel, rows_back = _transforms(height, self.kernel_size[0], self.padding[0])
        columns, _, columns_back = _transforms(width, self.kernel_size[1], self.padding[1])
        weight = torch.einsum("ak,bl,ockl->abco", kernel, kernel, self.weight).flatten(0, 1)
        largest = (
            4 * len(rows) * len(columns) * max(self.in_channels, self.out_channels)
        )  # bytes of a transformed image
        parts = [
            _filtered(part, weight, (rows, columns), (rows_back, columns_back))
            for part in images.permute(0, 2, 3, 1).split(max(1, _CACHE // largest))
        ]
        result = torch.cat(parts)
        if self.bias is not None:
            result = result.add_(self.bias)
        return result.permute(0, 3, 1, 2)


def _filtered(images: Tensor, weight: Tensor, there: tuple[Tensor, Tensor], back: tuple[Tensor, Tensor]) -> Tensor:
    """Images (batch, height, width, channel) transformed along rows and columns, multiplied, and transformed back."""
    batch, height, width, channels = images.shape
    points = math.isqrt(len(weight))
    out = weight.shape[-1]
    down, across = len(there[0]) // points, len(there[1]) // points  # tiles
    seen = torch.matmul(there[0], images.reshape(batch, height, width * channels))
    seen = torch.matmul(there[1], seen.view(-1, width, channels))
    seen = seen.view(batch, points, down, points, across, channels).permute(1, 3, 0, 2, 4, 5)
    product = torch.bmm(seen.reshape(points**2, -1, channels), weight)
    product = product.view(points, points, batch, down, across, out).permute(2, 0, 3, 1, 4, 5)
    result = torch.matmul(back[1], product.reshape(-1, points * across, out))
    result = torch.matmul(back[0], result.view(batch, points * down, -1))
    return result.view(batch, len(back[0]), len(back[1]), out)


@lru_cache(maxsize=64)
def _transforms(size: int, side: int, padding: int) -> tuple[Tensor, Tensor, Tensor]:
    """Matrices along one axis: pixels to points of all tiles, kernel to points, points of all tiles to results.

    With V_k the values of the k monomials at the points, a filter of length `side` gives `tile` outputs as
    V_tile^T [(V_side w) * (V_points^-T d)] (Toom-Cook, transposed). Zero padding and the ragged last tile are in them.
    """
    points = len(_POINTS) + 1
    tile = points - side + 1
    length = size + 2 * padding - side + 1
    tiles = -(-length // tile)
    outwards, kernel = _values(tile).T, _values(side)
    inwards = torch.linalg.inv(_values(points)).T
    scale = kernel.abs().sum(dim=1, keepdim=True)  # balances the two factors of each product
    kernel, inwards = kernel / scale, inwards * scale
    pixels = torch.zeros(points, tiles, size, dtype=torch.float64)
    results = torch.zeros(length, points, tiles, dtype=torch.float64)
    for index in range(tiles):
        for offset in range(points):
            pixel = index * tile + offset - padding
            if 0 <= pixel < size:
                pixels[:, index, pixel] = inwards[:, offset]
        for offset in range(min(tile, length - index * tile)):
            results[index * tile + offset, :, index] = outwards[offset]
    return pixels.flatten(0, 1).float(), kernel.float(), results.flatten(1).float()


def _values(count: int) -> Float[Tensor, "points count"]:
    """The monomials 1, x, ..., x^(count - 1) at the points; at infinity only the last one counts."""
    finite = torch.tensor(_POINTS, dtype=torch.float64)[:, None] ** torch.arange(count)
    return torch.cat([finite, torch.eye(count, dtype=torch.float64)[-1:]])
