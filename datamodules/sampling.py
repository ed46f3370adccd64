"""Sampling: which frames of a source clip make a sample; pure functions of (seed, epoch, index)."""

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from jaxtyping import Bool, Float64, Int64

from datamodules.base.rng import FRAME_CHOICE, MISSING_FRAMES, MISSING_PIXELS, WINDOW_START, uniforms
from datamodules.errors import UserError

Start = Literal["random", "first", "centre"]
Lengths = Int64[np.ndarray, " batch"]
Indices = Int64[np.ndarray, " batch"]
Positions = Int64[np.ndarray, "batch time"]
"""Frame numbers of the source clip, strictly increasing."""
Present = Bool[np.ndarray, "batch time"]
Valid = Bool[np.ndarray, "batch time 1 height width"]


class ShortClipError(UserError):
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
    def window_start(self, room: Lengths, *, seed: int, epoch: int, indices: Indices) -> Lengths:
        """Where the windows of these samples begin, from 0 to `room`."""

    @abstractmethod
    def frame_offsets(self, *, seed: int, epoch: int, indices: Indices) -> Positions:
        """The frames of the window that these samples take, from 0 to `span` - 1."""

    @abstractmethod
    def present(self, *, seed: int, epoch: int, indices: Indices) -> Present:
        """False where a frame of these samples counts as missing."""

    def valid(self, size: tuple[int, int], *, seed: int, epoch: int, indices: Indices) -> Valid | None:
        """False where a pixel of these samples counts as missing; None when all are there."""
        return None

    def batch(self, lengths: Lengths, *, seed: int, epoch: int, indices: Indices) -> Positions:
        """The frames of samples `indices` in `epoch`, of clips that have `lengths` frames.

        Raises:
            ShortClipError: if a length is below `span`.
        """
        if lengths.size and lengths.min() < self.span:
            raise ShortClipError(
                f"{self} reaches over {self.span} frames of a clip, but this one has {lengths.min()}. "
                "Ask for fewer frames or a smaller stride, or leave short clips out (`short_clips: exclude`)."
            )
        start = self.window_start(lengths - self.span, seed=seed, epoch=epoch, indices=indices)
        return start[:, None] + self.frame_offsets(seed=seed, epoch=epoch, indices=indices)

    def frames(self, length: int, *, seed: int, epoch: int, index: int) -> Int64[np.ndarray, " time"]:
        """The frames of one sample: `batch` of one."""
        return self.batch(np.array([length]), seed=seed, epoch=epoch, indices=np.array([index]))[0]


@dataclass(frozen=True)
class _Window(Sampling, ABC):
    """A window that lies by one of three rules, with no frame missing."""

    start: Start = field(default="random", kw_only=True)

    def window_start(self, room: Lengths, *, seed: int, epoch: int, indices: Indices) -> Lengths:
        """Anywhere, as early as possible, or in the middle."""
        if self.start == "random":
            return (uniforms(WINDOW_START, seed, epoch, indices, 1)[:, 0] * (room + 1)).astype(np.int64)
        return room * 0 if self.start == "first" else room // 2

    def present(self, *, seed: int, epoch: int, indices: Indices) -> Present:
        """All frames are there."""
        return np.ones((len(indices), self.num_frames), dtype=bool)


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
            raise UserError(f"num_frames and stride must be at least 1; got {self.num_frames} and {self.stride}.")

    @property
    def span(self) -> int:
        """The frames, and those between them."""
        return (self.num_frames - 1) * self.stride + 1

    def frame_offsets(self, *, seed: int, epoch: int, indices: Indices) -> Positions:
        """Frames 0, stride, 2 stride, ..."""
        return np.broadcast_to(self.stride * np.arange(self.num_frames), (len(indices), self.num_frames))


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
            raise UserError(
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

    def frame_offsets(self, *, seed: int, epoch: int, indices: Indices) -> Positions:
        """The first frame, the last, and others drawn from each half."""
        half = self.window // 2
        numbers = uniforms(FRAME_CHOICE, seed, epoch, indices, 2 * (half - 1))
        first = 1 + _choose_first(numbers[:, : half - 1], self.inputs - 1)
        second = half + _choose_first(numbers[:, half - 1 :], self.outputs - 1)
        return _with_ends(np.concatenate([first, second], axis=1), self.window)


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
            raise UserError(f"count must be from 2 to the window's {self.window} frames; got {self.count}.")

    @property
    def num_frames(self) -> int:
        """The frames that are kept."""
        return self.count

    @property
    def span(self) -> int:
        """The window."""
        return self.window

    def frame_offsets(self, *, seed: int, epoch: int, indices: Indices) -> Positions:
        """The two ends, and others drawn from between."""
        inner = 1 + _choose_first(uniforms(FRAME_CHOICE, seed, epoch, indices, self.window - 2), self.count - 2)
        return _with_ends(inner, self.window)


@dataclass(frozen=True)
class IrregularThenRegular(_Window):
    """Frames drawn from a window, then every frame that follows it: irregular input, regular and finer output.

    CAM5 in Vid-ODE (Fig. 7: 0, 9, 21, 42, 57 hours are shown, 60, 63, 66, 69, 72 asked). The first and the last frame
    of the window are always shown, so that 5 of 20 frames at 3 hours lie up to 48 hours apart, as the paper says. Its
    released code instead asks frames drawn from the second half (`Irregular`).

    Args:
        window: consecutive frames of the source clip from which the inputs are drawn.
        inputs: how many of them are shown, the two ends among them.
        outputs: how many frames follow.
        start: where it all lies in the clip: anywhere, as early as possible, or in the middle.
    """

    window: int = 20
    inputs: int = 5
    outputs: int = 5

    def __post_init__(self) -> None:
        if not (2 <= self.inputs <= self.window and self.outputs >= 1):
            raise UserError(
                f"inputs must be from 2 to the window's {self.window} frames and outputs at least 1; got "
                f"{self.inputs} and {self.outputs}."
            )

    @property
    def num_frames(self) -> int:
        """Inputs and outputs together."""
        return self.inputs + self.outputs

    @property
    def span(self) -> int:
        """The window and the outputs."""
        return self.window + self.outputs

    def frame_offsets(self, *, seed: int, epoch: int, indices: Indices) -> Positions:
        """The two ends of the window, others drawn from between, and what follows."""
        inner = 1 + _choose_first(uniforms(FRAME_CHOICE, seed, epoch, indices, self.window - 2), self.inputs - 2)
        after = np.broadcast_to(np.arange(self.window, self.span), (len(indices), self.outputs))
        return np.concatenate([_with_ends(inner, self.window), after], axis=1)


@dataclass(frozen=True)
class _WithMissing(Sampling, ABC):
    """Another rule's samples, of which something is lost."""

    sampling: Sampling
    given: int
    rate: float = 1.0

    def __post_init__(self) -> None:
        if not 0 < self.rate <= 1:
            raise UserError(f"rate is the share that is there, above 0 and up to 1; got {self.rate}.")
        if not 1 <= self.given <= self.num_frames:
            raise UserError(f"given must be from 1 to the sample's {self.num_frames} frames; got {self.given}.")

    @property
    def num_frames(self) -> int:
        """As many as without the loss."""
        return self.sampling.num_frames

    @property
    def span(self) -> int:
        """As long as without the loss."""
        return self.sampling.span

    def window_start(self, room: Lengths, *, seed: int, epoch: int, indices: Indices) -> Lengths:
        """Where it lies without the loss."""
        return self.sampling.window_start(room, seed=seed, epoch=epoch, indices=indices)

    def frame_offsets(self, *, seed: int, epoch: int, indices: Indices) -> Positions:
        """The frames it has without the loss."""
        return self.sampling.frame_offsets(seed=seed, epoch=epoch, indices=indices)

    def valid(self, size: tuple[int, int], *, seed: int, epoch: int, indices: Indices) -> Valid | None:
        """The pixels that are there without the loss."""
        return self.sampling.valid(size, seed=seed, epoch=epoch, indices=indices)


@dataclass(frozen=True)
class MissingFrames(_WithMissing):
    """Another rule's samples with frames missing: they keep their place and time, but `present` is False.

    The pixels of a missing frame are black, so that nothing can be read off them by mistake.

    Args:
        sampling: the rule whose samples lose frames.
        given: only the first `given` frames, those a task shows, can be missing.
        rate: the share of the given frames that is there, from above 0 to 1 (Vid-ODE's Figure 6: 100 % to 20 %);
            at least one, and frame 0 always.
    """

    def present(self, *, seed: int, epoch: int, indices: Indices) -> Present:
        """Frame 0 and others drawn from the given ones, and all that are not given."""
        kept = max(1, round(self.rate * self.given))
        here = self.sampling.present(seed=seed, epoch=epoch, indices=indices)
        lost = 1 + _choose_first(uniforms(MISSING_FRAMES, seed, epoch, indices, self.given - 1), self.given - kept)
        np.put_along_axis(here, lost, False, axis=1)
        return here


@dataclass(frozen=True)
class MissingPixels(_WithMissing):
    """Another rule's samples with pixels missing: `valid` is False there, and black is shown.

    Squares of pixels are lost, each for all channels at once and in each frame anew.

    Args:
        sampling: the rule whose samples lose pixels.
        given: only the first `given` frames, those a task shows, lose pixels.
        rate: the share of squares that is there, from above 0 to 1.
        block: side of the squares; 1 loses single pixels, 8 leaves holes like clouds.
    """

    block: int = 1

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.block < 1:
            raise UserError(f"block must be at least 1; got {self.block}.")

    def present(self, *, seed: int, epoch: int, indices: Indices) -> Present:
        """The frames that are there without the loss."""
        return self.sampling.present(seed=seed, epoch=epoch, indices=indices)

    def valid(self, size: tuple[int, int], *, seed: int, epoch: int, indices: Indices) -> Valid | None:
        """Squares drawn anew for each given frame; exactly the asked share of them, rounded, is lost in each."""
        height, width = size
        rows, columns = -(-height // self.block), -(-width // self.block)
        here = np.ones((len(indices), self.num_frames, rows * columns), dtype=bool)
        numbers = uniforms(MISSING_PIXELS, seed, epoch, indices, self.given * rows * columns)
        lost = round((1 - self.rate) * rows * columns)
        order = np.argsort(numbers.reshape(len(indices), self.given, -1), axis=2, kind="stable")
        np.put_along_axis(here[:, : self.given], order[:, :, :lost], False, axis=2)
        squares = here.reshape(len(indices), self.num_frames, 1, rows, columns)
        pixels = squares.repeat(self.block, axis=3).repeat(self.block, axis=4)[..., :height, :width]
        before = self.sampling.valid(size, seed=seed, epoch=epoch, indices=indices)
        return np.ascontiguousarray(pixels) if before is None else before & pixels


def _choose_first(numbers: Float64[np.ndarray, "batch n"], count: int) -> Int64[np.ndarray, "batch {count}"]:
    """`count` different integers from 0 to n - 1, as `numbers` order them."""
    return np.argsort(numbers, axis=1, kind="stable")[:, :count]


def _with_ends(inner: Int64[np.ndarray, "batch inner"], window: int) -> Int64[np.ndarray, "batch inner+2"]:
    """The two ends of the window and what is between, in order."""
    return np.pad(np.sort(inner, axis=1), ((0, 0), (1, 1)), constant_values=(0, window - 1))
