"""C3D fine-tuned on UCF101: the classifier behind the inception score of videos."""

from functools import cache
from typing import ClassVar, Literal

import numpy as np
import torch
from jaxtyping import Float
from safetensors.numpy import load_file
from torch import Tensor, nn
from torch.nn.functional import interpolate, max_pool3d, relu

from benchmarks.metrics.features.extractor import Extractor, Frames, Rows, coloured, in_parts, resized
from benchmarks.metrics.features.loading import load_named
from benchmarks.pretrained.registry import WeightsUnavailable, identity, path_of
from benchmarks.utils.errors import UserError

Output = Literal["logits", "fc7"]
Recipe = Literal["antialiased", "tgan", "tgan2"]
Video = Float[Tensor, "batch 3 16 112 112"]

FRAMES = 16
SIZE = 112
_MEAN_SHAPE = (3, 16, 128, 171)  # channels in the order blue, green, red
_RESIZE = {
    "antialiased": "128x128 bicubic antialiased, centre 112x112",
    "tgan": "128x128 bicubic as OpenCV's, centre 112x112",
    "tgan2": "112x112 bilinear with aligned corners",
}


class C3DFeatures(Extractor):
    """C3D on UCF101's 101 classes, for clips of exactly 16 frames.

    Published inception scores differ in their preprocessing; each recipe reproduces one of them exactly:

    - "antialiased": one bicubic resize with antialiasing to 128 x 128, pixels 0 to 255, the rest as in "tgan".
    - "tgan": as TGAN and latent NDE. Pixels are 128 x + 128; OpenCV's cubic resize to 128 x 128; columns 21 to 149 of
      the mean clip are subtracted; the centre of 112 x 112 is cropped.
    - "tgan2": as TGANv2. Pixels are 128 x + 128; bilinear resize to 112 x 112 with aligned corners; rows and columns 8
      to 120 of the mean clip are subtracted.

    Args:
        output: "logits" (101, before the softmax), or "fc7" (4096, after the ReLU), on which TGANv2's FID is defined.
        recipe: as above; part of the name unless it is "antialiased".
    """

    trained: ClassVar[bool] = True
    fewest_frames: ClassVar[int] = FRAMES

    def __init__(self, output: Output = "logits", recipe: Recipe = "antialiased") -> None:
        self.output: Output = output
        self.recipe: Recipe = recipe

    @property
    def name(self) -> str:
        """For example c3d_ucf101_logits, or c3d_ucf101_logits_tgan."""
        return f"c3d_ucf101_{self.output}" + ("" if self.recipe == "antialiased" else f"_{self.recipe}")

    @property
    def protocol(self) -> dict[str, str]:
        """See `Extractor`; includes the mean clip."""
        return {
            "extractor": self.name,
            "sha256": identity("c3d_ucf101"),
            "mean_sha256": identity("c3d_ucf101_mean"),
            "resize": _RESIZE[self.recipe],
        }

    def prepare(self) -> None:
        """See `Extractor`."""
        _pretrained(self.output)
        _mean_clip()

    def __call__(self, frames: Frames) -> Rows:
        """The features of clips of 16 frames.

        Raises:
            UserError: if clips have another length, which the network's first linear layer cannot process.
        """
        if frames.shape[1] != FRAMES:
            raise UserError(
                f"C3D needs clips of exactly {FRAMES} frames; these have {frames.shape[1]}. Set `frames` to {FRAMES}."
            )
        mean = _mean_clip().to(frames.device)
        return in_parts(
            _pretrained(self.output), frames, lambda part: prepared(part, mean, self.recipe), on_cpu=1, elsewhere=16
        )


class C3D(nn.Module):
    """Eight convolutions and three linear layers (Tran et al., 2015), randomly initialised.

    Pooling rounds sizes up, as in Caffe and Chainer: 112 pixels become 4.

    Args:
        output: "logits" or "fc7".
    """

    def __init__(self, output: Output = "logits") -> None:
        super().__init__()
        self.output: Output = output
        channels = 3
        for name, width in _WIDTHS.items():
            self.add_module(name, nn.Conv3d(channels, width, 3, padding=1))
            channels = width
        self.fc6 = nn.Linear(512 * 4 * 4, 4096)
        self.fc7 = nn.Linear(4096, 4096)
        self.fc8 = nn.Linear(4096, 101)
        self.requires_grad_(False).eval()

    def forward(self, video: Video) -> Float[Tensor, "batch feature"]:
        """The features of mean-subtracted clips with channels in the order blue, green, red."""
        return self.linear(self.convolutional(video).flatten(1))

    def convolutional(self, video: Float[Tensor, "batch 3 time height width"]) -> Float[Tensor, "batch 512 t h w"]:
        """The convolutional part, for clips of any size."""
        x: Tensor = video
        for name in _WIDTHS:
            x = relu(self.get_submodule(name)(x), inplace=True)
            if name == "conv1a":
                x = max_pool3d(x, (1, 2, 2), ceil_mode=True)
            elif name in ("conv2a", "conv3b", "conv4b", "conv5b"):
                x = max_pool3d(x, 2, ceil_mode=True)
        return x

    def linear(self, x: Float[Tensor, "batch 8192"]) -> Float[Tensor, "batch feature"]:
        """The fully connected part."""
        x = relu(self.fc7(relu(self.fc6(x))))
        return x if self.output == "fc7" else self.fc8(x)


_WIDTHS = {
    "conv1a": 64,
    "conv2a": 128,
    "conv3a": 256,
    "conv3b": 256,
    "conv4a": 512,
    "conv4b": 512,
    "conv5a": 512,
    "conv5b": 512,
}


def prepared(frames: Frames, mean: Float[Tensor, "3 16 128 171"], recipe: Recipe) -> Video:
    """The network's input for clips in [-1, 1]: resized, as blue-green-red pixel values, minus the mean clip.

    Args:
        frames: 16 frames of any size, grey or red-green-blue.
        mean: the mean clip of C3D's training data.
        recipe: see `C3DFeatures`.
    """
    colour = coloured(frames)
    flat = colour.flatten(0, 1)
    if recipe == "tgan2":
        flat = interpolate(flat, (SIZE, SIZE), mode="bilinear", align_corners=True)
        mean = mean[..., 8 : 8 + SIZE, 8 : 8 + SIZE]
    else:
        if recipe == "tgan":  # OpenCV's cubic kernel (a = -0.75) without antialiasing is PyTorch's
            flat = interpolate(flat, (128, 128), mode="bicubic", align_corners=False)
        else:
            flat = resized(colour, (128, 128), "bicubic").flatten(0, 1).clamp(-1, 1)
        flat = flat[..., 8 : 8 + SIZE, 8 : 8 + SIZE]
        mean = mean[..., 8 : 8 + SIZE, 21 + 8 : 21 + 8 + SIZE]
    pixels = (flat + 1) * (127.5 if recipe == "antialiased" else 128)
    return pixels.flip(1).unflatten(0, frames.shape[:2]).transpose(1, 2) - mean


@cache
def _pretrained(output: Output) -> nn.Module:
    return load_named(C3D(output), "c3d_ucf101", rename=_renamed)


def _renamed(name: str) -> str:
    """Chainer names weights W and biases b."""
    layer, _, kind = name.rpartition("/")
    return f"{layer}.{ {'W': 'weight', 'b': 'bias'}.get(kind, kind) }"


@cache
def _mean_clip() -> Float[Tensor, "3 16 128 171"]:
    path = path_of("c3d_ucf101_mean")
    arrays = load_file(path)
    if "mean" not in arrays or arrays["mean"].size != np.prod(_MEAN_SHAPE):
        held = ", ".join(f"{name} {array.shape}" for name, array in arrays.items())
        raise WeightsUnavailable(
            f"{path} must hold 'mean' {_MEAN_SHAPE}; it holds {held}. Delete it and provide mean2.npz."
        )
    return torch.from_numpy(arrays["mean"]).float().reshape(_MEAN_SHAPE)
