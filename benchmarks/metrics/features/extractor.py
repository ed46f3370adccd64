"""Extractors: networks that map clips to feature vectors, with their preprocessing and protocol."""

import hashlib
import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from functools import cache
from typing import ClassVar, Literal, get_args

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import adaptive_avg_pool3d, interpolate

from benchmarks.metrics.features.i3d import FEWEST_FRAMES, I3D, SIZE, Output
from benchmarks.pretrained.registry import SOURCES
from benchmarks.utils.errors import UserError

Frames = Float[Tensor, "batch time channel height width"]
Rows = Float[Tensor, "batch feature"]
Resize = Literal["antialiased", "stylegan-v"]


class Extractor(ABC):
    """Maps clips in [-1, 1] to float32 features.

    The network is loaded once per process, at first use, and is no part of any metric's state or checkpoint.
    """

    trained: ClassVar[bool]
    """False for networks that only smoke tests may use; the names of their metrics then begin with `no_`."""
    fewest_frames: ClassVar[int]

    @property
    @abstractmethod
    def name(self) -> str:
        """The network and its layer: part of the metric's name."""

    @property
    @abstractmethod
    def protocol(self) -> dict[str, str]:
        """The weights' sha256 and the preprocessing of the frames, for the record."""

    @abstractmethod
    def prepare(self) -> None:
        """Load the network.

        Raises:
            WeightsUnavailable: if its weights cannot be fetched.
        """

    @abstractmethod
    def __call__(self, frames: Frames) -> Rows:
        """The features of each clip; grey clips are repeated in three channels."""


class I3DFeatures(Extractor):
    """I3D trained on Kinetics-400. Frames are resized once, to 224 x 224, bilinear.

    Args:
        output: "logits", on which FVD is defined, or "mixed5c".
        resize: "antialiased", or "stylegan-v" for the field's other convention, StyleGAN-V's: without antialiasing,
            which skips pixels of frames above 224; part of the name. Smaller frames are the same in both.
    """

    trained: ClassVar[bool] = True
    fewest_frames: ClassVar[int] = FEWEST_FRAMES

    def __init__(self, output: Output = "logits", resize: Resize = "antialiased") -> None:
        if resize not in get_args(Resize):
            raise UserError(f"`resize` must be {' or '.join(get_args(Resize))}; got {resize!r}.")
        self.output: Output = output
        self.resize: Resize = resize

    @property
    def name(self) -> str:
        """i3d_logits or i3d_mixed5c, followed by another resize than the default."""
        return f"i3d_{self.output}" + ("" if self.resize == "antialiased" else "_stylegan_v")

    @property
    def protocol(self) -> dict[str, str]:
        """See `Extractor`."""
        return {
            "extractor": self.name,
            "sha256": str(SOURCES["i3d_kinetics400"].sha256),
            "resize": f"{SIZE}x{SIZE} bilinear {'antialiased' if self.resize == 'antialiased' else 'not antialiased'}",
        }

    def prepare(self) -> None:
        """See `Extractor`."""
        _i3d(self.output)

    def __call__(self, frames: Frames) -> Rows:
        """See `Extractor`; computed in small batches, so that memory is bounded."""
        return in_parts(_i3d(self.output), frames, self._seen, on_cpu=1, elsewhere=16)

    def _seen(self, frames: Frames) -> Float[Tensor, "batch 3 time 224 224"]:
        smooth = self.resize == "antialiased"
        return resized(coloured(frames), (SIZE, SIZE), "bilinear", antialias=smooth).transpose(1, 2)


class UntrainedFeatures(Extractor):
    """A tiny random network, for smoke tests only: its distances have no meaning.

    The weights are scaled so that tanh does not saturate on frames in [-1, 1]: different clips have different features.

    Args:
        seed: of its weights.
        width: the number of features.
    """

    trained: ClassVar[bool] = False
    fewest_frames: ClassVar[int] = 1

    def __init__(self, seed: int = 0, width: int = 16) -> None:
        self.seed = seed
        self.width = width

    @property
    def name(self) -> str:
        """For example untrained_seed0."""
        return f"untrained_seed{self.seed}"

    @property
    def protocol(self) -> dict[str, str]:
        """See `Extractor`."""
        digest = hashlib.sha256(self._weights().numpy().tobytes()).hexdigest()
        return {"extractor": self.name, "sha256": digest, "resize": "none"}

    def prepare(self) -> None:
        """Nothing to load."""

    def __call__(self, frames: Frames) -> Rows:
        """See `Extractor`."""
        pooled = adaptive_avg_pool3d(coloured(frames).float().transpose(1, 2), (4, 4, 4))
        return torch.tanh(pooled.flatten(1) @ self._weights().to(frames.device))

    def _weights(self) -> Tensor:
        generator = torch.Generator().manual_seed(self.seed)
        return torch.randn(3 * 64, self.width, generator=generator) / math.sqrt(3 * 64)


def in_parts(
    network: nn.Module, frames: Frames, prepare: Callable[[Frames], Tensor], *, on_cpu: int, elsewhere: int
) -> Rows:
    """The network's features of preprocessed clips, in small batches, in float32 and without gradients.

    Args:
        network: moved to the device of the frames.
        frames: clips in [-1, 1].
        prepare: resizes and scales clips for the network.
        on_cpu: clips per batch on a CPU.
        elsewhere: clips per batch on an accelerator.
    """
    network = network.to(frames.device)
    at_once = on_cpu if frames.device.type == "cpu" else elsewhere
    with torch.no_grad(), torch.autocast(frames.device.type, enabled=False):
        return torch.cat([network(prepare(part)) for part in frames.float().split(at_once)])


def coloured(frames: Frames) -> Float[Tensor, "batch time 3 height width"]:
    """Colour clips unchanged, grey clips repeated in three channels.

    Raises:
        UserError: if there are neither 1 nor 3 channels.
    """
    if frames.shape[2] not in (1, 3):
        raise UserError(f"Video networks need grey or colour frames; these have {frames.shape[2]} channels.")
    return frames.expand(-1, -1, 3, -1, -1)


def resized(
    frames: Frames, size: tuple[int, int], mode: Literal["bilinear", "bicubic"], *, antialias: bool = True
) -> Float[Tensor, "batch time channel new_height new_width"]:
    """Each frame resized once, by default with antialiasing (PIL's kernels); frames of that size are unchanged."""
    if frames.shape[-2:] == size:
        return frames
    flat = interpolate(frames.flatten(0, 1), size, mode=mode, antialias=antialias, align_corners=False)
    return flat.unflatten(0, frames.shape[:2])


@cache
def _i3d(output: Output) -> nn.Module:
    return I3D.pretrained(output)
