"""What `benchmarks evaluate` measures: clips of files against reference clips, with the suite's own metrics."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from math import isfinite

import numpy as np
import torch
from jaxtyping import Float
from rich.progress import track
from torch import Tensor

from benchmarks.clip_files import ClipFile, content_of, read_clip
from benchmarks.feature_cache import cached_features, key_of
from benchmarks.metrics.base import ClipMetric
from benchmarks.metrics.featured import SetMetric
from benchmarks.metrics.features.extractor import Extractor
from benchmarks.metrics.paired import PairedMetric, PerClip
from benchmarks.records import Measurement
from benchmarks.weights import WeightsUnavailable
from datamodules.clip import VideoClip, sample_id

AT_ONCE = 16
"""Clips that a network is given together, if they have one size."""

Frames = Float[Tensor, "clip time 3 height width"]


@dataclass(frozen=True)
class Reading:
    """What of each clip is looked at; see `clip_files.read_clip`."""

    frames: int
    size: int | None = None
    fps: float | None = None

    def frames_of(self, clip: ClipFile) -> Float[Tensor, "time 3 height width"]:
        """The clip's frames in [-1, 1]."""
        pictures = read_clip(clip, frames=self.frames, size=self.size, fps=self.fps)
        return torch.from_numpy(np.array(pictures)).float() / 127.5 - 1


@dataclass
class FolderExam:
    """Measures clips against as many reference clips.

    Args:
        generated: the clips that are scored.
        reference: in the same order, where clips are compared one by one.
        reading: what of each clip is looked at.
        device: where metrics and networks run.
        per_clip: what each clip got, by metric, once measured.
        notes: what a person may want to know: where the reference's features came from.
    """

    generated: Sequence[ClipFile]
    reference: Sequence[ClipFile]
    reading: Reading
    device: str = "cpu"
    per_clip: dict[str, PerClip] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def measure(self, metrics: Sequence[PairedMetric | SetMetric]) -> dict[str, Measurement]:
        """What each metric finds; one whose weights cannot be had is a dash with its reason.

        Raises:
            ValueError: if clips that are compared one by one differ in shape, or are too small for a metric.
        """
        dashes: dict[str, str] = {}
        for metric in metrics:
            try:
                metric.prepare()
            except WeightsUnavailable as error:
                dashes[metric.name] = str(error)
        ready = [metric.to(self.device) for metric in metrics if metric.name not in dashes]
        paired = [metric for metric in ready if isinstance(metric, PairedMetric)]
        self._compare(paired)
        self._look([metric for metric in ready if isinstance(metric, SetMetric)])
        self.per_clip = {metric.name: metric.per_clip() for metric in paired}
        found = {metric.name: _measurement(metric) for metric in ready}
        return {
            metric.name: found.get(metric.name)
            or Measurement.missing(dashes[metric.name], higher_is_better=metric.higher_is_better)
            for metric in metrics
        }

    def _compare(self, metrics: Sequence[PairedMetric]) -> None:
        """Clip by clip: the ones of a name must have one shape."""
        if not metrics:
            return
        pairs = list(zip(self.generated, self.reference, strict=True))
        for number, (mine, real) in enumerate(track(pairs, description="Comparing", transient=True)):
            answer, truth = (self.reading.frames_of(clip).to(self.device)[None] for clip in (mine, real))
            if answer.shape != truth.shape:
                raise ValueError(
                    f"'{mine.name}' is {_shape(answer)} as generated and {_shape(truth)} in the reference: frame by "
                    "frame only equal sizes compare. Give --size to bring both to one."
                )
            times = torch.arange(self.reading.frames, dtype=torch.float32)[None]
            ids = torch.tensor([sample_id(number, 0)])
            for metric in metrics:
                metric.update(VideoClip(answer, times), VideoClip(truth, times), ids)

    def _look(self, metrics: Sequence[SetMetric]) -> None:
        """Through each network once; the reference's features are kept for the next time."""
        ids = torch.tensor([sample_id(number, 0) for number in range(len(self.generated))])
        networks = {metric.network.name: metric.network for metric in metrics}
        for name, network in networks.items():
            reading = {"frames": self.reading.frames, "size": self.reading.size, "fps": self.reading.fps}
            key = key_of(content_of(self.reference), reading, network)
            make = partial(self._features, network, self.reference, "Reference")
            truth, how = cached_features(key, len(self.reference), make)
            self.notes.append(f"The reference's features of {name}: {how}.")
            answer = self._features(network, self.generated, "Generated")
            for metric in metrics:
                if metric.network.name == name:
                    for side in metric.sides:
                        metric.keep(side, ids, answer if side == "answer" else truth)

    def _features(self, network: Extractor, clips: Sequence[ClipFile], what: str) -> Float[Tensor, "_clips _features"]:
        shown = track(self._batches(clips), description=what, total=len(clips) / AT_ONCE, transient=True)
        return torch.cat([network(frames.to(self.device)).cpu() for frames in shown])

    def _batches(self, clips: Sequence[ClipFile]) -> Iterator[Frames]:
        """The clips in their order, some of one size at a time."""
        waiting: list[Tensor] = []
        for clip in clips:
            frames = self.reading.frames_of(clip)
            if waiting and (len(waiting) == AT_ONCE or frames.shape != waiting[0].shape):
                yield torch.stack(waiting)
                waiting = []
            waiting.append(frames)
        yield torch.stack(waiting)


def _measurement(metric: ClipMetric) -> Measurement:
    summary = metric.summary()
    if not all(map(isfinite, (summary.value, *(summary.interval or ()), *(summary.per_frame or ())))):
        return Measurement.missing(f"not finite ({summary.value})", higher_is_better=metric.higher_is_better)
    return Measurement(*summary, higher_is_better=metric.higher_is_better)


def _shape(frames: Tensor) -> str:
    return f"{frames.shape[-1]} x {frames.shape[-2]}"
