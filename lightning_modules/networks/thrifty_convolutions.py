"""3D convolutions that take less time on a CPU: fewer multiplications, or one product of matrices."""

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import pad, unfold

from lightning_modules.networks.winograd import Convolve, ConvolveBack, Layer

Maps = Float[Tensor, "batch before time height width"]
Found = Float[Tensor, "batch after length rows columns"]

FEWEST_CHANNELS = 32
"""With fewer the transforms of Winograd's filtering cost more than the multiplications they save."""
FEWEST_PLACES = 1500
"""Places of the smaller maps, in all clips and frames: with fewer the kernel's transform does not pay.
For the kernel's own derivative a fifth of these does."""
WIDE = 2**21
"""Numbers in a kernel that is read from memory, not from a cache: a product of matrices reads it once."""


class ThriftyConv3d(nn.Conv3d):
    """`nn.Conv3d`: the same weights, the same numbers to rounding, gradients of every order.

    Where Winograd's filtering pays, it is done so; where a large kernel meets small maps, as one product of matrices;
    elsewhere, and on every device but a CPU, as torch does it.
    """

    def forward(self, input: Maps) -> Found:
        """As `nn.Conv3d`."""
        step = _step(self)
        if step is None or not _plain(input, self.weight):
            return super().forward(input)
        height, width = (size // step for size in input.shape[3:])
        time = input.shape[2] + 2 * int(self.padding[0]) - self.kernel_size[0] + 1
        layer = _winograd(step, self, input, len(input) * time, height, width)
        if layer is not None:
            maps: Tensor = Convolve.apply(input, self.weight, layer)
        elif self.weight.numel() >= WIDE and len(input) * time * height * width < FEWEST_PLACES:
            maps = _as_matrices(self, input, height, width)
        else:
            return super().forward(input)
        return maps if self.bias is None else maps + self.bias[:, None, None, None]


class ThriftyConvTranspose3d(nn.ConvTranspose3d):
    """`nn.ConvTranspose3d`, likewise, but never as one product of matrices."""

    def forward(self, input: Maps, output_size: list[int] | None = None) -> Found:
        """As `nn.ConvTranspose3d`."""
        step = _step(self)
        if step is None or output_size is not None or not _plain(input, self.weight):
            return super().forward(input, output_size)
        layer = _winograd(step, self, input, len(input) * input.shape[2], *input.shape[3:])
        if layer is None:
            return super().forward(input, output_size)
        maps: Tensor = ConvolveBack.apply(self.weight, input, layer)
        return maps if self.bias is None else maps + self.bias[:, None, None, None]


def _step(module: nn.Conv3d | nn.ConvTranspose3d) -> int | None:
    """The stride in space, if the layer is of a known kind: 3 x 3 of stride 1 or 4 x 4 of stride 2, padded by 1."""
    if isinstance(module.padding, str) or module.padding_mode != "zeros" or module.groups != 1:
        return None
    time, rows, columns = zip(module.kernel_size, module.stride, module.padding, strict=True)
    if any(each != 1 for each in module.dilation) or any(module.output_padding) or time[1] != 1 or rows != columns:
        return None
    return {(3, 1, 1): 1, (4, 2, 1): 2}.get(rows)


def _plain(x: Tensor, weight: Tensor) -> bool:
    """Whether the layer is computed here and now, on a CPU, in single or double precision."""
    kind = x.device.type == "cpu" and x.dtype == weight.dtype and x.dtype in (torch.float32, torch.float64)
    return kind and x.ndim == 5 and not torch.is_autocast_enabled("cpu") and not torch.compiler.is_compiling()


def _winograd(
    step: int, module: nn.Conv3d | nn.ConvTranspose3d, x: Tensor, frames: int, height: int, width: int
) -> Layer | None:
    """How Winograd's filtering is used, or None where it is not; the sizes are those of the smaller maps."""
    places = frames * height * width
    if min(module.weight.shape[:2]) < FEWEST_CHANNELS or height % 2 or width % 2 or 5 * places < FEWEST_PLACES:
        return None
    if any(size % step for size in x.shape[3:]) or (places < FEWEST_PLACES and module.weight.numel() >= WIDE):
        return None
    return Layer(step, int(module.padding[0]), direct=places < FEWEST_PLACES)


def _as_matrices(module: nn.Conv3d, x: Maps, height: int, width: int) -> Found:
    """One product of matrices: the kernel, and under it the inputs of every place."""
    batch, channels = x.shape[:2]
    taps, *side = module.kernel_size
    frames = x.transpose(1, 2).flatten(0, 1)
    planes = unfold(frames, tuple(side), padding=1, stride=module.stride[1:])
    before = int(module.padding[0])
    planes = pad(planes.view(batch, -1, channels, side[0] * side[1], height * width), (0,) * 6 + (before, before))
    length = planes.shape[1] - taps + 1
    under = torch.stack([planes[:, tap : tap + length] for tap in range(taps)])  # tap batch time channel offset place
    under = under.permute(3, 0, 4, 1, 2, 5).reshape(module.weight[0].numel(), -1)
    maps = (module.weight.flatten(1) @ under).view(-1, batch, length, height, width)
    return maps.transpose(0, 1)
