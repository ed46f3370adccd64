"""Simulated data: one clip for each seed; nothing is downloaded or prepared."""

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
from jaxtyping import Float64, Int64

from datamodules.base.clip_source import Indices, Origin, Pixels, Positions
from datamodules.base.module import SPLITS, ClipDataModule, Split


class SimulatedSource(ABC):
    """The simulated clips of one split, one for each seed; all have the same times.

    Args:
        version: of the simulation; raise it when the clip of a seed changes.
        seeds: one for each clip; with the settings, all that a clip depends on.
        times: of the frames, in seconds since the first.
        size: height and width in pixels.
        settings: everything else that the clips depend on.
    """

    channels: int

    def __init__(
        self,
        version: int,
        seeds: range,
        times: Float64[np.ndarray, " length"],
        size: tuple[int, int],
        settings: Sequence[int | float],
    ) -> None:
        self.size = size
        self._seeds = seeds
        self._times = times
        described = (version, seeds.start, len(seeds), len(times), *settings)
        self.fingerprint = hashlib.sha256(repr(described).encode()).hexdigest()

    def __len__(self) -> int:
        return len(self._seeds)

    def origins(self) -> Sequence[Origin]:
        """The seeds."""
        return [Origin(f"seed {seed}", str(seed)) for seed in self._seeds]

    def labels(self) -> Int64[np.ndarray, " clips"]:
        """-1, unless the simulation has classes."""
        return np.full(len(self), -1, dtype=np.int64)

    def times(self, index: int) -> Float64[np.ndarray, " length"]:
        """Seconds since the first frame."""
        return self._times

    @abstractmethod
    def read(self, clips: Indices, frames: Positions) -> Pixels:
        """The frames at these positions, 0 to 255."""


class SimulatedDataModule(ClipDataModule, ABC):
    """Clips that are simulated when a split is opened.

    Args:
        clips: how many clips train, val and test have, all of different seeds.
        length: frames of each clip.
        size: height and width in pixels.
        loading: see `ClipDataModule`.
    """

    first_seeds: ClassVar[Mapping[Split, int]] = {"train": 0, "val": 1_000_000, "test": 2_000_000}
    """The first seed of each split."""

    def __init__(self, *, clips: tuple[int, int, int], length: int, size: tuple[int, int], **loading: Any) -> None:
        super().__init__(**loading)
        self.clips = dict(zip(SPLITS, clips, strict=True))
        self.length = length
        self._size = size

    @property
    def size(self) -> tuple[int, int]:
        """Height and width in pixels."""
        return self._size

    def prepare_data(self) -> None:
        """No-op: the clips are simulated when a split is opened."""

    def seeds(self, split: Split) -> range:
        """The seeds of a split's clips."""
        first = self.first_seeds[split]
        return range(first, first + self.clips[split])

    @abstractmethod
    def open(self, split: Split) -> SimulatedSource:
        """The clips of a split's seeds."""
