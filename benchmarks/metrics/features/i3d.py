"""I3D on Kinetics-400: the network whose features the Fréchet video distance compares."""

from typing import Literal

import torch
from jaxtyping import Float
from safetensors.numpy import load_file
from torch import Tensor, nn
from torch.nn.functional import avg_pool3d, conv3d, max_pool2d, pad, relu

from benchmarks.pretrained.registry import path_of
from benchmarks.utils.errors import UserError

Output = Literal["logits", "mixed5c"]
Video = Float[Tensor, "batch 3 time height width"]
Triple = tuple[int, int, int]

SIZE = 224
FEWEST_FRAMES = 9
"""With fewer, less than two frames remain at the last layer, which averages over two."""
_EPSILON = 1e-3  # of the batch normalisation; the 1e-5 of many ports moves the logits by 0.02


class I3D(nn.Module):
    """Inflated Inception-v1 (Carreira and Zisserman, 2017), RGB, with batch normalisation in evaluation mode.

    Padding is TensorFlow's SAME, which pads an odd element at the end. Randomly initialised; `pretrained` loads the
    published weights.

    Args:
        output: "logits" (400, on which FVD is defined) or "mixed5c" (1024, the last block averaged over all positions).
    """

    def __init__(self, output: Output = "logits") -> None:
        super().__init__()
        self.output: Output = output
        self.Conv3d_1a_7x7 = _Unit(3, 64, (7, 7, 7), stride=2)
        self.Conv3d_2b_1x1 = _Unit(64, 64)
        self.Conv3d_2c_3x3 = _Unit(64, 192, (3, 3, 3))
        channels = 192
        for name, widths in _BLOCKS.items():
            self.add_module(name, _Mixed(channels, widths))
            channels = widths[0] + widths[2] + widths[4] + widths[5]
        self.Logits = nn.ModuleDict({"Conv3d_0c_1x1": _Unit(channels, 400, rectified=False)})
        self.requires_grad_(False).eval()

    @classmethod
    def pretrained(cls, output: Output = "logits") -> "I3D":
        """The network with DeepMind's Kinetics-400 weights, trained from scratch on RGB.

        Raises:
            WeightsUnavailable: if they cannot be fetched.
        """
        arrays = {name: torch.from_numpy(array) for name, array in load_file(path_of("i3d_kinetics400")).items()}
        network = cls(output)
        for name, unit in network.named_modules():
            if isinstance(unit, _Unit):
                unit.load(arrays, name.replace(".", "/"))
        return network.to(memory_format=torch.channels_last_3d)  # less time on a CPU, equal to rounding

    def forward(self, video: Video) -> Float[Tensor, "batch feature"]:
        """The features of clips of 224 x 224 pixels in [-1, 1].

        Raises:
            UserError: if clips have fewer than 9 frames, for which the network is undefined.
        """
        if video.shape[2] < FEWEST_FRAMES:
            raise UserError(
                f"I3D needs at least {FEWEST_FRAMES} frames; these clips have {video.shape[2]}. Use longer clips: "
                "repeating frames would give values that are not comparable with published ones."
            )
        x = _pool(self.Conv3d_1a_7x7(video), (1, 3, 3), (1, 2, 2))
        x = _pool(self.Conv3d_2c_3x3(self.Conv3d_2b_1x1(x)), (1, 3, 3), (1, 2, 2))
        for name in _BLOCKS:
            if name == "Mixed_4b":
                x = _pool(x, (3, 3, 3), (2, 2, 2))
            if name == "Mixed_5b":
                x = _pool(x, (2, 2, 2), (2, 2, 2))
            x = self.get_submodule(name)(x)
        if self.output == "mixed5c":
            return x.mean((2, 3, 4))
        x = avg_pool3d(x, (2, 7, 7), stride=1)
        return self.Logits["Conv3d_0c_1x1"](x).mean((2, 3, 4))


# widths: first branch; reduction and convolution of the second and of the third; pooled branch
_BLOCKS = {
    "Mixed_3b": (64, 96, 128, 16, 32, 32),
    "Mixed_3c": (128, 128, 192, 32, 96, 64),
    "Mixed_4b": (192, 96, 208, 16, 48, 64),
    "Mixed_4c": (160, 112, 224, 24, 64, 64),
    "Mixed_4d": (128, 128, 256, 24, 64, 64),
    "Mixed_4e": (112, 144, 288, 32, 64, 64),
    "Mixed_4f": (256, 160, 320, 32, 128, 128),
    "Mixed_5b": (256, 160, 320, 32, 128, 128),
    "Mixed_5c": (384, 192, 384, 48, 128, 128),
}


class _Unit(nn.Module):
    """A convolution with TensorFlow's padding, and ReLU; batch normalisation is folded into weight and bias."""

    def __init__(
        self, inputs: int, outputs: int, kernel: Triple = (1, 1, 1), *, stride: int = 1, rectified: bool = True
    ) -> None:
        super().__init__()
        self.kernel = kernel
        self.stride: Triple = (stride, stride, stride)
        self.rectified = rectified
        self.weight = nn.Parameter(torch.randn(outputs, inputs, *kernel) * (2 / (inputs * kernel[0] ** 3)) ** 0.5)
        self.bias = nn.Parameter(torch.zeros(outputs))

    def load(self, arrays: dict[str, Tensor], name: str) -> None:
        """Load this unit's arrays, in TensorFlow's axis order, and fold the normalisation in, in float64."""
        weight = arrays[f"params/{name}/Conv_0/kernel"].double().permute(4, 3, 0, 1, 2)
        norm = f"batch_stats/{name}/BatchNorm_0"
        if f"{norm}/mean" in arrays:  # Sonnet's batch normalisation: an offset, but no scale
            deviation = (arrays[f"{norm}/var"].double().flatten() + _EPSILON).sqrt()
            weight = weight / deviation.reshape(-1, 1, 1, 1, 1)
            bias = arrays[f"params/{name}/BatchNorm_0/bias"] - arrays[f"{norm}/mean"].double().flatten() / deviation
        else:
            bias = arrays[f"params/{name}/Conv_0/bias"].double()
        self.weight.copy_(weight)
        self.bias.copy_(bias)

    def forward(self, x: Tensor) -> Tensor:
        x = conv3d(_same(x, self.kernel, self.stride), self.weight, self.bias, self.stride)
        return relu(x, inplace=True) if self.rectified else x


class _Mixed(nn.Module):
    """An Inception block: four parallel branches."""

    def __init__(self, inputs: int, widths: tuple[int, int, int, int, int, int]) -> None:
        super().__init__()
        a, b, c, d, e, f = widths
        cube = (3, 3, 3)
        self.Branch_0 = nn.ModuleDict({"Conv3d_0a_1x1": _Unit(inputs, a)})
        self.Branch_1 = nn.ModuleDict({"Conv3d_0a_1x1": _Unit(inputs, b), "Conv3d_0b_3x3": _Unit(b, c, cube)})
        self.Branch_2 = nn.ModuleDict({"Conv3d_0a_1x1": _Unit(inputs, d), "Conv3d_0b_3x3": _Unit(d, e, cube)})
        self.Branch_3 = nn.ModuleDict({"Conv3d_0b_1x1": _Unit(inputs, f)})

    def forward(self, x: Tensor) -> Tensor:
        branches = [x, x, x, _pool(x, (3, 3, 3), (1, 1, 1))]
        for index, branch in enumerate((self.Branch_0, self.Branch_1, self.Branch_2, self.Branch_3)):
            for unit in branch.values():
                branches[index] = unit(branches[index])
        return torch.cat(branches, 1)


def _pool(x: Tensor, kernel: Triple, stride: Triple) -> Tensor:
    """Max pooling, first over space, then over time: the same numbers as over both at once, in less time.

    Zero padding never exceeds the rectified features.
    """
    spatial, step = (1, *kernel[1:]), (1, *stride[1:])
    flat = _same(x, spatial, step).transpose(1, 2).flatten(0, 1)
    pooled = max_pool2d(flat, kernel[1:], stride[1:]).unflatten(0, (len(x), -1)).transpose(1, 2)
    padded = _same(pooled, (kernel[0], 1, 1), (stride[0], 1, 1))
    count = (padded.shape[2] - kernel[0]) // stride[0] + 1
    last = (count - 1) * stride[0] + 1
    result = padded[:, :, : last : stride[0]]
    for start in range(1, kernel[0]):
        result = torch.maximum(result, padded[:, :, start : start + last : stride[0]])
    return result


def _same(x: Tensor, kernel: Triple, stride: Triple) -> Tensor:
    """TensorFlow's SAME padding: ceil(size / stride) outputs, an odd element of padding at the end."""
    padding: list[int] = []
    for size, width, step in reversed(list(zip(x.shape[2:], kernel, stride, strict=True))):
        total = max((-(-size // step) - 1) * step + width - size, 0)
        padding += [total // 2, total - total // 2]
    return pad(x, padding) if any(padding) else x
