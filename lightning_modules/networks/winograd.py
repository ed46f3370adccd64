"""3D convolutions with fewer multiplications: Winograd's minimal filtering in space (Lavin and Gray, 2016)."""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import conv3d, conv_transpose3d

CHUNK = 2**22
"""How many transformed numbers there are at a time: more leave the caches, and memory is asked of the system anew."""


class Layer(NamedTuple):
    """What a convolution does beside its kernel, which is 3 x 3 in space with stride 1 or 4 x 4 with stride 2."""

    step: int
    """The stride in space; the padding there is 1."""
    before: int
    """Frames of zeros before the first and after the last; the stride in time is 1."""
    direct: bool = False
    """Whether the multiplications are saved for the kernel's derivative alone."""


class Filtering(NamedTuple):
    """Two neighbouring outputs of a 1D filter: `outputs @ ((kernels @ filter) * (inputs @ what lies under it))`."""

    inputs: tuple[tuple[int, ...], ...]
    kernels: tuple[tuple[float, ...], ...]
    outputs: tuple[tuple[int, ...], ...]


FILTERINGS = {
    1: Filtering(  # F(2, 3), eq. 7: three taps with 4 multiplications for 6
        inputs=((1, 0, -1, 0), (0, 1, 1, 0), (0, -1, 1, 0), (0, 1, 0, -1)),
        kernels=((1, 0, 0), (0.5, 0.5, 0.5), (0.5, -0.5, 0.5), (0, 0, 1)),
        outputs=((1, 1, 1, 0), (0, 1, -1, -1)),
    ),
    2: Filtering(  # F(2, 2): of stride 2, four taps are two on each of two phases, with 3 multiplications for 4
        inputs=((1, -1, 0), (0, 1, 0), (0, -1, 1)),
        kernels=((1, 0), (1, 1), (0, 1)),
        outputs=((1, 1, 0), (0, 1, 1)),
    ),
}
"""By the stride in space."""


class Convolve(torch.autograd.Function):
    """The convolution of maps x by a kernel w.

    With y of the output's shape, <y, conv(x, w)> is linear in each of the three. Its derivatives by y, x and w are the
    functions of this and the next two classes, and each one's own derivatives are the two others: so gradients of every
    order are had with fewer multiplications.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, w: Tensor, layer: Layer) -> Tensor:
        """The maps y of x (batch, before, time, height, width) and w (after, before, taps, rows, columns)."""
        ctx.save_for_backward(x, w)
        ctx.layer = layer
        if layer.direct:
            return conv3d(x, w, None, (1, layer.step, layer.step), (layer.before, 1, 1))
        kernels, size = _kernels(w, layer), [n // layer.step for n in x.shape[3:]]
        time = x.shape[2] + 2 * layer.before - len(kernels) + 1
        y = _empty(x, len(x), w.shape[0], time, *size)
        for clips in _chunks(len(x), x[0].numel(), y[0].numel() * layer.step**2):
            _collect(_multiplied(_gathered(x[clips], layer), kernels, layer, time), layer, y[clips])
        return y

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> Any:
        """The two others."""
        x, w = ctx.saved_tensors
        need_x, need_w, _ = ctx.needs_input_grad
        return (
            ConvolveBack.apply(w, g, ctx.layer) if need_x else None,
            Correlate.apply(x, g, ctx.layer) if need_w else None,
            None,
        )


class ConvolveBack(torch.autograd.Function):
    """The derivative by x: a transposed convolution of y."""

    @staticmethod
    def forward(ctx: Any, w: Tensor, y: Tensor, layer: Layer) -> Tensor:
        """Maps like x of w and y."""
        ctx.save_for_backward(w, y)
        ctx.layer = layer
        if layer.direct:
            return conv_transpose3d(y, w, None, (1, layer.step, layer.step), (layer.before, 1, 1))
        kernels, size = _kernels(w, layer), [n * layer.step for n in y.shape[3:]]
        time = y.shape[2] - 2 * layer.before + len(kernels) - 1
        x = _empty(y, len(y), w.shape[1], time, *size)
        for clips in _chunks(len(x), x[0].numel(), y[0].numel() * layer.step**2):
            _scatter(_multiplied(_spread(y[clips], layer), kernels, layer, time, back=True), layer, x[clips])
        return x

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> Any:
        """The two others."""
        w, y = ctx.saved_tensors
        need_w, need_y, _ = ctx.needs_input_grad
        return (
            Correlate.apply(g, y, ctx.layer) if need_w else None,
            Convolve.apply(g, w, ctx.layer) if need_y else None,
            None,
        )


class Correlate(torch.autograd.Function):
    """The derivative by w: what of x lies under what of y."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, y: Tensor, layer: Layer) -> Tensor:
        """A kernel like w of x and y."""
        ctx.save_for_backward(x, y)
        ctx.layer = layer
        total = None
        for clips in _chunks(len(x), x[0].numel(), y[0].numel() * layer.step**2):
            found = _correlated(_gathered(x[clips], layer), _spread(y[clips], layer), layer)
            total = found if total is None else total.add_(found)
        assert total is not None
        return _weights(total, x.shape[1], layer)

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> Any:
        """The two others."""
        x, y = ctx.saved_tensors
        need_x, need_y, _ = ctx.needs_input_grad
        return (
            ConvolveBack.apply(g, y, ctx.layer) if need_x else None,
            Convolve.apply(x, g, ctx.layer) if need_y else None,
            None,
        )


def _empty(like: Tensor, *shape: int) -> Tensor:
    return torch.empty(shape, dtype=like.dtype, device=like.device, memory_format=torch.channels_last_3d)


def _chunks(batch: int, *sizes: int) -> list[slice]:
    """So many clips at a time that what is made of them stays small: 4 numbers of 1, at the most."""
    each = max(1, CHUNK // (4 * max(sizes)))
    return [slice(first, first + each) for first in range(0, batch, each)]


def _gathered(x: Tensor, layer: Layer) -> Tensor:
    """(points, points, time, batch, tiles, tiles, channels): the transformed inputs of every 2 x 2 outputs.

    A stride's phases, rows and columns by turns, are channels.
    """
    batch, channels, time, height, width = x.shape
    step = layer.step
    edge = 2 // step
    padded = x.new_zeros(time, batch, height // step + edge, width // step + edge, step**2, channels)
    for number, (here, there) in enumerate(_phases(step, height, width)):
        padded[:, :, *there, number] = x.permute(2, 0, 3, 4, 1)[:, :, *here]
    padded = padded.flatten(4)
    matrix = FILTERINGS[step].inputs
    points, tiles = len(matrix), (height // step // 2, width // step // 2)
    rows = x.new_empty(points, time, batch, tiles[0], *padded.shape[3:])
    parts = [padded[:, :, k : k + 2 * tiles[0] - 1 : 2] for k in range(points)]
    for row, out in zip(matrix, rows, strict=True):
        _combine(parts, row, out)
    result = x.new_empty(points, points, time, batch, *tiles, padded.shape[-1])
    parts = [rows[..., k : k + 2 * tiles[1] - 1 : 2, :] for k in range(points)]
    for number, row in enumerate(matrix):
        _combine(parts, row, result[:, number])
    return result


def _scatter(tiled: Tensor, layer: Layer, out: Tensor) -> None:
    """The adjoint of `_gathered`, to maps of (batch, channel, time, height, width)."""
    step, matrix = layer.step, FILTERINGS[layer.step].inputs
    _, points, time, batch, height, width, wide = tiled.shape
    rows = tiled.new_zeros(points, time, batch, height, 2 * width + points - 2, wide)
    for number, row in enumerate(matrix):
        for k, factor in enumerate(row):
            if factor:
                rows[..., k : k + 2 * width - 1 : 2, :].add_(tiled[:, number], alpha=factor)
    padded = tiled.new_zeros(time, batch, 2 * height + points - 2, rows.shape[4], wide)
    for number, row in enumerate(matrix):
        for k, factor in enumerate(row):
            if factor:
                padded[:, :, k : k + 2 * height - 1 : 2].add_(rows[number], alpha=factor)
    padded = padded.unflatten(4, (step**2, -1))
    for number, (here, there) in enumerate(_phases(step, *out.shape[3:])):
        out.permute(2, 0, 3, 4, 1)[:, :, *here] = padded[:, :, *there, number]


def _phases(step: int, height: int, width: int) -> Iterator[tuple[tuple[slice, slice], tuple[slice, slice]]]:
    """For each phase of a stride the rows and columns of maps, and where they are among its own when padded by 1."""
    if step == 1:
        yield (slice(None), slice(None)), (slice(1, height + 1), slice(1, width + 1))
        return
    for row in (0, 1):
        for column in (0, 1):
            here = slice(1 - row, None, 2), slice(1 - column, None, 2)
            yield here, (slice(1 - row, 1 - row + height // 2), slice(1 - column, 1 - column + width // 2))


def _spread(y: Tensor, layer: Layer) -> Tensor:
    """(points, points, time, batch, tiles, tiles, channels): 2 x 2 outputs to the products they are sums of."""
    matrix = FILTERINGS[layer.step].outputs
    batch, channels, time, height, width = y.shape
    last = y.permute(2, 0, 3, 4, 1)
    if last.stride(-1) != 1:
        last = last.contiguous()
    points = len(matrix[0])
    columns = list(zip(*matrix, strict=True))
    rows = y.new_empty(points, time, batch, height // 2, width, channels)
    for column, out in zip(columns, rows, strict=True):
        _combine([last[:, :, k::2] for k in range(2)], column, out)
    result = y.new_empty(points, points, time, batch, height // 2, width // 2, channels)
    for number, column in enumerate(columns):
        _combine([rows[..., k::2, :] for k in range(2)], column, result[:, number])
    return result


def _collect(products: Tensor, layer: Layer, out: Tensor) -> None:
    """The adjoint of `_spread`, to maps of (batch, channel, time, height, width)."""
    matrix = FILTERINGS[layer.step].outputs
    points, _, time, batch, height, width, channels = products.shape
    rows = products.new_empty(points, time, batch, height, 2 * width, channels)
    for k, row in enumerate(matrix):
        _combine(list(products.unbind(1)), row, rows[..., k::2, :])
    last = out.permute(2, 0, 3, 4, 1)
    for k, row in enumerate(matrix):
        _combine(list(rows), row, last[:, :, k::2])


def _kernels(w: Tensor, layer: Layer) -> Tensor:
    """(taps, points^2, after, before): the kernel at every point; `before` has the phases' channels of a stride."""
    after, before, taps, rows, columns = w.shape
    step = layer.step
    if w.is_contiguous():  # a matrix turned round is quick
        turned = w.flatten(2).flatten(0, 1).t().contiguous().view(taps, rows, columns, after, before)
    else:
        turned = w.permute(2, 3, 4, 0, 1)
    phases = turned.unflatten(2, (-1, step)).unflatten(1, (-1, step))  # taps rows phase columns phase after before
    tapped = phases.permute(0, 1, 3, 5, 2, 4, 6).flatten(4).flatten(1, 2)
    return torch.matmul(_points(w, layer), tapped.flatten(2)).unflatten(2, (after, -1))


def _weights(found: Tensor, before: int, layer: Layer) -> Tensor:
    """The adjoint of `_kernels`."""
    step, side = layer.step, len(FILTERINGS[layer.step].kernels[0])
    tapped = torch.matmul(_points(found, layer).T, found.flatten(2)).unflatten(2, (found.shape[2], step, step, before))
    phases = tapped.unflatten(1, (side, side)).permute(0, 1, 4, 2, 5, 3, 6)
    taps, after = len(found), found.shape[2]
    turned = phases.reshape(-1, after * before).t().contiguous()
    return turned.view(after, before, taps, side * step, side * step)


def _points(like: Tensor, layer: Layer) -> Tensor:
    matrix = like.new_tensor(FILTERINGS[layer.step].kernels)
    return torch.kron(matrix, matrix)


def _multiplied(tiled: Tensor, kernels: Tensor, layer: Layer, length: int, *, back: bool = False) -> Tensor:
    """At every point and place the sum over the taps of the kernel times the channels; `back` from y to x."""
    time, taps = tiled.shape[2], len(kernels)
    kernels = kernels if back else kernels.transpose(2, 3)
    products = tiled.new_empty(*tiled.shape[:2], length, *tiled.shape[3:-1], kernels.shape[3])
    joined = [_joined(tap, layer, *((length, time) if back else (time, length))) for tap in range(taps)]
    spans = [(y, x, tap) if back else (x, y, tap) for tap, (x, y) in enumerate(joined)]
    spans.sort(key=lambda span: span[1].start - span[1].stop)  # the longest first
    whole = spans[0][1] == slice(0, length)
    if not whole:
        products.zero_()
    for number, (here, there, tap) in enumerate(spans):
        kept = float(number > 0 or not whole)  # the first tap's numbers are written, the others' added
        found = _flat(products, there)
        torch.baddbmm(found, _flat(tiled, here), kernels[tap], beta=kept, out=found)
    return products


def _correlated(gathered: Tensor, spread: Tensor, layer: Layer) -> Tensor:
    """(taps, points^2, after, before)."""
    time, length = gathered.shape[2], spread.shape[2]
    taps = time + 2 * layer.before - length + 1
    found = gathered.new_empty(taps, gathered.shape[0] ** 2, spread.shape[-1], gathered.shape[-1])
    for tap in range(taps):
        x, y = _joined(tap, layer, time, length)
        torch.bmm(_flat(spread, y).transpose(1, 2), _flat(gathered, x), out=found[tap])
    return found


def _joined(tap: int, layer: Layer, before: int, after: int) -> tuple[slice, slice]:
    """The frames of x and of y that a tap in time joins."""
    shift = tap - layer.before
    first, last = max(0, -shift), min(after, before - shift)
    return slice(first + shift, last + shift), slice(first, last)


def _flat(tiled: Tensor, frames: slice) -> Tensor:
    """(points^2, places in these frames, channels), without a copy."""
    return tiled.flatten(0, 1)[:, frames].flatten(1, -2)


def _combine(parts: Sequence[Tensor], factors: Sequence[int], out: Tensor) -> None:
    """The sum of the parts times the factors, which are 0, 1 or -1, to `out`."""
    used = sorted(((part, f) for part, f in zip(parts, factors, strict=True) if f), key=lambda each: -each[1])
    (first, sign), *others = used
    if not others:
        torch.mul(first, sign, out=out)
        return
    assert sign == 1, "no row of a filtering has two factors of -1 and none of 1"
    (second, factor), *rest = others
    torch.add(first, second, alpha=factor, out=out)
    for part, factor in rest:
        out.add_(part, alpha=factor)
