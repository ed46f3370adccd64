"""Features of clips in files, a part at a time, so that memory does not grow with the number of clips."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial

import numpy as np
import torch
from jaxtyping import Float
from rich.progress import track
from torch import Tensor

from benchmarks.evaluation.feature_cache import cached_features, key_of
from benchmarks.evaluation.video_files import ClipFile, content_of, read_clip
from benchmarks.metrics.distribution import rows_of
from benchmarks.metrics.features.extractor import Extractor
from benchmarks.utils.pixels import from_pixels

AT_ONCE = 16
"""Clips per batch of a network, if they have one size."""
PART = 256
"""Clips whose features are cached together: 33 MB of Inception's for 16 frames each."""

Frames = Float[Tensor, "clip time 3 height width"]
Rows = Float[Tensor, "_clip _width"]


class NetworkError(Exception):
    """A network failed on the clips."""

    def __init__(self, cause: Exception) -> None:
        super().__init__(str(cause))
        self.cause = cause


@dataclass(frozen=True)
class Reading:
    """Which frames of each clip are read; see `video_files.read_clip`."""

    frames: int
    size: int | None = None
    fps: float | None = None

    def frames_of(self, clip: ClipFile) -> Float[Tensor, "time 3 height width"]:
        """The clip's frames in [-1, 1]."""
        pictures = read_clip(clip, frames=self.frames, size=self.size, fps=self.fps)
        return from_pixels(np.array(pictures))

    def batches(self, clips: Sequence[ClipFile]) -> Iterator[Frames]:
        """The clips in their order, in batches of one size."""
        waiting: list[Tensor] = []
        for clip in clips:
            frames = self.frames_of(clip)
            if waiting and (len(waiting) == AT_ONCE or frames.shape != waiting[0].shape):
                yield torch.stack(waiting)
                waiting = []
            waiting.append(frames)
        if waiting:
            yield torch.stack(waiting)


@dataclass
class FeatureStream:
    """Features of clips as one network, or one network of single frames, sees them.

    Args:
        network: the extractor.
        each_frame: whether a row holds the features of all single frames.
        reading: which frames of each clip are read.
        device: where the network runs.
        origins: where the features of the parts of `cached` came from, in words, each once.
    """

    network: Extractor
    each_frame: bool
    reading: Reading
    device: str
    origins: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        return looks_at(self.network.name, self.each_frame)

    def rows(self, clips: Sequence[ClipFile], what: str) -> Iterator[Rows]:
        """The features of the clips, in their order, a batch at a time.

        Raises:
            NetworkError: if the network fails; what a file has wrong is raised as it is.
        """
        batches = self.reading.batches(clips)
        for frames in track(batches, description=what, total=len(clips) / AT_ONCE, transient=True):
            yield self.of(frames)

    def cached(self, clips: Sequence[ClipFile], what: str) -> Iterator[Rows]:
        """As `rows`, a part of 256 clips at a time, each from the cache or put there."""
        reading = {"frames": self.reading.frames, "size": self.reading.size, "fps": self.reading.fps}
        reading |= {"each_frame": True} if self.each_frame else {}
        content = content_of(clips)
        for start in range(0, len(clips), PART):
            part = clips[start : start + PART]
            key = key_of(content[start : start + PART], reading, self.network)
            rows, how = cached_features(key, len(part), partial(self._joined, part, what))
            if how not in self.origins:
                self.origins.append(how)
            yield rows

    def of(self, frames: Frames) -> Rows:
        """The features of a batch.

        Raises:
            NetworkError: if the network fails.
        """
        try:
            return rows_of(self.network, frames.to(self.device), self.each_frame).cpu()
        except Exception as error:  # whatever it is, it is the failure of this network's metrics and of no others
            raise NetworkError(error) from error

    def _joined(self, clips: Sequence[ClipFile], what: str) -> Rows:
        return torch.cat(list(self.rows(clips, what)))


def looks_at(network: str, each_frame: bool) -> str:
    """What a network looks at, in words."""
    return f"{network} of {'single frames' if each_frame else 'clips'}"
