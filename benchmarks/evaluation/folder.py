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

from benchmarks.evaluation.feature_cache import cached_features, key_of
from benchmarks.evaluation.video_files import ClipFile, content_of, read_clip
from benchmarks.metrics.base import ClipMetric
from benchmarks.metrics.distribution import SetMetric, rows_of
from benchmarks.metrics.features.extractor import Extractor
from benchmarks.metrics.reference import PairedMetric
from benchmarks.pretrained.registry import WeightsUnavailable
from benchmarks.records.clip_scores import PerClip
from benchmarks.records.record import Measurement
from benchmarks.utils.errors import UserError
from benchmarks.utils.pixels import from_pixels
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
        return from_pixels(np.array(pictures))


@dataclass(frozen=True)
class Gate:
    """What a metric says of one half of the reference, and of noise, against the other half."""

    metric: str
    real: float
    noise: float
    higher_is_better: bool
    clips: int

    @property
    def passed(self) -> bool:
        """Whether real clips are far better than noise: by a factor of two."""
        better, worse = (self.noise, self.real) if self.higher_is_better else (self.real, self.noise)
        return 2 * better < worse

    def __str__(self) -> str:
        verdict = "" if self.passed else ": NOT TOLD APART"
        values = f"real against real {self.real:.5g}, noise against real {self.noise:.5g}"
        return f"gate {self.metric}: {values}, {self.clips} clips of either side{verdict}"


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
    _truths: dict[tuple[str, bool], Tensor] = field(default_factory=dict)

    def measure(self, metrics: Sequence[PairedMetric | SetMetric]) -> dict[str, Measurement]:
        """What each metric finds; one whose weights cannot be had is a dash with its reason.

        Raises:
            UserError: if clips that are compared one by one differ in shape, or are too small for a metric.
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

    def gates(self, metrics: Sequence[SetMetric], half: int) -> dict[str, Gate]:
        """How metrics of two sets, each of `half` the clips, see real clips and noise; after `measure`.

        The even clips of the reference are compared with the odd ones, and so is noise of their shape. A metric whose
        weights could not be had has no gate, and none has one of the answers alone.
        """
        found = {}
        for metric in metrics:
            truth = self._truths.get((metric.network.name, metric.each_frame))
            if truth is None or len(metric.sides) < 2:
                continue
            even, odd = truth[: 2 * half : 2], truth[1 : 2 * half : 2]
            key = (metric.network.name + " of noise", metric.each_frame)
            if key not in self._truths:
                batches = (self._noise(frames) for frames in self._batches(self.reference[: 2 * half : 2]))
                rows = [rows_of(metric.network, frames.to(self.device), metric.each_frame).cpu() for frames in batches]
                self._truths[key] = torch.cat(rows)
            real, noise = (self._distance(metric, rows, odd) for rows in (even, self._truths[key]))
            found[metric.name] = Gate(metric.name, real, noise, metric.higher_is_better, half)
        return found

    def _distance(self, metric: SetMetric, answer: Tensor, truth: Tensor) -> float:
        metric.reset()
        ids = torch.tensor([sample_id(number, 0) for number in range(len(truth))])
        metric.keep("answer", ids, answer)
        metric.keep("truth", ids, truth)
        return metric.summary().value

    @staticmethod
    def _noise(frames: Frames) -> Frames:
        return torch.rand(frames.shape, generator=torch.Generator().manual_seed(len(frames))) * 2 - 1

    def _compare(self, metrics: Sequence[PairedMetric]) -> None:
        """Clip by clip: the ones of a name must have one shape."""
        if not metrics:
            return
        pairs = list(zip(self.generated, self.reference, strict=True))
        for number, (mine, real) in enumerate(track(pairs, description="Comparing", transient=True)):
            answer, truth = (self.reading.frames_of(clip).to(self.device)[None] for clip in (mine, real))
            if answer.shape != truth.shape:
                raise UserError(
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
        networks = {(metric.network.name, metric.each_frame): metric.network for metric in metrics}
        for (name, each), network in networks.items():
            reading = {"frames": self.reading.frames, "size": self.reading.size, "fps": self.reading.fps}
            key = key_of(content_of(self.reference), reading | ({"each_frame": True} if each else {}), network)
            make = partial(self._features, network, each, self.reference, "Reference")
            truth, how = cached_features(key, len(self.reference), make)
            self._truths[name, each] = truth
            self.notes.append(f"The reference's features of {name}: {how}.")
            answer = self._features(network, each, self.generated, "Generated")
            for metric in metrics:
                if (metric.network.name, metric.each_frame) == (name, each):
                    for side in metric.sides:
                        metric.keep(side, ids, answer if side == "answer" else truth)

    def _features(
        self, network: Extractor, each_frame: bool, clips: Sequence[ClipFile], what: str
    ) -> Float[Tensor, "_clips _features"]:
        shown = track(self._batches(clips), description=what, total=len(clips) / AT_ONCE, transient=True)
        return torch.cat([rows_of(network, frames.to(self.device), each_frame).cpu() for frames in shown])

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
