"""Source: what a ClipDataModule takes its samples from; a store of decoded clips, or a simulation."""

import hashlib
from collections.abc import Sequence
from typing import NamedTuple, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float32, Float64, Int64, UInt8

Indices = Int64[np.ndarray, " batch"]
Positions = Int64[np.ndarray, "batch time"]
Pixels = UInt8[np.ndarray, "batch time channel height width"] | Float32[np.ndarray, "batch time channel height width"]


class Origin(NamedTuple):
    """What a clip was made from: two splits may share neither a name nor a digest."""

    name: str
    """The file or the seed, in readable form."""
    digest: str
    """sha256 of the file; for a simulated clip, any text that is unique to it."""
    source: str = ""
    """What several clips of a data set may share, so that they are not independent: the person where people act, the
    group of UCF101, the basin of a record of winds. Empty where only copies of the clip are not independent of it."""

    @property
    def number(self) -> int:
        """The source (the clip's content if it is empty) as a number from 0 to 2^63 - 1, for `Batch.origins`."""
        return number_of(f"source {self.source}" if self.source else f"digest {self.digest}")


def number_of(text: str) -> int:
    """A number from 0 to 2^63 - 1 that is the same for equal texts in every process: the start of their sha256."""
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1


@runtime_checkable
class Source(Protocol):
    """The clips of one split, in a fixed order."""

    channels: int
    """1 for grey, 3 for colour."""
    size: tuple[int, int]
    """Height and width in pixels."""
    fingerprint: str
    """Hexadecimal; changes when the content does (a store's sha256, a simulation's settings and version)."""

    def __len__(self) -> int: ...

    def origins(self) -> Sequence[Origin]:
        """What each clip was made from."""

    def labels(self) -> Int64[np.ndarray, " clips"]:
        """The class of each clip, -1 where there is none."""

    def times(self, index: int) -> Float64[np.ndarray, " length"]:
        """Seconds since the first frame of clip `index`, one for each of its frames."""

    def read(self, clips: Indices, frames: Positions) -> Pixels:
        """The frames at these positions of these clips: 0 to 255, or in [-1, 1] with NaN where there is no value."""


@runtime_checkable
class KeypointSource(Source, Protocol):
    """A source that also knows where the joints (or balls) are; its batches hold KeypointClips."""

    def read_keypoints(
        self, clips: Indices, frames: Positions
    ) -> tuple[Float32[np.ndarray, "batch time joint 2"], Float32[np.ndarray, "batch time joint"]]:
        """x then y (-1 and 1 are the centres of the first and last pixel), and the confidence in [0, 1]."""
