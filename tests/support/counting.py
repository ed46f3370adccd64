"""Clips of which each pixel says where it comes from."""

import hashlib

import numpy as np

from datamodules.base.clip_source import Origin
from datamodules.base.module import ClipDataModule


class CountingSource:
    """A source whose pixels say which clip and which frame they are: `16 * clip + frame`."""

    channels = 1
    fingerprint = "ab12"

    def __init__(self, numbers: range, lengths: list[int] | None = None, size: tuple[int, int] = (6, 8)) -> None:
        self.numbers, self.size = list(numbers), size
        self.lengths = lengths or [12] * len(self.numbers)

    def __len__(self) -> int:
        return len(self.numbers)

    def origins(self) -> list[Origin]:
        """Two clips of each person, but of the first, who has one."""
        return [Origin(f"clip {n}", hashlib.sha256(bytes([n])).hexdigest(), f"{(n + 1) // 2}") for n in self.numbers]

    def labels(self) -> np.ndarray:
        return np.array(self.numbers, dtype=np.int64) % 2

    def times(self, index: int) -> np.ndarray:
        return np.arange(self.lengths[index], dtype=np.float64) / 25

    def read(self, clips: np.ndarray, frames: np.ndarray) -> np.ndarray:
        value = 16 * np.array(self.numbers)[clips][:, None] + frames
        return np.broadcast_to(value[:, :, None, None, None], (*frames.shape, 1, *self.size)).astype(np.uint8)


class Counting(ClipDataModule):
    """Clips 0 to `train` - 1 to train on, three to validate, a prime number to test on."""

    name = "counting"
    channels = 1
    size = (6, 8)

    def __init__(self, *, train: int = 10, test: int = 7, **shared: object) -> None:
        super().__init__(**shared)  # type: ignore[arg-type]
        self.clips = {"train": range(train), "val": range(train, train + 3), "test": range(train + 3, train + 3 + test)}

    def prepare_data(self) -> None:
        pass

    def open(self, split: str) -> CountingSource:
        return CountingSource(self.clips[split])
