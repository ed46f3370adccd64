"""Sampling: which frames of a source clip make up a sample; pure functions of (seed, epoch, index)."""

from abc import ABC, abstractmethod
from dataclasses import dataclass, field, replace
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
    """A clip has fewer frames than a sample spans."""


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
        """How many consecutive frames of the source clip a window has: the minimum length of a clip."""

    @abstractmethod
    def window_start(self, room: Lengths, *, seed: int, epoch: int, indices: Indices) -> Lengths:
        """The first frame of each sample's window, from 0 to `room`."""

    @abstractmethod
    def frame_offsets(self, *, seed: int, epoch: int, indices: Indices) -> Positions:
        """The frames that each sample takes from its window, from 0 to `span` - 1."""

    @abstractmethod
    def present(self, *, seed: int, epoch: int, indices: Indices) -> Present:
        """False where a frame of these samples is missing."""

    def valid(self, size: tuple[int, int], *, seed: int, epoch: int, indices: Indices) -> Valid | None:
        """False where a pixel of these samples is missing; None when no pixel is."""
        return None

    def at_random(self) -> "Sampling":
        """The same frames of windows that lie anywhere in the clip; itself if it has no choice of where."""
        return self

    def batch(self, lengths: Lengths, *, seed: int, epoch: int, indices: Indices) -> Positions:
        """The frames of samples `indices` in `epoch`, of clips that have `lengths` frames.

        Raises:
            ShortClipError: if a length is below `span`.
        """
        if lengths.size and lengths.min() < self.span:
            raise ShortClipError(
                f"{self} spans {self.span} frames of a clip, but this one has {lengths.min()}. "
                "Use fewer frames or a smaller stride, or leave short clips out (`short_clips: exclude`)."
            )
        start = self.window_start(lengths - self.span, seed=seed, epoch=epoch, indices=indices)
        return start[:, None] + self.frame_offsets(seed=seed, epoch=epoch, indices=indices)

    def frames(self, length: int, *, seed: int, epoch: int, index: int) -> Int64[np.ndarray, " time"]:
        """The frames of one sample: `batch` of one."""
        return self.batch(np.array([length]), seed=seed, epoch=epoch, indices=np.array([index]))[0]


@dataclass(frozen=True)
class _Window(Sampling, ABC):
    """A window at random, at the start or at the centre of the clip, with no frame missing."""

    start: Start = field(default="random", kw_only=True)

    def at_random(self) -> Sampling:
        """See `Sampling`."""
        return replace(self, start="random")

    def window_start(self, room: Lengths, *, seed: int, epoch: int, indices: Indices) -> Lengths:
        """Random, 0, or such that the window is centred."""
        if self.start == "random":
            return (uniforms(WINDOW_START, seed, epoch, indices, 1)[:, 0] * (room + 1)).astype(np.int64)
        return room * 0 if self.start == "first" else room // 2

    def present(self, *, seed: int, epoch: int, indices: Indices) -> Present:
        """No frame is missing."""
        return np.ones((len(indices), self.num_frames), dtype=bool)


@dataclass(frozen=True)
class Regular(_Window):
    """Equally spaced frames.

    Args:
        num_frames: frames of a sample.
        stride: distance between them, in frames of the source clip. Vid-ODE trains interpolation on `Regular(5, 2)`.
        start: where the window lies in the clip: at random, at the start, or at the centre.
    """

    num_frames: int = 16
    stride: int = 1

    def __post_init__(self) -> None:
        if self.num_frames < 1 or self.stride < 1:
            raise UserError(f"num_frames and stride must be at least 1; got {self.num_frames} and {self.stride}.")

    @property
    def span(self) -> int:
        """From the first frame to the last."""
        return (self.num_frames - 1) * self.stride + 1

    def frame_offsets(self, *, seed: int, epoch: int, indices: Indices) -> Positions:
        """Frames 0, stride, 2 stride, ..."""
        return np.broadcast_to(self.stride * np.arange(self.num_frames), (len(indices), self.num_frames))


@dataclass(frozen=True)
class Irregular(_Window):
    """Random frames of each half of a window, as in Vid-ODE's irregular extrapolation.

    Frame 0 of the window is always among the inputs, its last frame always among the outputs; the others are chosen
    at random for each sample (Vid-ODE: window 20, 5 + 5). Vid-ODE's released code does not seed this choice in the
    test; here it is seeded.

    Args:
        window: consecutive frames of the source clip; even.
        inputs: how many of the first half are kept.
        outputs: how many of the second half are kept.
        start: where the window lies in the clip: at random, at the start, or at the centre.
    """

    window: int = 20
    inputs: int = 5
    outputs: int = 5

    def __post_init__(self) -> None:
        half = self.window // 2
        if self.window % 2 or not (1 <= self.inputs <= half and 1 <= self.outputs <= half):
            raise UserError(
                "window must be even, and inputs and outputs must be from 1 to half of it; "
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
        """The first frame, the last, and random frames of each half."""
        half = self.window // 2
        numbers = uniforms(FRAME_CHOICE, seed, epoch, indices, 2 * (half - 1))
        first = 1 + _choose_first(numbers[:, : half - 1], self.inputs - 1)
        second = half + _choose_first(numbers[:, half - 1 :], self.outputs - 1)
        return _with_ends(np.concatenate([first, second], axis=1), self.window)


@dataclass(frozen=True)
class IrregularBetween(_Window):
    """The two ends of a window and `count` - 2 random frames between them: irregular interpolation.

    Args:
        window: consecutive frames of the source clip.
        count: frames of a sample, the two ends among them.
        start: where the window lies in the clip: at random, at the start, or at the centre.
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
        """The two ends, and random frames between them."""
        inner = 1 + _choose_first(uniforms(FRAME_CHOICE, seed, epoch, indices, self.window - 2), self.count - 2)
        return _with_ends(inner, self.window)


@dataclass(frozen=True)
class IrregularThenRegular(_Window):
    """Random frames of a window, then every frame that follows it: irregular input, regular and finer output.

    CAM5 in Vid-ODE (Fig. 7: observed at 0, 9, 21, 42, 57 hours, predicted at 60, 63, 66, 69, 72). The first and the
    last frame of the window are always observed, so that 5 of 20 frames 3 hours apart have gaps of up to 48 hours, as
    the paper says. Its released code instead predicts random frames of the second half (`Irregular`).

    Args:
        window: consecutive frames of the source clip from which the inputs are chosen.
        inputs: how many of them are observed, the two ends among them.
        outputs: how many frames follow.
        start: where window and outputs lie in the clip: at random, at the start, or at the centre.
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
        """The two ends of the window, random frames between them, and the frames that follow."""
        inner = 1 + _choose_first(uniforms(FRAME_CHOICE, seed, epoch, indices, self.window - 2), self.inputs - 2)
        after = np.broadcast_to(np.arange(self.window, self.span), (len(indices), self.outputs))
        return np.concatenate([_with_ends(inner, self.window), after], axis=1)


@dataclass(frozen=True)
class _WithMissing(Sampling, ABC):
    """The samples of another sampling, with frames or pixels missing."""

    sampling: Sampling
    context: int
    rate: float = 1.0

    def __post_init__(self) -> None:
        if not 0 < self.rate <= 1:
            raise UserError(f"rate, the share that is kept, must be above 0 and at most 1; got {self.rate}.")
        if not 1 <= self.context <= self.num_frames:
            raise UserError(f"context must be from 1 to the sample's {self.num_frames} frames; got {self.context}.")

    @property
    def num_frames(self) -> int:
        """As many as the other sampling's."""
        return self.sampling.num_frames

    @property
    def span(self) -> int:
        """As long as the other sampling's."""
        return self.sampling.span

    def window_start(self, room: Lengths, *, seed: int, epoch: int, indices: Indices) -> Lengths:
        """That of the other sampling."""
        return self.sampling.window_start(room, seed=seed, epoch=epoch, indices=indices)

    def frame_offsets(self, *, seed: int, epoch: int, indices: Indices) -> Positions:
        """Those of the other sampling."""
        return self.sampling.frame_offsets(seed=seed, epoch=epoch, indices=indices)

    def valid(self, size: tuple[int, int], *, seed: int, epoch: int, indices: Indices) -> Valid | None:
        """As in the other sampling."""
        return self.sampling.valid(size, seed=seed, epoch=epoch, indices=indices)


@dataclass(frozen=True)
class MissingFrames(_WithMissing):
    """The samples of another sampling with frames missing: they keep their index and time, but `present` is False.

    The pixels of a missing frame are black, so that no model can use them by mistake.

    Args:
        sampling: the sampling whose samples lose frames.
        context: only the first `context` frames, which a task lets a model observe, can be missing.
        rate: the share of the context frames that is kept, above 0 and at most 1 (Vid-ODE's Figure 6: 100 % to 20 %);
            at least one, and frame 0 always.
    """

    def present(self, *, seed: int, epoch: int, indices: Indices) -> Present:
        """True for frame 0, for random other context frames, and for all frames after the context."""
        kept = max(1, round(self.rate * self.context))
        here = self.sampling.present(seed=seed, epoch=epoch, indices=indices)
        lost = 1 + _choose_first(uniforms(MISSING_FRAMES, seed, epoch, indices, self.context - 1), self.context - kept)
        np.put_along_axis(here, lost, False, axis=1)
        return here


@dataclass(frozen=True)
class MissingPixels(_WithMissing):
    """The samples of another sampling with pixels missing: they are black, and `valid` is False there.

    Squares of pixels are missing, in all channels at once, chosen anew for each frame.

    Args:
        sampling: the sampling whose samples lose pixels.
        context: only the first `context` frames, which a task lets a model observe, lose pixels.
        rate: the share of squares that is kept, above 0 and at most 1.
        block: side of the squares in pixels; 1 drops single pixels, 8 makes holes like clouds.
    """

    block: int = 1

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.block < 1:
            raise UserError(f"block must be at least 1; got {self.block}.")

    def present(self, *, seed: int, epoch: int, indices: Indices) -> Present:
        """As in the other sampling."""
        return self.sampling.present(seed=seed, epoch=epoch, indices=indices)

    def valid(self, size: tuple[int, int], *, seed: int, epoch: int, indices: Indices) -> Valid | None:
        """Random squares of each context frame are missing; their number is the share 1 - `rate`, rounded."""
        height, width = size
        rows, columns = -(-height // self.block), -(-width // self.block)
        here = np.ones((len(indices), self.num_frames, rows * columns), dtype=bool)
        numbers = uniforms(MISSING_PIXELS, seed, epoch, indices, self.context * rows * columns)
        lost = round((1 - self.rate) * rows * columns)
        order = np.argsort(numbers.reshape(len(indices), self.context, -1), axis=2, kind="stable")
        np.put_along_axis(here[:, : self.context], order[:, :, :lost], False, axis=2)
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
