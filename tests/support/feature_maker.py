"""Clips and tiny networks for the metrics that are made of features."""

from typing import ClassVar

import torch
from torch import Tensor

from benchmarks.metrics.features.extractor import Extractor
from datamodules.clip import VideoClip, sample_id


class Tiny(Extractor):
    """A seeded random projection of all pixels, which counts how often it looks."""

    trained: ClassVar[bool] = True
    fewest_frames: ClassVar[int] = 1

    def __init__(self, width: int = 8, seed: int = 0) -> None:
        self.width, self.seed, self.looks = width, seed, 0

    @property
    def name(self) -> str:
        return f"tiny{self.width}"

    @property
    def protocol(self) -> dict[str, str]:
        return {"extractor": self.name, "seed": str(self.seed)}

    def prepare(self) -> None: ...

    def __call__(self, frames: Tensor) -> Tensor:
        self.looks += 1
        generator = torch.Generator().manual_seed(self.seed)
        flat = frames.float().flatten(1)
        return flat @ torch.randn(flat.shape[1], self.width, generator=generator) / flat.shape[1] ** 0.5


class Long(Tiny):
    """One that needs nine frames."""

    fewest_frames: ClassVar[int] = 9


def clip(frames: Tensor) -> VideoClip:
    return VideoClip(frames, torch.arange(float(frames.shape[1])).expand(frames.shape[0], -1))


def ids_of(count: int, windows: int = 1) -> Tensor:
    """`windows` ids of each source video."""
    return torch.tensor([sample_id(i // windows, 4 * (i % windows)) for i in range(count)])


def pair(count: int, frames: int = 4) -> tuple[VideoClip, VideoClip, Tensor]:
    generator = torch.Generator().manual_seed(1)
    target = torch.rand(count, frames, 1, 8, 8, generator=generator) * 2 - 1
    prediction = (torch.rand(count, frames, 1, 8, 8, generator=generator) * 2 - 1) * 0.7 + 0.2
    return clip(prediction), clip(target), ids_of(count)


def rows(sample: VideoClip, index: list[int]) -> VideoClip:
    return clip(sample.frames[index])
