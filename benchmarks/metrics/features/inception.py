"""Inception of 2015-12-05: the network of the Fréchet inception distance."""

from functools import cache
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d, max_pool2d, relu

from benchmarks.metrics.features.extractor import Extractor, Frames, Rows, coloured, in_parts, resized
from benchmarks.metrics.features.loading import load_named
from benchmarks.pretrained.registry import identity
from benchmarks.utils.errors import UserError

SIZE = 299
Images = Float[Tensor, "batch 3 299 299"]


class InceptionFeatures(Extractor):
    """The 2048 pooled features of single frames, on which FID is defined (Heusel et al., 2017).

    Frames are resized once, to 299 x 299, bicubic with antialiasing and clipped to the range (as in clean-fid; Parmar
    et al., 2022), and normalised as in TensorFlow's graph: (pixel - 128) / 128, with pixels from 0 to 255.
    """

    trained: ClassVar[bool] = True
    fewest_frames: ClassVar[int] = 1

    @property
    def name(self) -> str:
        """See `Extractor`."""
        return "inception2015_pool3"

    @property
    def protocol(self) -> dict[str, str]:
        """See `Extractor`."""
        return {
            "extractor": self.name,
            "sha256": identity("inception_2015"),
            "resize": f"{SIZE}x{SIZE} bicubic antialiased, clipped",
        }

    def prepare(self) -> None:
        """See `Extractor`."""
        _pretrained()

    def __call__(self, frames: Frames) -> Rows:
        """The features of clips of one frame.

        Raises:
            UserError: if clips have more than one frame: a distance of images needs one row per image.
        """
        if frames.shape[1] != 1:
            raise UserError(
                f"FID compares single frames: {self.name} needs clips of one frame; these have {frames.shape[1]}. "
                "Make each frame its own clip: frames.flatten(0, 1)[:, None]."
            )
        return in_parts(_pretrained(), frames, _seen, on_cpu=8, elsewhere=64)


class Inception(nn.Module):
    """Inception-v3 as released in 2015 and ported from TensorFlow, up to the pooled features.

    It differs from torchvision's Inception-v3 in three ways: average pooling excludes the padding, the last block uses
    max pooling, and the classifier (omitted here) has 1008 outputs. Randomly initialised.
    """

    def __init__(self) -> None:
        super().__init__()
        self.Conv2d_1a_3x3 = _Unit(3, 32, 3, stride=2)
        self.Conv2d_2a_3x3 = _Unit(32, 32, 3)
        self.Conv2d_2b_3x3 = _Unit(32, 64, 3, padding=1)
        self.Conv2d_3b_1x1 = _Unit(64, 80, 1)
        self.Conv2d_4a_3x3 = _Unit(80, 192, 3)
        self.Mixed_5b = _A(192, 32)
        self.Mixed_5c = _A(256, 64)
        self.Mixed_5d = _A(288, 64)
        self.Mixed_6a = _B(288)
        self.Mixed_6b = _C(768, 128)
        self.Mixed_6c = _C(768, 160)
        self.Mixed_6d = _C(768, 160)
        self.Mixed_6e = _C(768, 192)
        self.Mixed_7a = _D(768)
        self.Mixed_7b = _E(1280)
        self.Mixed_7c = _E(2048, pools_by_maximum=True)
        self.requires_grad_(False).eval()

    def forward(self, images: Images) -> Float[Tensor, "batch 2048"]:
        """The features of normalised images."""
        x = self.Conv2d_2b_3x3(self.Conv2d_2a_3x3(self.Conv2d_1a_3x3(images)))
        x = max_pool2d(x, 3, 2)
        x = max_pool2d(self.Conv2d_4a_3x3(self.Conv2d_3b_1x1(x)), 3, 2)
        for name, block in self.named_children():
            if name.startswith("Mixed"):
                x = block(x)
        return x.mean((2, 3))


class _Unit(nn.Module):
    """A convolution, batch normalisation with TensorFlow's epsilon, and ReLU."""

    def __init__(
        self,
        inputs: int,
        outputs: int,
        kernel: int | tuple[int, int],
        *,
        stride: int = 1,
        padding: int | tuple[int, int] = 0,
    ) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, kernel, stride, padding, bias=False)
        self.bn = nn.BatchNorm2d(outputs, eps=1e-3)

    def forward(self, x: Tensor) -> Tensor:
        return relu(self.bn(self.conv(x)), inplace=True)


class _A(nn.Module):
    """The blocks at 35 x 35."""

    def __init__(self, inputs: int, pooled: int) -> None:
        super().__init__()
        self.branch1x1 = _Unit(inputs, 64, 1)
        self.branch5x5_1 = _Unit(inputs, 48, 1)
        self.branch5x5_2 = _Unit(48, 64, 5, padding=2)
        self.branch3x3dbl_1 = _Unit(inputs, 64, 1)
        self.branch3x3dbl_2 = _Unit(64, 96, 3, padding=1)
        self.branch3x3dbl_3 = _Unit(96, 96, 3, padding=1)
        self.branch_pool = _Unit(inputs, pooled, 1)

    def forward(self, x: Tensor) -> Tensor:
        five = self.branch5x5_2(self.branch5x5_1(x))
        three = self.branch3x3dbl_3(self.branch3x3dbl_2(self.branch3x3dbl_1(x)))
        return torch.cat([self.branch1x1(x), five, three, self.branch_pool(_average(x))], 1)


class _B(nn.Module):
    """From 35 x 35 to 17 x 17."""

    def __init__(self, inputs: int) -> None:
        super().__init__()
        self.branch3x3 = _Unit(inputs, 384, 3, stride=2)
        self.branch3x3dbl_1 = _Unit(inputs, 64, 1)
        self.branch3x3dbl_2 = _Unit(64, 96, 3, padding=1)
        self.branch3x3dbl_3 = _Unit(96, 96, 3, stride=2)

    def forward(self, x: Tensor) -> Tensor:
        three = self.branch3x3dbl_3(self.branch3x3dbl_2(self.branch3x3dbl_1(x)))
        return torch.cat([self.branch3x3(x), three, max_pool2d(x, 3, 2)], 1)


class _C(nn.Module):
    """The blocks at 17 x 17, with kernels of 1 x 7 and 7 x 1."""

    def __init__(self, inputs: int, width: int) -> None:
        super().__init__()
        self.branch1x1 = _Unit(inputs, 192, 1)
        self.branch7x7_1 = _Unit(inputs, width, 1)
        self.branch7x7_2 = _Unit(width, width, (1, 7), padding=(0, 3))
        self.branch7x7_3 = _Unit(width, 192, (7, 1), padding=(3, 0))
        self.branch7x7dbl_1 = _Unit(inputs, width, 1)
        self.branch7x7dbl_2 = _Unit(width, width, (7, 1), padding=(3, 0))
        self.branch7x7dbl_3 = _Unit(width, width, (1, 7), padding=(0, 3))
        self.branch7x7dbl_4 = _Unit(width, width, (7, 1), padding=(3, 0))
        self.branch7x7dbl_5 = _Unit(width, 192, (1, 7), padding=(0, 3))
        self.branch_pool = _Unit(inputs, 192, 1)

    def forward(self, x: Tensor) -> Tensor:
        seven = self.branch7x7_3(self.branch7x7_2(self.branch7x7_1(x)))
        twice = self.branch7x7dbl_3(self.branch7x7dbl_2(self.branch7x7dbl_1(x)))
        twice = self.branch7x7dbl_5(self.branch7x7dbl_4(twice))
        return torch.cat([self.branch1x1(x), seven, twice, self.branch_pool(_average(x))], 1)


class _D(nn.Module):
    """From 17 x 17 to 8 x 8."""

    def __init__(self, inputs: int) -> None:
        super().__init__()
        self.branch3x3_1 = _Unit(inputs, 192, 1)
        self.branch3x3_2 = _Unit(192, 320, 3, stride=2)
        self.branch7x7x3_1 = _Unit(inputs, 192, 1)
        self.branch7x7x3_2 = _Unit(192, 192, (1, 7), padding=(0, 3))
        self.branch7x7x3_3 = _Unit(192, 192, (7, 1), padding=(3, 0))
        self.branch7x7x3_4 = _Unit(192, 192, 3, stride=2)

    def forward(self, x: Tensor) -> Tensor:
        three = self.branch3x3_2(self.branch3x3_1(x))
        seven = self.branch7x7x3_4(self.branch7x7x3_3(self.branch7x7x3_2(self.branch7x7x3_1(x))))
        return torch.cat([three, seven, max_pool2d(x, 3, 2)], 1)


class _E(nn.Module):
    """The blocks at 8 x 8, whose branches fork into kernels of 1 x 3 and 3 x 1."""

    def __init__(self, inputs: int, *, pools_by_maximum: bool = False) -> None:
        super().__init__()
        self.pools_by_maximum = pools_by_maximum
        self.branch1x1 = _Unit(inputs, 320, 1)
        self.branch3x3_1 = _Unit(inputs, 384, 1)
        self.branch3x3_2a = _Unit(384, 384, (1, 3), padding=(0, 1))
        self.branch3x3_2b = _Unit(384, 384, (3, 1), padding=(1, 0))
        self.branch3x3dbl_1 = _Unit(inputs, 448, 1)
        self.branch3x3dbl_2 = _Unit(448, 384, 3, padding=1)
        self.branch3x3dbl_3a = _Unit(384, 384, (1, 3), padding=(0, 1))
        self.branch3x3dbl_3b = _Unit(384, 384, (3, 1), padding=(1, 0))
        self.branch_pool = _Unit(inputs, 192, 1)

    def forward(self, x: Tensor) -> Tensor:
        once = self.branch3x3_1(x)
        twice = self.branch3x3dbl_2(self.branch3x3dbl_1(x))
        pooled = max_pool2d(x, 3, 1, 1) if self.pools_by_maximum else _average(x)
        forks = [self.branch3x3_2a(once), self.branch3x3_2b(once)]
        forks += [self.branch3x3dbl_3a(twice), self.branch3x3dbl_3b(twice)]
        return torch.cat([self.branch1x1(x), *forks, self.branch_pool(pooled)], 1)


def _average(x: Tensor) -> Tensor:
    """3 x 3 average pooling that excludes the padding, as in TensorFlow."""
    return avg_pool2d(x, 3, 1, 1, count_include_pad=False)


def _seen(frames: Frames) -> Images:
    images = resized(coloured(frames), (SIZE, SIZE), "bicubic").clamp(-1, 1)[:, 0]
    return (images * 127.5 - 0.5) / 128  # from [-1, 1] to pixels of 0 to 255, and on to (pixel - 128) / 128


@cache
def _pretrained() -> nn.Module:
    return load_named(Inception(), "inception_2015", ignored=("fc.",))
