"""LPIPS v0.1: the perceptual distance of Zhang et al. (2018), with AlexNet or VGG-16."""

from typing import Literal

import torch
from jaxtyping import Float
from safetensors.numpy import load_file
from torch import Tensor, nn
from torch.nn.functional import relu

from benchmarks.pretrained.registry import path_of

Backbone = Literal["alex", "vgg"]
Images = Float[Tensor, "batch 3 height width"]

# LPIPS' own ImageNet statistics, on [-1, 1]; version 0.0 omitted them by mistake
_SHIFT = (-0.030, -0.088, -0.188)
_SCALE = (0.458, 0.448, 0.450)
_CHANNELS = {"alex": (64, 192, 384, 256, 256), "vgg": (64, 128, 256, 512, 512)}


class PerceptualDistance(nn.Module):
    """The distance of two images: weighted squared differences of unit-normalised features at five depths.

    Randomly initialised; `pretrained` loads the published weights.

    Args:
        backbone: "alex" (recommended by the LPIPS authors for reporting) or "vgg".
    """

    shift: Tensor
    scale: Tensor

    def __init__(self, backbone: Backbone = "alex") -> None:
        super().__init__()
        self.stages = nn.ModuleList(_alex() if backbone == "alex" else _vgg())
        self.heads = nn.ParameterList(torch.rand(channels) for channels in _CHANNELS[backbone])
        self.register_buffer("shift", torch.tensor(_SHIFT).reshape(3, 1, 1))
        self.register_buffer("scale", torch.tensor(_SCALE).reshape(3, 1, 1))
        self.requires_grad_(False).eval()

    @classmethod
    def pretrained(cls, backbone: Backbone = "alex") -> "PerceptualDistance":
        """The network with LPIPS v0.1's weights.

        Raises:
            WeightsUnavailable: if they cannot be fetched.
        """
        arrays = load_file(path_of(f"lpips_{backbone}"))
        prefix = {"alex": "AlexNet_0", "vgg": "VGG16_0"}[backbone]
        network = cls(backbone)
        convolutions = [layer for layer in network.stages.modules() if isinstance(layer, nn.Conv2d)]
        for index, convolution in enumerate(convolutions):
            kernel = torch.from_numpy(arrays[f"{prefix}/Conv_{index}/kernel"])
            convolution.weight.copy_(kernel.permute(3, 2, 0, 1))  # the file has height, width, in, out
            assert convolution.bias is not None
            convolution.bias.copy_(torch.from_numpy(arrays[f"{prefix}/Conv_{index}/bias"]))
        for index, head in enumerate(network.heads):
            head.copy_(torch.from_numpy(arrays[f"NetLinLayer_{index}/Conv_0/kernel"]).flatten())
        return network

    def forward(self, x: Images, y: Images) -> Float[Tensor, " batch"]:
        """The distance of each pair of images in [-1, 1]."""
        features = (torch.cat([x, y]) - self.shift) / self.scale
        distance = torch.zeros(len(x), device=x.device)
        for stage, head in zip(self.stages, self.heads, strict=True):
            features = stage(features)
            length = features.square().sum(1, keepdim=True).sqrt()
            unit = features / (length + 1e-10)
            difference = (unit[: len(x)] - unit[len(x) :]).square().mean((-2, -1))
            distance = distance + difference @ head
        return distance


class _Rectified(nn.Conv2d):
    """A convolution and its ReLU."""

    def forward(self, features: Tensor) -> Tensor:
        return relu(super().forward(features))


def _alex() -> list[nn.Module]:
    """AlexNet's five convolutions, split after each ReLU (torchvision's one-tower version)."""
    return [
        _Rectified(3, 64, 11, stride=4, padding=2),
        nn.Sequential(nn.MaxPool2d(3, 2), _Rectified(64, 192, 5, padding=2)),
        nn.Sequential(nn.MaxPool2d(3, 2), _Rectified(192, 384, 3, padding=1)),
        _Rectified(384, 256, 3, padding=1),
        _Rectified(256, 256, 3, padding=1),
    ]


def _vgg() -> list[nn.Module]:
    """VGG-16's thirteen convolutions, split before each pooling."""
    stages: list[nn.Module] = []
    channels = 3
    for width, depth in ((64, 2), (128, 2), (256, 3), (512, 3), (512, 3)):
        layers: list[nn.Module] = [nn.MaxPool2d(2)] if stages else []
        for _ in range(depth):
            layers.append(_Rectified(channels, width, 3, padding=1))
            channels = width
        stages.append(nn.Sequential(*layers))
    return stages
