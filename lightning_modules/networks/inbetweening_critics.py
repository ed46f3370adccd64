"""The inbetweening paper's critics: a video critic after MoCoGAN's, and a residual image critic (Li et al., 2019)."""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from lightning_modules.networks.convolutions import Conv3d
from lightning_modules.networks.inbetweening import octaves

Video = Float[Tensor, "batch time channel height width"]
Image = Float[Tensor, "batch channel height width"]
Logits = Float[Tensor, " batch"]

LAST = 4
"""Rows and columns of the last maps at every frame size."""


class VideoCritic(nn.Module):
    """D_V: one logit for a whole video (Appendix A).

    Four 4 x 4 x 4 convolutions at 64 px; each halves the size and shortens the time by three frames, from 16 to 4.
    Where fewer than four frames are left (shorter videos, or more levels for larger frames) the kernel covers all of
    them. After every convolution but the first, layer normalisation is over a sample's channels, time and space, with a
    scale and a shift per channel.

    Args:
        channels: of the frames.
        size: of the frames: 8, 16, 32, ...
        frames: of the video.
        width: channels of the first level; doubled at each level, up to 8 times.
        slope: of the leaky ReLU.
    """

    def __init__(
        self, channels: int = 3, size: int = 64, frames: int = 16, width: int = 64, slope: float = 0.2
    ) -> None:
        super().__init__()
        self.channels, self.size, self.frames = channels, size, frames
        layers: list[nn.Module] = []
        before, time = channels, frames
        for level in range(octaves(size, LAST, "size")):
            after, reach = width * 2 ** min(level, 3), min(4, time)
            layers.append(Conv3d(before, after, (reach, 4, 4), (1, 2, 2), (0, 1, 1)))
            layers += [nn.GroupNorm(1, after)] if level else []
            layers.append(nn.LeakyReLU(slope))
            before, time = after, time - reach + 1
        self.layers = nn.Sequential(*layers)
        self.head = nn.Linear(before * time * LAST * LAST, 1)

    def forward(self, video: Video) -> Logits:
        """The logits."""
        maps: Tensor = self.layers(video.transpose(1, 2))
        return self.head(maps.flatten(1)).squeeze(1)


class ImageCritic(nn.Module):
    """D_I: one logit for a frame, from residual blocks (Appendix A).

    Args:
        channels: of the frames.
        size: of the frames: 8, 16, 32, ...
        width: channels of the first block; doubled at each block, up to 8 times.
        slope: of the leaky ReLU.
    """

    def __init__(self, channels: int = 3, size: int = 64, width: int = 64, slope: float = 0.2) -> None:
        super().__init__()
        self.channels, self.size = channels, size
        widths = [channels, *(width * 2 ** min(level, 3) for level in range(octaves(size, LAST, "size")))]
        self.blocks = nn.Sequential(
            *(HalvingBlock(widths[k], widths[k + 1], slope, first=k == 0) for k in range(len(widths) - 1))
        )
        self.head = nn.Linear(widths[-1] * LAST * LAST, 1)

    def forward(self, image: Image) -> Logits:
        """The logits."""
        maps: Tensor = self.blocks(image)
        return self.head(maps.flatten(1)).squeeze(1)


def exchange_ends(videos: Video) -> Video:
    """The videos with the ends of others of the batch, half of it further: neighbours are often of the same film."""
    others = videos.roll(len(videos) // 2, dims=0)
    return torch.cat([others[:, :1], videos[:, 1:-1], others[:, -1:]], dim=1)


def rank_auc(higher: Logits, lower: Float[Tensor, " other"]) -> Float[Tensor, ""]:
    """P(a > b) + P(a = b) / 2 for a of `higher` and b of `lower`: the area under the ROC curve.

    1 if a critic scores all of the first above all of the second, 0.5 if it cannot tell them.
    """
    difference = higher[:, None] - lower[None, :]
    return ((difference > 0).float() + (difference == 0).float() / 2).mean()


class HalvingBlock(nn.Module):
    """A 3 x 3 convolution, a 4 x 4 one that halves the size, and a shortcut around both: average pooling and 1 x 1.

    In the appendix every shortcut starts at the image, whose half size does not fit from the second block on; here it
    starts at the block's own input. It is added after the activation.
    """

    def __init__(self, before: int, after: int, slope: float = 0.2, *, first: bool = False) -> None:
        super().__init__()
        norm = nn.Identity() if first else nn.GroupNorm(1, before)
        self.main = nn.Sequential(
            nn.Conv2d(before, before, 3, 1, 1),
            norm,
            nn.LeakyReLU(slope),
            nn.Conv2d(before, after, 4, 2, 1),
            nn.GroupNorm(1, after),
            nn.LeakyReLU(slope),
        )
        self.shortcut = nn.Sequential(nn.AvgPool2d(2), nn.Conv2d(before, after, 1))

    def forward(
        self, maps: Float[Tensor, "batch before height width"]
    ) -> Float[Tensor, "batch after half_height half_width"]:
        """The maps at half the size."""
        main: Tensor = self.main(maps)
        return torch.add(main, self.shortcut(maps))
