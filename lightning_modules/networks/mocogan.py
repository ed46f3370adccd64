"""MoCoGAN's networks: a generator of content and motion, an image and a video critic (Tulyakov et al., CVPR 2018)."""

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import one_hot

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
    chosen,
    doublings,
    pixels,
)


class MoCoGANGenerator(VideoGenerator):
    """Each frame is generated from the clip's content code and category and the frame's own motion code (Fig. 2).

    The dynamics maps normal noise to the motion codes. Latent neural differential equations use 50 content and 16
    motion values and no categories, MoCoGAN itself 50, 10 and 6.

    Args:
        dynamics: of the motion code, vectors of `motion` values.
        content: size of the content code.
        motion: size of the motion code.
        categories: number of categories that the generator is conditioned on; uniform where no label is given.
        channels: of a frame.
        size: side of a frame.
        width: channels of the features at the highest resolution.
    """

    def __init__(
        self,
        dynamics: Dynamics,
        content: int = 50,
        motion: int = 16,
        categories: int = 0,
        channels: int = 3,
        size: int = 64,
        width: int = 64,
    ) -> None:
        super().__init__(dynamics, size, categories, channels)
        self.content = content
        self.motion = motion
        before = width << (doublings(size) - 1)
        parts: list[nn.Module] = [nn.ConvTranspose2d(content + categories + motion, before, 4, bias=False)]
        while before > width:
            parts += [nn.BatchNorm2d(before), nn.ReLU(inplace=True)]
            parts.append(nn.ConvTranspose2d(before, before // 2, 4, stride=2, padding=1, bias=False))
            before //= 2
        parts += [nn.BatchNorm2d(before), nn.ReLU(inplace=True)]
        parts.append(nn.ConvTranspose2d(before, channels, 4, stride=2, padding=1, bias=False))
        self.image = nn.Sequential(*parts, nn.Tanh())

    def forward(
        self, times: Times, *, seeds: Seeds | None = None, labels: Index | None = None, only: Index | None = None
    ) -> list[Frames]:
        """See `VideoGenerator`."""
        batch, device = len(times), times.device
        code = noise.normal(seeds, batch, (self.motion,), stream="motion", device=device)
        parts = [noise.normal(seeds, batch, (self.content,), stream="content", device=device)]
        if self.categories:
            if labels is None:
                raise UserError(f"This generator has {self.categories} categories; give each clip a label.")
            parts.append(one_hot(labels.to(device), self.categories).float())
        moving = chosen(self.states(code, times, seeds), only)
        still = torch.cat(parts, dim=1)[:, None].expand(-1, moving.shape[1], -1)
        latent = torch.cat([still, moving], dim=2)
        return [self.image(pixels(latent.flatten(0, 1))).unflatten(0, latent.shape[:2])]


class MoCoGANVideoCritic(nn.Module):
    """Logits of whole clips from convolutions over time and space, followed by category logits.

    Args:
        channels: of a frame.
        size: side of a frame.
        width: features of the first layer.
        categories: number of category logits after the first logit.
        noise: standard deviation of the normal noise before every convolution but the last, in training.
    """

    def __init__(
        self, channels: int = 3, size: int = 64, width: int = 64, categories: int = 0, noise: float = 0.0
    ) -> None:
        super().__init__()
        self.channels = channels
        self.size = size
        self.categories = categories
        parts: list[nn.Module] = []
        before, after = channels, width
        for layer in range(doublings(size)):
            parts += [InstanceNoise(noise), Conv3d(before, after, 4, (1, 2, 2), (0, 1, 1), bias=False)]
            parts += [nn.BatchNorm3d(after)] if layer else []
            parts.append(nn.LeakyReLU(0.2, inplace=True))
            before, after = after, 2 * after
        self.shortest = 3 * doublings(size) + 4
        self.layers = nn.Sequential(*parts, Conv3d(before, 1 + categories, 4, bias=False))

    def forward(self, frames: Frames) -> Float[Tensor, "batch logit times"]:
        """Logits (B, 1 + categories, positions in time)."""
        if frames.shape[1] < self.shortest:
            raise UserError(
                f"At this frame size the video critic needs at least {self.shortest} frames; got "
                f"{frames.shape[1]}. Sample more frames."
            )
        return self.layers(frames.transpose(1, 2))[..., 0, 0]


class MoCoGANImageCritic(nn.Module):
    """Logits of patches of single frames.

    Args:
        channels: of a frame.
        width: features of the first layer.
        noise: standard deviation of the normal noise before every convolution, in training.
    """

    def __init__(self, channels: int = 3, width: int = 64, noise: float = 0.0) -> None:
        super().__init__()
        self.channels = channels
        parts: list[nn.Module] = []
        before = channels
        for layer, after in enumerate((width, 2 * width, 4 * width)):
            parts += [InstanceNoise(noise), nn.Conv2d(before, after, 4, stride=2, padding=1, bias=False)]
            parts += [nn.BatchNorm2d(after)] if layer else []
            parts.append(nn.LeakyReLU(0.2, inplace=True))
            before = after
        last = nn.Conv2d(before, 1, 4, stride=2, padding=1, bias=False)
        self.layers = nn.Sequential(*parts, InstanceNoise(noise), last)

    def forward(
        self, image: Float[Tensor, "batch channel height width"]
    ) -> Float[Tensor, "batch 1 patch_height patch_width"]:
        """A logit for each patch."""
        return self.layers(image)


class InstanceNoise(nn.Module):
    """Adds normal noise in training, which keeps the critic from becoming too strong.

    Args:
        deviation: standard deviation of the noise; 0 adds none.
    """

    def __init__(self, deviation: float) -> None:
        super().__init__()
        self.deviation = deviation

    def forward(self, x: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
        """The input, with noise in training."""
        return x + self.deviation * torch.randn_like(x) if self.training and self.deviation else x
