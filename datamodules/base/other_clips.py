"""Other clips: real clips that are not those evaluated, and whole training clips: what baselines see of the data."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from jaxtyping import Float32, Float64, Int, Int64
from torch import Tensor

from datamodules.base.dataloader import ClipDataset
from datamodules.base.rng import WINDOW_START, uniforms
from datamodules.clip import Sample, id_and_draw, source_of
from datamodules.errors import UserError
from datamodules.sampling import Indices, Lengths, Positions, Present, Sampling

if TYPE_CHECKING:
    from datamodules.base.module import ClipDataModule, Split

_PART = 64


@dataclass(frozen=True)
class OtherWindows(Sampling):
    """Windows of the evaluated clips that are not the evaluated windows.

    Where a clip is long enough, the window shares no frame with the evaluated one; else it is the one farthest away.

    Args:
        evaluated: the sampling of the evaluated windows.
        positions: of the clips in the evaluation, for each clip that has another window.
    """

    evaluated: Sampling
    positions: tuple[int, ...]

    @property
    def num_frames(self) -> int:
        """As many as the evaluated sampling's."""
        return self.evaluated.num_frames

    @property
    def span(self) -> int:
        """As long as the evaluated sampling's."""
        return self.evaluated.span

    def window_start(self, room: Lengths, *, seed: int, epoch: int, indices: Indices) -> Lengths:
        """Random among the starts before and after the evaluated window."""
        among = np.array(self.positions, dtype=np.int64)[indices % len(self.positions)]
        taken = self.evaluated.window_start(room, seed=seed, epoch=0, indices=among)
        before = np.maximum(taken - self.span + 1, 0)
        after = np.maximum(room - taken - self.span + 1, 0)
        # epoch 1: the evaluation draws from epoch 0
        chosen = (uniforms(WINDOW_START, seed, 1, indices, 1)[:, 0] * (before + after)).astype(np.int64)
        disjoint = np.where(chosen < before, chosen, chosen - before + taken + self.span)
        farthest = np.where(taken > room - taken, 0, room)
        return np.where(before + after > 0, disjoint, farthest)

    def frame_offsets(self, *, seed: int, epoch: int, indices: Indices) -> Positions:
        """Those of the evaluated sampling."""
        return self.evaluated.frame_offsets(seed=seed, epoch=epoch, indices=indices)

    def present(self, *, seed: int, epoch: int, indices: Indices) -> Present:
        """As in the evaluated sampling."""
        return self.evaluated.present(seed=seed, epoch=epoch, indices=indices)


class OtherClips:
    """Real clips of a split, none of them evaluated, sampled as the evaluated ones are.

    Of another split than the evaluated one: its clips, at the evaluated windows; at random windows if the evaluated
    clips are themselves cut out of longer ones, as long as a sample. Of the evaluated split itself (papers that hold
    nothing out): other windows of the same clips, see `OtherWindows`.

    Args:
        data: set up.
        split: whose clips are taken.
        seed: of the evaluated samples.
    """

    def __init__(self, data: "ClipDataModule", split: "Split", seed: int) -> None:
        self._data = data
        compared, used = data.source(data.test_split), data.used_clips(data.test_split)
        self._count = len(compared)
        self._first = data.first_number(data.test_split)
        lengths = [len(compared.times(clip)) for clip in used.tolist()]
        sampling = data.eval_sampling
        if split == data.test_split:
            # clips as long as a sample have one window, which is evaluated
            other = [position for position, length in enumerate(lengths) if length > sampling.span]
            if not other:
                raise UserError(
                    f"The {split} clips of {data.name} have no frame besides the evaluated windows of {sampling.span} "
                    "frames, so there is no other real clip among them. Choose another `split`."
                )
            sampling, used = OtherWindows(sampling, tuple(other)), used[np.array(other)]
        else:
            used = data.used_clips(split)
            if not len(used):
                raise UserError(f"{data.name} has no {split} clips that could be shown. Choose another `split`.")
            if max(lengths, default=0) == sampling.span:
                sampling = sampling.at_random()
        self._clips = ClipDataset(data.source(split), used, sampling, seed=seed, first_number=data.first_number(split))

    def __len__(self) -> int:
        return len(self._clips)

    def read(self, seeds: Int[Tensor, " batch"]) -> Sample:
        """One clip for each seed of a query, in [-1, 1], on the CPU.

        Neighbouring evaluated clips get neighbouring clips, so that none comes twice while there are enough; other
        draws for an evaluated clip get other clips.
        """
        ids, draws = id_and_draw(seeds.cpu())
        numbers: Int64[np.ndarray, " batch"] = (source_of(ids) - self._first + draws * self._count).numpy()
        batch = self._clips.__getitems__([(0, number) for number in numbers.tolist()])
        return self._data.on_after_batch_transfer(batch, 0).clip


class WholeClip(NamedTuple):
    """Consecutive frames of a source clip.

    `frames` are in [-1, 1], NaN where nothing was measured; `times` are seconds since the clip's first frame; `origin`
    is as in `Batch.origins`.
    """

    frames: Float32[np.ndarray, "time channel height width"]
    times: Float64[np.ndarray, " time"]
    origin: int


def whole_clips(data: "ClipDataModule", split: "Split") -> Iterator[WholeClip]:
    """Every frame of a split's clips, in parts of at most 64 frames."""
    source = data.source(split)
    origins = [origin.number for origin in source.origins()]
    for clip in data.used_clips(split).tolist():
        times = source.times(clip)
        for first in range(0, len(times), _PART):
            frames = np.arange(len(times))[first : first + _PART]
            pixels = source.read(np.array([clip]), frames[None])[0]
            values = pixels.astype(np.float32)
            scaled = values / np.float32(127.5) - 1 if pixels.dtype == np.uint8 else values
            yield WholeClip(scaled, times[frames], origins[clip])
