"""3-D ResNeXt-101 trained on Kinetics: the network of the video FID in G3AN and MODE-GAN."""

from functools import cache
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import max_pool3d, relu

from benchmarks.metrics.features.extractor import Extractor, Frames, Rows, coloured, in_parts, resized
from benchmarks.metrics.features.loading import load_named
from benchmarks.pretrained.registry import identity
from benchmarks.utils.errors import UserError

SIZE = 112
Video = Float[Tensor, "batch 3 time height width"]

_MEAN = (114.7748, 107.7354, 99.4750)  # of Kinetics' pixels, red, green, blue; nothing is divided


class ResNeXt3DFeatures(Extractor):
    """The 2048 pooled features of ResNeXt-101 trained on Kinetics, as in G3AN's evaluation.

    Frames are resized once, to 112 x 112 without keeping the aspect ratio, bilinear with antialiasing; Kinetics' mean
    colour is subtracted from pixels of 0 to 255. The network was trained on 16 frames; longer clips are averaged over
    time.
    """

    trained: ClassVar[bool] = True
    fewest_frames: ClassVar[int] = 16

    @property
    def name(self) -> str:
        """See `Extractor`."""
        return "resnext101_kinetics"

    @property
    def protocol(self) -> dict[str, str]:
        """See `Extractor`."""
        return {
            "extractor": self.name,
            "sha256": identity("resnext101_kinetics"),
            "resize": f"{SIZE}x{SIZE} bilinear antialiased",
        }

    def prepare(self) -> None:
        """See `Extractor`."""
        _pretrained()

    def __call__(self, frames: Frames) -> Rows:
        """The features of clips of 16 frames or more.

        Raises:
            UserError: if clips are shorter.
        """
        if frames.shape[1] < self.fewest_frames:
            raise UserError(
                f"{self.name} was trained on clips of {self.fewest_frames} frames; these have {frames.shape[1]}. Use "
                "longer clips: values with fewer frames are not comparable with published ones."
            )
        return in_parts(_pretrained(), frames, prepared, on_cpu=1, elsewhere=16)


class ResNeXt3D(nn.Module):
    """ResNeXt-101 with 32 groups and 3 x 3 x 3 kernels (Hara et al., 2018), up to the pooled features.

    Parameter names are those of the published checkpoint. Randomly initialised.
    """

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv3d(3, 64, 7, stride=(1, 2, 2), padding=3, bias=False)
        self.bn1 = nn.BatchNorm3d(64)
        channels = 64
        for layer, depth in enumerate((3, 4, 23, 3)):
            width = 128 * 2**layer
            blocks = [_Block(channels if index == 0 else 2 * width, width, index, layer) for index in range(depth)]
            self.add_module(f"layer{layer + 1}", nn.Sequential(*blocks))
            channels = 2 * width
        self.requires_grad_(False).eval()

    def forward(self, video: Video) -> Float[Tensor, "batch 2048"]:
        """The features of mean-subtracted clips."""
        x: Tensor = max_pool3d(relu(self.bn1(self.conv1(video)), inplace=True), 3, 2, 1)
        for index in range(4):
            x = self.get_submodule(f"layer{index + 1}")(x)
        return x.mean((2, 3, 4))


class _Block(nn.Module):
    """A bottleneck block with 32 groups; the first block of each layer has a projection shortcut."""

    def __init__(self, inputs: int, width: int, place: int, layer: int) -> None:
        super().__init__()
        stride = 2 if place == 0 and layer > 0 else 1
        self.conv1 = nn.Conv3d(inputs, width, 1, bias=False)
        self.bn1 = nn.BatchNorm3d(width)
        self.conv2 = nn.Conv3d(width, width, 3, stride=stride, padding=1, groups=32, bias=False)
        self.bn2 = nn.BatchNorm3d(width)
        self.conv3 = nn.Conv3d(width, 2 * width, 1, bias=False)
        self.bn3 = nn.BatchNorm3d(2 * width)
        self.downsample: nn.Module = nn.Identity()
        if place == 0:
            project = nn.Conv3d(inputs, 2 * width, 1, stride=stride, bias=False)
            self.downsample = nn.Sequential(project, nn.BatchNorm3d(2 * width))

    def forward(self, x: Tensor) -> Tensor:
        y = relu(self.bn1(self.conv1(x)), inplace=True)
        y = relu(self.bn2(self.conv2(y)), inplace=True)
        return relu(self.bn3(self.conv3(y)) + self.downsample(x), inplace=True)


def prepared(frames: Frames) -> Video:
    """The network's input for clips in [-1, 1]: resized, as pixels of 0 to 255 minus the mean colour."""
    pixels = (resized(coloured(frames), (SIZE, SIZE), "bilinear") + 1) * 127.5
    mean = torch.tensor(_MEAN, device=frames.device)
    return (pixels - mean[:, None, None]).transpose(1, 2)


@cache
def _pretrained() -> nn.Module:
    return load_named(
        ResNeXt3D(), "resnext101_kinetics", rename=lambda name: name.removeprefix("module."), ignored=("fc.",)
    )
