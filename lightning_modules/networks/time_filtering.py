"""3D convolutions with about half the multiplications, for CPUs: minimal filtering along time (Winograd, 1980)."""

from collections.abc import Iterator
from functools import lru_cache
from typing import Any, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import conv2d
from torch.nn.grad import conv2d_input, conv2d_weight

Volume = Float[Tensor, "_ _ _ _ _"]
"""(batch, channel, time, height, width)."""
Pictures = Float[Tensor, "_ _ _ _"]
"""(picture, channel, height, width), the pictures sorted by time first."""
Frames = Float[Tensor, "_ _ _ _ _"]
"""(time, batch, channel, height, width)."""
Kernel = Float[Tensor, "_ _ _ _ _"]
"""(after, before, taps, rows, columns)."""

_POINTS = (0.0, 1.0, -1.0, 2.0, -0.5, -2.0)
"""Where polynomials are evaluated, in the order in which they come into use; infinity is always the last one."""
_LARGEST_TILE = 4
"""Frames made at once: more of them save more, and round worse."""
_FEWEST_CHANNELS = 32
"""Below these the transforms cost more than the multiplications they save."""


def pays(clips: Tensor) -> bool:
    """Whether `convolved` is faster than the layers as they are: on CPUs, in single precision or double."""
    return (
        clips.device.type == "cpu"
        and clips.dtype in (torch.float32, torch.float64)
        and not torch.is_autocast_enabled("cpu")
        and not torch.compiler.is_compiling()
    )


def convolved(layers: nn.Sequential, clips: Volume) -> Volume:
    """What `layers(clips)` gives, to rounding, with derivatives of every order.

    Between the layers time is the outermost axis, so that a clip is a row of pictures and each transform along time is
    one matrix product.

    Args:
        layers: 3D convolutions without groups and dilation, 3D batch norms, and what acts on each number alone.
        clips: to be judged.
    """
    batch = len(clips)
    pictures = clips.permute(2, 0, 1, 3, 4).flatten(0, 1)
    for layer in layers:
        if isinstance(layer, nn.Conv3d):
            pictures = _convolution(layer, pictures, batch)
        elif isinstance(layer, nn.BatchNorm3d):
            pictures = layer(pictures[:, :, None])[:, :, 0]
        else:
            pictures = layer(pictures)
    return pictures.unflatten(0, (-1, batch)).permute(1, 2, 0, 3, 4)


class Filtering(NamedTuple):
    """A filter along time: the sum over products of `outputs @ ((kernels @ w) * (inputs @ x))`."""

    inputs: Float[Tensor, "products tiles frames"]
    kernels: Float[Tensor, "products taps"]
    outputs: Float[Tensor, "products results tiles"]


@lru_cache(maxsize=64)
def filtering(frames: int, taps: int, stride: int, padding: int) -> Filtering:
    """The maps of Toom and Cook's algorithm, transposed (Lavin and Gray, 2016, Section 3), in double precision.

    With V_k the values of the k monomials at the points, a filter of r taps makes a tile of m results as
    V_m' [(V_r w) * (V_(m+r-1)^-T x)]: m + r - 1 products in place of m r. A stride of s makes s filters of r / s taps,
    one on every s-th frame. Padding and a last tile that is cut short are in the maps.

    Args:
        frames: how many there are.
        taps: of the kernel, a multiple of the stride.
        stride: of the results, in frames.
        padding: zeros before and after the frames.
    """
    short, length = taps // stride, (frames + 2 * padding - taps) // stride + 1
    tile = min(range(1, _LARGEST_TILE + 1), key=lambda m: -(-length // m) * (m + short - 1))
    count, tiles = tile + short - 1, -(-length // tile)
    within, of_kernel = torch.linalg.inv(_values(count, count)).T, _values(count, short)
    scale = of_kernel.abs().sum(dim=1, keepdim=True)  # balances the two factors of each product
    within, of_kernel = within * scale, of_kernel / scale
    inputs = torch.zeros(stride, count, tiles, frames, dtype=torch.float64)
    kernels = torch.zeros(stride, count, taps, dtype=torch.float64)
    outputs = torch.zeros(stride, count, length, tiles, dtype=torch.float64)
    for phase in range(stride):
        kernels[phase, :, phase::stride] = of_kernel
        for index in range(tiles):
            for offset in range(count):
                frame = phase + stride * (index * tile + offset) - padding
                if 0 <= frame < frames:
                    inputs[phase, :, index, frame] = within[:, offset]
            for offset in range(min(tile, length - index * tile)):
                outputs[phase, :, index * tile + offset, index] = _values(count, tile)[:, offset]
    return Filtering(inputs.flatten(0, 1), kernels.flatten(0, 1), outputs.flatten(0, 1))


def _values(points: int, count: int) -> Float[Tensor, "points count"]:
    """The monomials 1, x, ..., x^(count - 1) at the points; at infinity the last one alone counts."""
    finite = torch.tensor(_POINTS[: points - 1], dtype=torch.float64)[:, None] ** torch.arange(count)
    return torch.cat([finite, torch.eye(count, dtype=torch.float64)[-1:]])


def _convolution(layer: nn.Conv3d, pictures: Pictures, batch: int) -> Pictures:
    """The layer, on pictures that are sorted by time first."""
    assert not isinstance(layer.padding, str)
    taps, stride, padding = layer.kernel_size[0], layer.stride[0], layer.padding[0]
    frames = pictures.unflatten(0, (-1, batch))
    weight, space = layer.weight, (layer.stride[1:], layer.padding[1:])
    if not _saves(weight, len(frames), stride, padding):
        seen = _side_by_side(frames, taps, stride, padding)
        return conv2d(seen, weight.transpose(1, 2).flatten(1, 2), layer.bias, *space)
    made = _Convolved.apply(frames, weight, Plan(len(frames), taps, stride, padding, *space)).flatten(0, 1)
    return made if layer.bias is None else made + layer.bias[:, None, None]


class Plan(NamedTuple):
    """What a convolution does beside its kernel."""

    frames: int
    taps: int
    stride: int
    padding: int
    space_stride: tuple[int, ...]
    space_padding: tuple[int, ...]

    def maps(self, like: Tensor) -> Filtering:
        """Along time."""
        return Filtering(*(part.to(like) for part in filtering(*self[:4])))


class _Convolved(torch.autograd.Function):
    """The convolution of frames x by a kernel w.

    <y, conv(x, w)> is linear in x, w and y. Its derivatives by y, x and w are the functions of this class and of the
    next two, and each one's derivatives are the two others. No product is kept from the way there to the way back.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, w: Tensor, plan: Plan) -> Tensor:
        ctx.save_for_backward(x, w)
        ctx.plan = plan
        maps, made = plan.maps(x), None
        for number, (seen, kernel) in enumerate(zip(_along(maps.inputs, x), _kernels(maps, w), strict=True)):
            result = conv2d(seen, kernel, None, plan.space_stride, plan.space_padding)
            if made is None:
                made = x.new_zeros(maps.outputs.shape[1], x.shape[1], *result.shape[1:])
            _add(made, maps.outputs[number], result)
        assert made is not None
        return made

    @staticmethod
    def backward(ctx: Any, *upstream: Tensor) -> tuple[Tensor | None, ...]:
        (x, w), (y,), plan = ctx.saved_tensors, upstream, ctx.plan
        of_x = _OfFrames.apply(y, w, plan, x.shape[3:]) if ctx.needs_input_grad[0] else None
        of_w = _OfKernel.apply(x, y, plan, w.shape[3:]) if ctx.needs_input_grad[1] else None
        return of_x, of_w, None


class _OfFrames(torch.autograd.Function):
    """The derivative by x."""

    @staticmethod
    def forward(ctx: Any, y: Tensor, w: Tensor, plan: Plan, size: torch.Size) -> Tensor:
        ctx.save_for_backward(y, w)
        ctx.plan = plan
        maps = plan.maps(y)
        x = y.new_zeros(plan.frames, y.shape[1], w.shape[1], *size)
        outputs = _along(maps.outputs.transpose(1, 2), y)
        for number, (result, kernel) in enumerate(zip(outputs, _kernels(maps, w), strict=True)):
            shape = len(result), w.shape[1], *size
            seen = conv2d_input(shape, kernel, result, plan.space_stride, plan.space_padding)
            _add(x, maps.inputs[number].T, seen)
        return x

    @staticmethod
    def backward(ctx: Any, *upstream: Tensor) -> tuple[Tensor | None, ...]:
        (y, w), (x,), plan = ctx.saved_tensors, upstream, ctx.plan
        of_y = _Convolved.apply(x, w, plan) if ctx.needs_input_grad[0] else None
        of_w = _OfKernel.apply(x, y, plan, w.shape[3:]) if ctx.needs_input_grad[1] else None
        return of_y, of_w, None, None


class _OfKernel(torch.autograd.Function):
    """The derivative by w."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, y: Tensor, plan: Plan, sides: torch.Size) -> Tensor:
        ctx.save_for_backward(x, y)
        ctx.plan = plan
        maps, shape = plan.maps(x), (y.shape[2], x.shape[2], *sides)
        kernels = x.new_empty(len(maps.kernels), *shape)
        pairs = zip(_along(maps.inputs, x), _along(maps.outputs.transpose(1, 2), y), strict=True)
        for kernel, (seen, result) in zip(kernels, pairs, strict=True):
            kernel.copy_(conv2d_weight(seen, shape, result, plan.space_stride, plan.space_padding))
        by_tap = (maps.kernels.T @ kernels.flatten(1)).view(plan.taps, *shape)
        return by_tap.permute(1, 2, 0, 3, 4)

    @staticmethod
    def backward(ctx: Any, *upstream: Tensor) -> tuple[Tensor | None, ...]:
        (x, y), (w,), plan = ctx.saved_tensors, upstream, ctx.plan
        of_x = _OfFrames.apply(y, w, plan, x.shape[3:]) if ctx.needs_input_grad[0] else None
        of_y = _Convolved.apply(x, w, plan) if ctx.needs_input_grad[1] else None
        return of_x, of_y, None, None


def _along(maps: Float[Tensor, "products _ _"], frames: Frames) -> Iterator[Pictures]:
    """Each map along time, of the frames."""
    rows = frames.flatten(1)
    return ((each @ rows).view(-1, *frames.shape[2:]) for each in maps)


def _add(frames: Frames, along: Float[Tensor, "_ _"], pictures: Pictures) -> None:
    """Add a map along time of the pictures, which are sorted by time first."""
    frames.flatten(1).addmm_(along, pictures.reshape(along.shape[1], -1))


def _kernels(maps: Filtering, w: Kernel) -> Float[Tensor, "products _ _ _ _"]:
    by_tap = w.permute(2, 0, 1, 3, 4)
    return (maps.kernels @ by_tap.flatten(1)).view(-1, *by_tap.shape[1:])


def _saves(weight: Kernel, frames: int, stride: int, padding: int) -> bool:
    """Whether the products that are saved are worth more than the transforms."""
    taps = weight.shape[2]
    results = (frames + 2 * padding - taps) // stride + 1
    # at a stride fewer are saved: not enough for the kernel's transform, where all results are one tile
    return min(weight.shape[:2]) >= _FEWEST_CHANNELS and taps % stride == 0 and (stride == 1 or results > _LARGEST_TILE)


def _side_by_side(frames: Frames, taps: int, stride: int, padding: int) -> Pictures:
    """Each result's frames as channels of one picture."""
    if padding:
        zeros = frames.new_zeros(padding, *frames.shape[1:])
        frames = torch.cat([zeros, frames, zeros])
    length = (len(frames) - taps) // stride + 1
    parts = [frames[tap : tap + stride * (length - 1) + 1 : stride] for tap in range(taps)]
    return torch.cat(parts, dim=2).flatten(0, 1)
