"""Extractors: networks that turn a clip into a row of features, with all that belongs to their protocol."""

import hashlib
from abc import ABC, abstractmethod
from functools import cache
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import adaptive_avg_pool3d, interpolate

from benchmarks.metrics.features.i3d import FEWEST_FRAMES, I3D, SIZE, Output
from benchmarks.weights import SOURCES

Frames = Float[Tensor, "batch time channel height width"]
Rows = Float[Tensor, "batch feature"]


class Extractor(ABC):
    """Clips in [-1, 1] in, float32 features out.

    The network is loaded once in a process, at first use, and no metric, checkpoint or average holds it.
    """

    trained: ClassVar[bool]
    """False for what only smoke tests may use; the names of its metrics say so."""
    fewest_frames: ClassVar[int]

    @property
    @abstractmethod
    def name(self) -> str:
        """The network and its layer, as a part of the metric's name."""

    @property
    @abstractmethod
    def protocol(self) -> dict[str, str]:
        """The weights' sha256 and what is done to the frames, for the record."""

    @abstractmethod
    def prepare(self) -> None:
        """Load the network.

        Raises:
            WeightsUnavailable: when its weights cannot be had.
        """

    @abstractmethod
    def __call__(self, frames: Frames) -> Rows:
        """The features of each clip; grey clips are repeated in three channels."""


class I3DFeatures(Extractor):
    """I3D on Kinetics-400. Frames are resized once, to 224 x 224, bilinear with antialiasing.

    Args:
        output: "logits", on which FVD is defined, or "mixed5c".
    """

    trained: ClassVar[bool] = True
    fewest_frames: ClassVar[int] = FEWEST_FRAMES

    def __init__(self, output: Output = "logits") -> None:
        self.output: Output = output

    @property
    def name(self) -> str:
        """i3d_logits or i3d_mixed5c."""
        return f"i3d_{self.output}"

    @property
    def protocol(self) -> dict[str, str]:
        """See `Extractor`."""
        return {
            "extractor": self.name,
            "sha256": str(SOURCES["i3d_kinetics400"].sha256),
            "resize": f"{SIZE}x{SIZE} bilinear antialiased",
        }

    def prepare(self) -> None:
        """See `Extractor`."""
        _i3d(self.output)

    def __call__(self, frames: Frames) -> Rows:
        """See `Extractor`; a few clips at a time, so that memory is bounded."""
        network = _i3d(self.output).to(frames.device)
        at_once = 1 if frames.device.type == "cpu" else 16
        with torch.no_grad(), torch.autocast(frames.device.type, enabled=False):
            return torch.cat([network(_resized(part)) for part in frames.float().split(at_once)])


class UntrainedFeatures(Extractor):
    """A tiny random network, for smoke tests only: its distances mean nothing.

    Args:
        seed: of its weights.
        width: how many features.
    """

    trained: ClassVar[bool] = False
    fewest_frames: ClassVar[int] = 1

    def __init__(self, seed: int = 0, width: int = 16) -> None:
        self.seed = seed
        self.width = width

    @property
    def name(self) -> str:
        """With the seed, on which everything depends."""
        return f"untrained_seed{self.seed}"

    @property
    def protocol(self) -> dict[str, str]:
        """See `Extractor`."""
        digest = hashlib.sha256(self._weights().numpy().tobytes()).hexdigest()
        return {"extractor": self.name, "sha256": digest, "resize": "none"}

    def prepare(self) -> None:
        """Nothing: it is made on the spot."""

    def __call__(self, frames: Frames) -> Rows:
        """See `Extractor`."""
        pooled = adaptive_avg_pool3d(_coloured(frames).float().transpose(1, 2), (4, 4, 4))
        return torch.tanh(pooled.flatten(1) @ self._weights().to(frames.device))

    def _weights(self) -> Tensor:
        generator = torch.Generator().manual_seed(self.seed)
        return torch.randn(3 * 64, self.width, generator=generator) / 4


@cache
def _i3d(output: Output) -> nn.Module:
    return I3D.pretrained(output)


def _coloured(frames: Frames) -> Float[Tensor, "batch time 3 height width"]:
    if frames.shape[2] not in (1, 3):
        raise ValueError(f"Video networks see grey or colour frames; these have {frames.shape[2]} channels.")
    return frames.expand(-1, -1, 3, -1, -1)


def _resized(frames: Frames) -> Float[Tensor, "batch 3 time 224 224"]:
    flat = _coloured(frames).flatten(0, 1)
    if flat.shape[-2:] != (SIZE, SIZE):
        flat = interpolate(flat, (SIZE, SIZE), mode="bilinear", antialias=True, align_corners=False)
    return flat.unflatten(0, frames.shape[:2]).transpose(1, 2)
