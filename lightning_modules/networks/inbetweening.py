"""The inbetweening network: image encoder, latent generator and video generator (Li et al., 2019)."""

from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn

from datamodules.errors import UserError
from lightning_modules.networks.convolutions import Conv3d, ConvTranspose3d
from lightning_modules.networks.gradient_checkpointing import in_pairs, recomputed

Image = Float[Tensor, "batch channel height width"]
Latent = Float[Tensor, "batch latent low_height low_width"]
Latents = Float[Tensor, "batch latent time low_height low_width"]
Noise = Float[Tensor, "batch noise"]
Video = Float[Tensor, "batch time channel height width"]
Variant = Literal["fusion", "without_fusion", "naive"]

SMALLEST = 8
"""Rows and columns of the latent maps at every frame size: frames of twice the size have one level more."""


class InbetweeningNetwork(nn.Module):
    """From a start frame, an end frame and noise to all frames from one to the other.

    The defaults are the paper's: 64 px are three doublings of the latent maps' 8 x 8; 16 frames are three doublings of
    the two given ones. Larger frames have more levels, of at most `4 * width` channels; other lengths have more or
    fewer granularities.

    Args:
        channels: of the frames, 1 or 3.
        size: rows and columns of the frames: 16, 32, 64, ... (8 times a power of two).
        frames: T, both ends included: a power of two from 4 on.
        width: channels of the encoder's first and of the video generator's last level (Appendix A).
        latent: C, channels of the latent maps.
        noise: D, length of the noise vector.
        blocks: L, residual blocks of the latent generator, equally many at each granularity.
        variant: the full model (`fusion`) or a baseline of Section 4.2: `without_fusion` has no gates, `naive` no
            latent generator: its video generator doubles the time too.
        slope: of the leaky ReLU below zero.
        recompute: gradient checkpointing: activations inside a block or a level are recomputed for the gradients
            instead of stored. Less memory for more time; results are the same.

    Raises:
        UserError: if size or number of frames cannot be reached by doubling, or the blocks not be divided equally.
    """

    def __init__(
        self,
        channels: int = 3,
        size: int = 64,
        frames: int = 16,
        width: int = 64,
        latent: int = 64,
        noise: int = 128,
        blocks: int = 24,
        variant: Variant = "fusion",
        slope: float = 0.2,
        recompute: bool = False,
    ) -> None:
        super().__init__()
        levels = octaves(size, SMALLEST, "size")
        doublings = octaves(frames, 2, "frames")
        widths = [min(width * 2**level, 4 * width) for level in range(levels)]
        self.channels, self.size, self.frames, self.noise = channels, size, frames, noise
        self.encoder = ImageEncoder(channels, widths, latent, slope, recompute)
        self.latents: LatentGenerator | StackedEnds
        if variant == "naive":
            if doublings > levels:
                raise UserError(
                    f"The naive variant doubles the time where it doubles the size: {levels} times at {size} px, which "
                    f"makes at most {2 ** (levels + 1)} frames; got {frames}. Lower `frames` or raise `size`."
                )
            self.latents = StackedEnds(latent, noise)
            self.decoder = VideoDecoder(latent, widths, channels, slope, doublings, recompute)
        else:
            fusion = variant == "fusion"
            self.latents = LatentGenerator(latent, noise, doublings, blocks, slope, fusion, recompute)
            self.decoder = VideoDecoder(latent, widths, channels, slope, recompute=recompute)

    def forward(self, start: Image, end: Image, noise: Noise) -> Video:
        """All T frames in [-1, 1], including the network's own version of the two ends."""
        return self.decoder(self.latents(*self.encode(start, end), noise)).transpose(1, 2)

    def encode(self, start: Image, end: Image) -> tuple[Latent, Latent]:
        """E(x_s) and E(x_e); in training one batch normalisation sees both."""
        if start.shape[1:] != (self.channels, self.size, self.size):
            channels, height, width = start.shape[1:]
            raise UserError(
                f"This network makes {self.channels} x {self.size} x {self.size} frames (channels, rows, columns); the "
                f"given ones are {channels} x {height} x {width}. Resize them, or train a network of other `channels` "
                "and `size`."
            )
        first, last = self.encoder(torch.cat([start, end])).chunk(2)
        return first, last

    def decode_blocks(self, start: Image, end: Image, noise: Noise, last: int = 8) -> list[Video]:
        """The videos that the video generator decodes from the last blocks' outputs, the final one last (Fig. 4).

        Raises:
            UserError: if there are fewer blocks at the full length, or no blocks (`naive`).
        """
        full = 0 if isinstance(self.latents, StackedEnds) else self.latents.blocks_per_length
        if not 1 <= last <= full:
            raise UserError(
                f"Only the blocks at the full length can be decoded: this network has {full}; got last {last}."
            )
        assert isinstance(self.latents, LatentGenerator)
        stages = self.latents.stages(*self.encode(start, end), noise)
        return [self.decoder(stage).transpose(1, 2) for stage in stages[-last:]]


class ImageEncoder(nn.Sequential):
    """E: for each level a 4 x 4 convolution that halves the size and a 3 x 3 one; then 3 x 3 to the latent channels."""

    def __init__(
        self, channels: int, widths: list[int], latent: int, slope: float = 0.2, recompute: bool = False
    ) -> None:
        layers: list[nn.Module] = []
        before = channels
        for width in widths:
            layers += [_normed(nn.Conv2d(before, width, 4, 2, 1, bias=False), slope)]
            layers += [_normed(nn.Conv2d(width, width, 3, 1, 1, bias=False), slope)]
            before = width
        super().__init__(*layers, _normed(nn.Conv2d(before, latent, 3, 1, 1, bias=False), slope))
        self.recompute = recompute

    def forward(self, image: Image) -> Latent:
        """The latent map of each frame."""
        return in_pairs(self, image) if self.recompute else super().forward(image)


class LatentGenerator(nn.Module):
    """G_Z: residual blocks with fusion of the ends, each length twice the previous one (Section 3.2, Fig. 1).

    z(0) is (E(x_s), E(x_e)); the time is doubled by repetition before the first block of each length, so that the
    first block's input is (s, s, e, e).
    """

    def __init__(
        self,
        latent: int,
        noise: int,
        doublings: int,
        blocks: int,
        slope: float = 0.2,
        fusion: bool = True,
        recompute: bool = False,
    ) -> None:
        super().__init__()
        if blocks < 1 or blocks % doublings:
            raise UserError(
                f"{2 ** (doublings + 1)} frames are made at {doublings} lengths, with equally many blocks "
                f"each; got {blocks} blocks. Make `blocks` a multiple of {doublings}."
            )
        self.blocks_per_length = blocks // doublings
        self.recompute = recompute
        self.blocks = nn.ModuleList(
            FusionBlock(latent, noise, 4 * 2 ** (block // self.blocks_per_length), slope, fusion)
            for block in range(blocks)
        )

    def forward(self, start: Latent, end: Latent, noise: Noise) -> Latents:
        """z = z(L)."""
        return self.stages(start, end, noise)[-1]

    def stages(self, start: Latent, end: Latent, noise: Noise) -> list[Latents]:
        """z(1), ..., z(L)."""
        z = torch.stack([start, end], dim=2)
        stages = []
        for block in self.blocks:
            assert isinstance(block, FusionBlock)
            z = z.repeat_interleave(block.length // z.shape[2], dim=2)
            z = recomputed(block, z, start, end, noise) if self.recompute else block(z, start, end, noise)
            stages.append(z)
        return stages


class FusionBlock(nn.Module):
    """One block G(l): noise, gates, fusion with the encoded ends, and a residual unit (eqs 1 to 5).

    Eq. 4 prints the start's gate twice; the paper's text has a gate for each end, and so does this block. Eq. 5 adds
    z(l-1), not the fused input, to the residual. A convolution before a batch normalisation has no bias, because the
    normalisation has a shift.
    """

    def __init__(self, latent: int, noise: int, length: int, slope: float = 0.2, fusion: bool = True) -> None:
        super().__init__()
        self.length = length
        self.project = nn.Linear(noise, length * latent)
        self.start_gate = nn.Conv1d(latent, latent, 3, padding=1) if fusion else None
        self.end_gate = nn.Conv1d(latent, latent, 3, padding=1) if fusion else None
        self.added_noise = nn.Conv1d(latent, latent, 3, padding=1)
        self.inner = _normed(Conv3d(latent, latent, 3, padding=1, bias=False), slope)
        self.outer = nn.Sequential(Conv3d(latent, latent, 3, padding=1, bias=False), nn.BatchNorm3d(latent))
        self.activation = nn.LeakyReLU(slope)

    def forward(self, z: Latents, start: Latent, end: Latent, noise: Noise) -> Latents:
        """z(l) from z(l-1), which already has this block's length."""
        u = self.project(noise).unflatten(1, (self.length, -1)).transpose(1, 2)  # batch latent time
        fused = z
        if (gates := self.gates(u)) is not None:
            from_start, from_end, kept = (gate[..., None, None] for gate in gates)
            fused = from_start * start[:, :, None] + from_end * end[:, :, None] + kept * z
        fused = fused + self.added_noise(u)[..., None, None]
        return self.activation(z + self.outer(self.inner(fused)))

    def gates(
        self, u: Float[Tensor, "batch latent time"]
    ) -> (
        tuple[
            Float[Tensor, "batch latent time"], Float[Tensor, "batch latent time"], Float[Tensor, "batch latent time"]
        ]
        | None
    ):
        """The weights of the start, the end and z(l-1) in eq. 4, or None without fusion."""
        if self.start_gate is None or self.end_gate is None:
            return None
        from_start, from_end = self.start_gate(u).sigmoid(), self.end_gate(u).sigmoid()
        return from_start, from_end, (1 - from_start - from_end).clamp_min(0)


class StackedEnds(nn.Module):
    """The naive baseline's latents: the two encoded ends in sequence, plus noise that is constant in space."""

    def __init__(self, latent: int, noise: int) -> None:
        super().__init__()
        self.project = nn.Linear(noise, 2 * latent)

    def forward(self, start: Latent, end: Latent, noise: Noise) -> Latents:
        """z(0) and the noise, at length 2."""
        added = self.project(noise).unflatten(1, (2, -1)).transpose(1, 2)
        return torch.stack([start, end], dim=2) + added[..., None, None]


class VideoDecoder(nn.Sequential):
    """G_V: 3 x 3 x 3 convolutions, and for each level a transposed 3 x 4 x 4 one that doubles the size (Appendix A).

    The last layer has no normalisation, and a tanh, so that frames can reach both ends of [-1, 1]. A transposed
    convolution of stride 1 is a convolution, and implemented as one.

    Args:
        latent: channels of the latent maps.
        widths: of the levels, as the encoder's.
        channels: of the frames.
        slope: of the leaky ReLU.
        doublings: how many of the first levels also double the time, by kernels of 4 (the naive baseline).
        recompute: see `InbetweeningNetwork`.
    """

    def __init__(
        self,
        latent: int,
        widths: list[int],
        channels: int,
        slope: float = 0.2,
        doublings: int = 0,
        recompute: bool = False,
    ) -> None:
        layers: list[nn.Module] = [_normed(Conv3d(latent, widths[-1], 3, padding=1, bias=False), slope)]
        ups = list(zip(reversed(widths), [*reversed(widths[:-1]), channels], strict=True))
        for level, (width, after) in enumerate(ups):
            time, step = (4, 2) if level < doublings else (3, 1)
            last = level == len(ups) - 1
            up = ConvTranspose3d(width, after, (time, 4, 4), (step, 2, 2), 1, bias=last)
            layers += [_normed(Conv3d(width, width, 3, padding=1, bias=False), slope)]
            layers += [nn.Sequential(up, nn.Tanh()) if last else _normed(up, slope)]
        super().__init__(*layers)
        self.recompute = recompute

    def forward(self, latents: Latents) -> Float[Tensor, "batch channel frames height width"]:
        """The video, channels before time."""
        return in_pairs(self, latents) if self.recompute else super().forward(latents)


def octaves(value: int, smallest: int, name: str) -> int:
    """How often `smallest` must be doubled to reach `value`, at least once.

    Raises:
        UserError: if doubling does not reach it.
    """
    count = value.bit_length() - smallest.bit_length()
    if count < 1 or value != smallest * 2**count:
        nearest = smallest * 2 ** max(count, 1)
        raise UserError(
            f"`{name}` must be {smallest} times a power of two, at least {2 * smallest}: every level doubles it; "
            f"got {value}. Choose {nearest} or {2 * nearest}."
        )
    return count


def _normed(convolution: nn.Module, slope: float) -> nn.Sequential:
    """A layer of the generator: convolution, batch normalisation, leaky ReLU."""
    norm = nn.BatchNorm2d if isinstance(convolution, nn.Conv2d) else nn.BatchNorm3d
    width = convolution.out_channels
    assert isinstance(width, int)
    return nn.Sequential(convolution, norm(width), nn.LeakyReLU(slope))
