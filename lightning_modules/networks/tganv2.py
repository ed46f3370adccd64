"""TGANv2's networks: a pyramid with more pixels and fewer frames at each level, and its critic (Saito et al., 2020)."""

from itertools import pairwise

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d, avg_pool3d, interpolate, pad

from datamodules.errors import UserError
from lightning_modules import noise
from lightning_modules.dynamics.base import Dynamics
from lightning_modules.networks.convolutions import Conv3d
from lightning_modules.networks.video_generator import Frames, Index, Seeds, Times, VideoGenerator, chosen

Pictures = Float[Tensor, "frame channel height width"]
Volume = Float[Tensor, "batch channel time height width"]


class TGANv2Generator(VideoGenerator):
    """Blocks double the size of latent feature maps; in training the last blocks get ever fewer frames.

    In training every level is rendered, with each level after the first keeping every `stride`-th frame of the one
    before from a random offset, one for the batch. In evaluation all frames go through to the last level, which alone
    is rendered. The public code of latent neural differential equations has a stride of 4, TGANv2's own of 2. Initial
    weights are those of that code: Xavier's in the blocks, PyTorch's elsewhere.

    Args:
        dynamics: of latent feature maps with `channels` channels.
        code: size of the clip's code, uniform in [-1, 1].
        channels: of the latent feature maps.
        widths: features after each block; the frame's side is `side` times 2 to the number of blocks.
        levels: how many of the last blocks are rendered.
        stride: of the frames between levels.
        image_channels: of a frame.
        side: of the latent feature maps: 3 for 96 and 192 pixels as published, 4 for 64.
    """

    def __init__(
        self,
        dynamics: Dynamics,
        code: int = 256,
        channels: int = 1024,
        widths: tuple[int, ...] = (512, 256, 128, 64, 32, 32),
        levels: int = 4,
        stride: int = 2,
        image_channels: int = 3,
        side: int = 3,
    ) -> None:
        super().__init__(dynamics, side << len(widths), channels=image_channels)
        if not 1 <= levels <= len(widths):
            raise UserError(f"`levels` must be from 1 to the number of blocks, {len(widths)}; got {levels}.")
        self.code = code
        self.stride = stride
        self.count = levels
        self.first = nn.Sequential(nn.Linear(code, channels * side**2), nn.Unflatten(1, (channels, side, side)))
        self.blocks = nn.ModuleList(_Grow(a, b) for a, b in pairwise((channels, *widths)))
        self.renders = nn.ModuleList(_render(width, image_channels) for width in widths[-levels:])

    def forward(
        self, times: Times, *, seeds: Seeds | None = None, labels: Index | None = None, only: Index | None = None
    ) -> list[Frames]:
        """See `VideoGenerator`: all levels in training, the last alone in evaluation."""
        normal = noise.normal(seeds, len(times), (self.code,), stream="code", device=times.device)
        code = 2 * torch.special.ndtr(normal) - 1
        pictures = chosen(self.states(self.first(code), times, seeds), only)
        inner = len(self.blocks) - self.count
        rendered = []
        for index, block in enumerate(self.blocks):
            if self.training and index > inner:
                length = pictures.shape[1]
                kept = pictures[:, int(torch.randint(min(self.stride, length), ())) :: self.stride]
                pictures = kept[:, : max(1, length // self.stride)]
            shape = pictures.shape[:2]
            pictures = block(pictures.flatten(0, 1)).unflatten(0, shape)
            if index >= inner and (self.training or index == len(self.blocks) - 1):
                render = self.renders[index - inner]
                rendered.append(render(pictures.flatten(0, 1)).unflatten(0, shape))
        return rendered

    def levels(self, frames: Frames) -> list[Frames]:
        """Real clips with the size and number of frames of each level, from a random offset per clip."""
        levels = []
        clips = torch.arange(len(frames), device=frames.device)[:, None]
        for level in range(self.count):
            if level:
                offset = torch.randint(min(self.stride, frames.shape[1]), (len(frames), 1), device=frames.device)
                # the number of frames that every offset leaves
                length = max(1, frames.shape[1] // self.stride)
                frames = frames[clips, offset + self.stride * torch.arange(length, device=frames.device)]
            shape, factor = frames.shape[:2], 2 ** (self.count - 1 - level)
            levels.append(avg_pool2d(frames.flatten(0, 1), factor).unflatten(0, shape))
        return levels


class TGANv2Critic(nn.Module):
    """One residual network over time and space for each level; the scores of all levels have the same weight.

    A block has as many hidden channels as it gets, the first one as many as it gives (116,077,060 parameters at the
    published sizes), and Xavier's initial weights, as in both public codes: TGANv2's, and that of latent neural
    differential equations.

    Args:
        channels: of a frame.
        levels: of the generator.
        width: features of the first block; each next one has twice as many.
        blocks: number of blocks.
        last_relu: whether a ReLU comes before the sum over space and time, as in TGANv2's code; the other has none.
        pad_single: whether an axis of length 1 is padded with zeros to 3, as in both codes, which pad every odd axis
            but take no mean over this one. False leaves it alone.
    """

    def __init__(
        self,
        channels: int = 3,
        levels: int = 4,
        width: int = 64,
        blocks: int = 5,
        last_relu: bool = True,
        pad_single: bool = True,
    ) -> None:
        super().__init__()
        self.channels = channels
        self.last_relu = last_relu
        widths = [channels, *(width << k for k in range(blocks))]
        self.levels = nn.ModuleList(
            nn.ModuleList(
                _Shrink(a, b, first=not k, pad_single=pad_single) for k, (a, b) in enumerate(pairwise(widths))
            )
            for _ in range(levels)
        )
        self.last = nn.ModuleList(_xavier(nn.Linear(widths[-1], 1), 1.0) for _ in range(levels))

    def forward(self, *levels: Frames) -> Float[Tensor, "batch level"]:
        """Scores (B, levels)."""
        if len(levels) != len(self.levels):
            raise UserError(f"This critic scores {len(self.levels)} levels together; got {len(levels)}.")
        scores = []
        for frames, blocks, last in zip(levels, self.levels, self.last, strict=True):
            x = frames.transpose(1, 2)
            assert isinstance(blocks, nn.ModuleList)
            for block in blocks:
                x = block(x)
            scores.append(last((x.relu() if self.last_relu else x).sum(dim=(2, 3, 4))))
        return torch.cat(scores, dim=1)


class _Grow(nn.Module):
    """A residual block that doubles an image's sides."""

    def __init__(self, before: int, after: int) -> None:
        super().__init__()
        self.norms = nn.ModuleList([nn.BatchNorm2d(before), nn.BatchNorm2d(after)])
        self.convolutions = nn.ModuleList(_xavier(nn.Conv2d(a, after, 3, padding=1), 2**0.5) for a in (before, after))
        self.shortcut = _xavier(nn.Conv2d(before, after, 1), 1.0)

    def forward(self, x: Pictures) -> Float[Tensor, "frame _ _ _"]:
        main = interpolate(self.norms[0](x).relu(), scale_factor=2)
        main = self.convolutions[1](self.norms[1](self.convolutions[0](main)).relu())
        # a 1 x 1 convolution commutes with the doubling
        return main + interpolate(self.shortcut(x), scale_factor=2)


class _Shrink(nn.Module):
    """A residual block that halves a clip's axes; the first one keeps the time axis and starts without a ReLU."""

    def __init__(self, before: int, after: int, first: bool, pad_single: bool) -> None:
        super().__init__()
        self.first = first
        self.pad_single = pad_single
        widths = (before, after if first else before, after)
        self.convolutions = nn.ModuleList(_xavier(Conv3d(a, b, 3, padding=1), 2**0.5) for a, b in pairwise(widths))
        self.shortcut = _xavier(Conv3d(before, after, 1), 1.0)

    def forward(self, x: Volume) -> Float[Tensor, "batch _ _ _ _"]:
        main = self.convolutions[0](x if self.first else x.relu())
        main = self.convolutions[1](main.relu())
        # a 1 x 1 convolution with a bias does not commute with a mean over padding, so each block keeps its order
        if self.first:
            return self._halve(main) + self.shortcut(self._halve(x))
        return self._halve(main) + self._halve(self.shortcut(x))

    def _halve(self, x: Volume) -> Float[Tensor, "batch channel _ _ _"]:
        kernel = [1 if self.first and axis == 0 else min(2, side) for axis, side in enumerate(x.shape[2:])]
        if not self.first:
            odd = [side % 2 * int(side > 1 or self.pad_single) for side in x.shape[2:]]
            x = pad(x, [width for width in reversed(odd) for _ in range(2)])
        return avg_pool3d(x, kernel)


def _render(width: int, channels: int) -> nn.Sequential:
    return nn.Sequential(nn.BatchNorm2d(width), nn.ReLU(), nn.Conv2d(width, channels, 3, padding=1), nn.Tanh())


def _xavier(layer: nn.Conv2d | nn.Conv3d | nn.Linear, gain: float) -> nn.Module:
    nn.init.xavier_uniform_(layer.weight, gain=gain)
    return layer
