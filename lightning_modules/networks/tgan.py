"""TGAN's networks: a code per clip, a code per frame, a critic over time and space (Saito et al., ICCV 2017)."""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from datamodules.errors import UserError
from lightning_modules import noise
from lightning_modules.dynamics.base import Dynamics
from lightning_modules.networks.convolutions import Conv3d
from lightning_modules.networks.video_generator import (
    Frames,
    Index,
    Seeds,
    Times,
    VideoGenerator,
    channels_last,
    chosen,
    doublings,
)


class TGANGenerator(VideoGenerator):
    """Each frame is generated from the clip's code z_slow and the dynamics' z_fast at its time (Table 1).

    z_slow is uniform in [-1, 1] and also the dynamics' code. Batch norms have shifts, as in the public code of latent
    neural differential equations (TGAN's own "no beta" run has none). Linear and transposed 1-D layers of the dynamics
    have Xavier initialisation at gain sqrt(2), the image generator's layers uniform weights within 0.01.

    Args:
        dynamics: from z_slow to z_fast, both of `code` values.
        code: size of z_slow and z_fast.
        channels: of a frame.
        size: side of a frame.
        width: features at the highest resolution; the lowest has `size` / 4 times as many.
    """

    def __init__(self, dynamics: Dynamics, code: int = 100, channels: int = 3, size: int = 64, width: int = 32) -> None:
        super().__init__(dynamics, size, channels=channels)
        self.code = code
        before = width << doublings(size)
        self.slow, self.fast = (_first(code, before // 2) for _ in range(2))
        parts: list[nn.Module] = []
        while before > width:
            parts.append(nn.ConvTranspose2d(before, before // 2, 4, stride=2, padding=1, bias=False))
            parts += [nn.BatchNorm2d(before // 2), nn.ReLU(inplace=True)]
            before //= 2
        self.image = nn.Sequential(*parts, nn.ConvTranspose2d(width, channels, 3, padding=1), nn.Tanh())
        for layer in dynamics.modules():
            if isinstance(layer, nn.Linear | nn.ConvTranspose1d):
                nn.init.xavier_uniform_(layer.weight, gain=2**0.5)
        for part in (self.slow, self.fast, self.image):
            for layer in part.modules():
                if isinstance(layer, nn.Linear | nn.ConvTranspose2d):
                    nn.init.uniform_(layer.weight, -0.01, 0.01)

    def forward(
        self, times: Times, *, seeds: Seeds | None = None, labels: Index | None = None, only: Index | None = None
    ) -> list[Frames]:
        """See `VideoGenerator`; there are no categories."""
        uniform = noise.normal(seeds, len(times), (self.code,), stream="code", device=times.device)
        code = 2 * torch.special.ndtr(uniform) - 1
        fast = chosen(self.states(code, times, seeds), only)
        shape = fast.shape[:2]
        slow = self.slow(code)[:, None].expand(-1, shape[1], -1, -1, -1)
        both = torch.cat([slow.flatten(0, 1), self.fast(fast.flatten(0, 1))], dim=1)
        return [self.image(channels_last(both)).unflatten(0, shape)]


class TGANCritic(nn.Module):
    """Scores of whole clips from four convolutions over time and space (Table 2).

    Args:
        channels: of a frame.
        size: side of a frame, a multiple of 16.
        width: features of the first layer.
        batch_norm: as in the paper, after all but the first. Real and fake clips are normalised separately, so means
            and scales of features cannot distinguish them; a generator learned nothing from a narrow critic with it in
            800 updates.
    """

    def __init__(self, channels: int = 3, size: int = 64, width: int = 64, batch_norm: bool = True) -> None:
        super().__init__()
        if size < 16 or size % 16:
            raise UserError(f"TGAN's critic halves frames four times: sizes are multiples of 16; got {size}.")
        self.channels = channels
        self.size = size
        parts: list[nn.Module] = []
        before = channels
        for layer in range(4):
            after = width << layer
            parts.append(Conv3d(before, after, 4, stride=2, padding=1))
            parts += [nn.BatchNorm3d(after)] if layer and batch_norm else []
            parts.append(nn.LeakyReLU(0.2, inplace=True))
            before = after
        self.layers = nn.Sequential(*parts)
        self.last = nn.Conv2d(before, 1, size // 16)
        for layer_ in self.modules():
            if isinstance(layer_, nn.Conv3d | nn.Conv2d):
                nn.init.xavier_normal_(layer_.weight, gain=2**0.5)

    def forward(self, frames: Frames) -> Float[Tensor, "batch times"]:
        """Scores (B, frames / 16)."""
        if frames.shape[1] < 16:
            raise UserError(f"TGAN's critic needs at least 16 frames; got {frames.shape[1]}. Sample more frames.")
        features = self.layers(frames.transpose(1, 2)).transpose(1, 2)
        return self.last(features.flatten(0, 1)).unflatten(0, features.shape[:2]).flatten(1)


def _first(code: int, channels: int) -> nn.Sequential:
    """From a code to features of 4 x 4 pixels."""
    linear = nn.Linear(code, channels * 16, bias=False)
    return nn.Sequential(linear, nn.BatchNorm1d(channels * 16), nn.ReLU(), nn.Unflatten(1, (channels, 4, 4)))
