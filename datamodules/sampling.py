"""Sampling: which frames of a source clip make a sample; pure functions of (seed, epoch, index)."""

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from jaxtyping import Bool, Int64

Start = Literal["random", "first", "centre"]
Positions = Int64[np.ndarray, " time"]
"""Frame numbers of the source clip, strictly increasing."""
Present = Bool[np.ndarray, " time"]


def stream(purpose: int, seed: int, epoch: int, index: int) -> np.random.Generator:
    """Random numbers that depend on these four integers and on nothing else.

    Philox is a counter-based generator: `purpose` and `seed` are its key, `epoch` and `index` the high words of its
    counter, so that no two streams overlap, in whatever order or process they are read.
    """
    key = np.array([seed % 2**64, purpose], dtype=np.uint64)
    counter = np.array([0, 0, epoch, index % 2**64], dtype=np.uint64)
    return np.random.Generator(np.random.Philox(key=key, counter=counter))


SHUFFLE, WINDOW, PICK, LOSE, AUGMENT = range(5)
"""The purposes that random numbers are drawn for, so that none shares a stream with another."""


class ShortClipError(ValueError):
    """A clip has fewer frames than a sample reaches over."""


@dataclass(frozen=True)
class Sampling(ABC):
    """A rule that picks the frames of a sample from a clip of any length: a window, and frames of the window."""

    @property
    @abstractmethod
    def num_frames(self) -> int:
        """How many frames a sample has."""

    @property
    @abstractmethod
    def span(self) -> int:
        """How many consecutive frames of the source clip a window has: the shortest clip that will do."""

    @abstractmethod
    def place(self, room: int, *, seed: int, epoch: int, index: int) -> int:
        """Where the window of sample `index` begins, from 0 to `room`."""

    @abstractmethod
    def pick(self, *, seed: int, epoch: int, index: int) -> Positions:
        """The frames of the window that sample `index` takes, from 0 to `span` - 1."""

    @abstractmethod
    def present(self, *, seed: int, epoch: int, index: int) -> Present:
        """False where a frame of sample `index` counts as missing."""

    def frames(self, length: int, *, seed: int, epoch: int, index: int) -> Positions:
        """The frames of sample `index` in `epoch`, of a clip that has `length` frames.

        Raises:
            ShortClipError: if `length` is below `span`.
        """
        if length < self.span:
            raise ShortClipError(
                f"{self} reaches over {self.span} frames of a clip, but this one has {length}. "
                "Ask for fewer frames or a smaller stride, or leave short clips out (`short_clips: exclude`)."
            )
        start = self.place(length - self.span, seed=seed, epoch=epoch, index=index)
        return start + self.pick(seed=seed, epoch=epoch, index=index)


@dataclass(frozen=True)
class _Window(Sampling, ABC):
    """A window that lies by one of three rules, with no frame missing."""

    start: Start = field(default="random", kw_only=True)

    def place(self, room: int, *, seed: int, epoch: int, index: int) -> int:
        """Anywhere, as early as possible, or in the middle."""
        if self.start == "random":
            return int(stream(WINDOW, seed, epoch, index).integers(room + 1))
        return 0 if self.start == "first" else room // 2

    def present(self, *, seed: int, epoch: int, index: int) -> Present:
        """All frames are there."""
        return np.ones(self.num_frames, dtype=bool)


@dataclass(frozen=True)
class Regular(_Window):
    """Frames at one distance from each other.

    Args:
        num_frames: frames of a sample.
        stride: distance between them, in frames of the source clip. Vid-ODE trains interpolation on `Regular(5, 2)`.
        start: where the window lies: anywhere, as early as possible, or in the middle.
    """

    num_frames: int = 16
    stride: int = 1

    def __post_init__(self) -> None:
        if self.num_frames < 1 or self.stride < 1:
            raise ValueError(f"num_frames and stride must be at least 1; got {self.num_frames} and {self.stride}.")

    @property
    def span(self) -> int:
        """The frames, and those between them."""
        return (self.num_frames - 1) * self.stride + 1

    def pick(self, *, seed: int, epoch: int, index: int) -> Positions:
        """Frames 0, stride, 2 stride, ..."""
        return self.stride * np.arange(self.num_frames, dtype=np.int64)


@dataclass(frozen=True)
class Irregular(_Window):
    """Some frames of each half of a window, as Vid-ODE's irregular extrapolation draws them.

    Frame 0 of the window is always among the inputs, its last frame always among the outputs; the others are drawn
    anew for each sample (Vid-ODE: window 20, 5 + 5; its released code leaves the test draws unseeded, ours are not).

    Args:
        window: consecutive frames of the source clip; even.
        inputs: how many of the first half are kept.
        outputs: how many of the second half are kept.
        start: where the window lies in the clip: anywhere, as early as possible, or in the middle.
    """

    window: int = 20
    inputs: int = 5
    outputs: int = 5

    def __post_init__(self) -> None:
        half = self.window // 2
        if self.window % 2 or not (1 <= self.inputs <= half and 1 <= self.outputs <= half):
            raise ValueError(
                f"window must be even and each half must have the frames that are kept of it; "
                f"got window {self.window}, inputs {self.inputs}, outputs {self.outputs}."
            )

    @property
    def num_frames(self) -> int:
        """Inputs and outputs together."""
        return self.inputs + self.outputs

    @property
    def span(self) -> int:
        """The window."""
        return self.window

    def pick(self, *, seed: int, epoch: int, index: int) -> Positions:
        """The first frame, the last, and others drawn from each half."""
        draws, half = stream(PICK, seed, epoch, index), self.window // 2
        first = 1 + draws.permutation(half - 1)[: self.inputs - 1]
        second = half + draws.permutation(half - 1)[: self.outputs - 1]
        return np.sort(np.concatenate([[0], first, second, [self.window - 1]])).astype(np.int64)


@dataclass(frozen=True)
class IrregularBetween(_Window):
    """The two ends of a window and `count` - 2 frames drawn from between them: irregular interpolation.

    Args:
        window: consecutive frames of the source clip.
        count: frames of a sample, the two ends among them.
        start: where the window lies in the clip: anywhere, as early as possible, or in the middle.
    """

    window: int = 20
    count: int = 10

    def __post_init__(self) -> None:
        if not 2 <= self.count <= self.window:
            raise ValueError(f"count must be from 2 to the window's {self.window} frames; got {self.count}.")

    @property
    def num_frames(self) -> int:
        """The frames that are kept."""
        return self.count

    @property
    def span(self) -> int:
        """The window."""
        return self.window

    def pick(self, *, seed: int, epoch: int, index: int) -> Positions:
        """The two ends, and others drawn from between."""
        inner = 1 + stream(PICK, seed, epoch, index).permutation(self.window - 2)[: self.count - 2]
        return np.sort(np.concatenate([[0], inner, [self.window - 1]])).astype(np.int64)


@dataclass(frozen=True)
class MissingFrames(Sampling):
    """Another rule's samples with frames missing: they keep their place and time, but `present` is False.

    The pixels of a missing frame are black, so that nothing can be read off them by mistake.

    Args:
        sampling: the rule whose samples lose frames.
        given: only the first `given` frames, those a task shows, can be missing.
        rate: the share of the given frames that is there, from above 0 to 1 (Vid-ODE's Figure 6: 100 % to 20 %);
            at least one, and frame 0 always.
    """

    sampling: Sampling
    given: int
    rate: float = 1.0

    def __post_init__(self) -> None:
        if not 0 < self.rate <= 1:
            raise ValueError(f"rate is the share of frames that are there, above 0 and up to 1; got {self.rate}.")
        if not 1 <= self.given <= self.num_frames:
            raise ValueError(f"given must be from 1 to the sample's {self.num_frames} frames; got {self.given}.")

    @property
    def num_frames(self) -> int:
        """As many as without the loss."""
        return self.sampling.num_frames

    @property
    def span(self) -> int:
        """As long as without the loss."""
        return self.sampling.span

    def place(self, room: int, *, seed: int, epoch: int, index: int) -> int:
        """Where it lies without the loss."""
        return self.sampling.place(room, seed=seed, epoch=epoch, index=index)

    def pick(self, *, seed: int, epoch: int, index: int) -> Positions:
        """The frames it has without the loss."""
        return self.sampling.pick(seed=seed, epoch=epoch, index=index)

    def present(self, *, seed: int, epoch: int, index: int) -> Present:
        """Frame 0 and others drawn from the given ones, and all that are not given."""
        kept = max(1, round(self.rate * self.given))
        here = self.sampling.present(seed=seed, epoch=epoch, index=index)
        here[1 + stream(LOSE, seed, epoch, index).permutation(self.given - 1)[kept - 1 :]] = False
        return here
