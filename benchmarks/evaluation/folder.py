"""Folder evaluation (`benchmarks evaluate`): clips from files against reference clips, with the suite's metrics."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial

import numpy as np
import torch
from jaxtyping import Float, Int
from rich.progress import track
from torch import Tensor

from benchmarks.evaluation.failures import reason_of
from benchmarks.evaluation.feature_cache import cached_features, key_of
from benchmarks.evaluation.video_files import ClipFile, content_of, read_clip
from benchmarks.metrics.distribution import DistributionMetric, rows_of
from benchmarks.metrics.features.extractor import Extractor
from benchmarks.metrics.reference import ReferenceMetric
from benchmarks.records.clip_scores import PerClip
from benchmarks.records.parts import Measurement
from benchmarks.utils.errors import UserError
from benchmarks.utils.pixels import from_pixels
from datamodules.base.clip_source import number_of
from datamodules.clip import VideoClip, sample_id

AT_ONCE = 16
"""Clips per batch of a network, if they have one size."""

Frames = Float[Tensor, "clip time 3 height width"]


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


class _NetworkError(Exception):
    """A network failed on the clips."""

    def __init__(self, cause: Exception) -> None:
        super().__init__(str(cause))
        self.cause = cause


def check_sides(generated: Sequence[ClipFile], reference: Sequence[ClipFile], reading: Reading) -> None:
    """Raise a UserError if two sets of clips differ in the size or in the range of their frames.

    A distance between them would be one of sizes or of ranges. The first frame of each clip is looked at.
    """
    found = []
    for clips in (generated, reference):
        firsts = [read_clip(clip, frames=1, size=reading.size)[0] for clip in clips]
        found.append(({first.shape[-2:] for first in firsts}, max(int(first.max()) for first in firsts)))
    (mine, brightest), (theirs, other) = found
    if mine != theirs:
        sizes = [", ".join(f"{width} x {height}" for height, width in sorted(one)[:4]) for one in (mine, theirs)]
        raise UserError(
            f"Sets of clips are compared at one size; the generated frames are {sizes[0]}, those of the reference "
            f"{sizes[1]}. Give --size to resize both, or make both at one size."
        )
    for whose, own, others in (("generated", brightest, other), ("reference", other, brightest)):
        if own == 1 and others > 1:
            raise UserError(
                f"Frames are uint8 from 0 to 255; the brightest pixel of the {whose} clips is 1 and that of the others "
                f"{others}: they seem to be floats in [0, 1], cut off. Save (255 * x).round().astype(uint8)."
            )


@dataclass(frozen=True)
class Gate:
    """A metric of one half of the reference, and of noise, against the other half."""

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
        verdict = "" if self.passed else ": NOT DISTINGUISHED"
        values = f"real against real {self.real:.5g}, noise against real {self.noise:.5g}"
        return f"gate {self.metric}: {values}, {self.clips} clips of either side{verdict}"


@dataclass
class FolderEvaluation:
    """Compares clips with as many reference clips.

    Args:
        generated: the clips that are scored.
        reference: in the same order, where clips are compared one by one.
        reading: which frames of each clip are read.
        sources: the source of each reference clip, which may share it; empty: each clip is one.
        device: where metrics and networks run.
        per_clip: the score of each clip, by metric, once measured.
        notes: for the user: where the reference's features came from.
    """

    generated: Sequence[ClipFile]
    reference: Sequence[ClipFile]
    reading: Reading
    sources: Sequence[str] = ()
    device: str = "cpu"
    per_clip: dict[str, PerClip] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    _reference_features: dict[tuple[str, bool], Tensor] = field(default_factory=dict)

    def measure(self, metrics: Sequence[ReferenceMetric | DistributionMetric]) -> dict[str, Measurement]:
        """The measurement of each metric; n/a with its reason if it cannot be had.

        Raises:
            UserError: if clips of the two sides differ in size, or those of one hold values of another range.
        """
        unavailable: dict[str, str] = {}
        for metric in metrics:
            try:
                metric.prepare()
            except UserError:
                raise
            except Exception as error:
                unavailable[metric.name] = reason_of(metric.name, error)
        ready = [metric.to(self.device) for metric in metrics if metric.name not in unavailable]
        by_frame = [metric for metric in ready if isinstance(metric, ReferenceMetric)]
        of_sets = [metric for metric in ready if isinstance(metric, DistributionMetric)]
        if of_sets:
            check_sides(self.generated, self.reference, self.reading)
        self._compare(by_frame, unavailable)
        self._compute_features(of_sets, unavailable)
        found: dict[str, Measurement] = {}
        for metric in ready:
            if metric.name not in unavailable:
                try:
                    found[metric.name] = metric.measurement()
                    if isinstance(metric, ReferenceMetric):
                        self.per_clip[metric.name] = metric.per_clip()
                except Exception as error:  # one metric's failure is not the end of the others
                    unavailable[metric.name] = reason_of(metric.name, error)
                    found.pop(metric.name, None)
        return {
            metric.name: found.get(metric.name)
            or Measurement.missing(unavailable[metric.name], higher_is_better=metric.higher_is_better)
            for metric in metrics
        }

    def gates(self, metrics: Sequence[DistributionMetric], half: int) -> dict[str, Gate]:
        """Sanity checks of metrics of two sets, each of `half` the clips; after `measure`.

        The even clips of the reference are compared with the odd ones, and so is noise of their shape. Metrics without
        weights, and metrics of the predictions alone, have no gate.
        """
        found = {}
        for metric in metrics:
            reference = self._reference_features.get((metric.network.name, metric.each_frame))
            if reference is None or len(metric.sides) < 2:
                continue
            even, odd = reference[: 2 * half : 2], reference[1 : 2 * half : 2]
            key = (metric.network.name + " of noise", metric.each_frame)
            if key not in self._reference_features:
                batches = (self._noise(frames) for frames in self._batches(self.reference[: 2 * half : 2]))
                rows = [rows_of(metric.network, frames.to(self.device), metric.each_frame).cpu() for frames in batches]
                self._reference_features[key] = torch.cat(rows)
            real, noise = (self._distance(metric, rows, odd) for rows in (even, self._reference_features[key]))
            found[metric.name] = Gate(metric.name, real, noise, metric.higher_is_better, half)
        return found

    def _distance(self, metric: DistributionMetric, prediction: Tensor, reference: Tensor) -> float:
        metric.reset()
        ids = torch.tensor([sample_id(number, 0) for number in range(len(reference))])
        metric.keep("prediction", ids, prediction)
        metric.keep("target", ids, reference)
        return float(metric.compute())

    @property
    def _origins(self) -> Int[Tensor, " clip"]:
        names = self.sources or [clip.name for clip in self.reference]
        return torch.tensor([number_of(name) for name in names])

    @staticmethod
    def _noise(frames: Frames) -> Frames:
        return torch.rand(frames.shape, generator=torch.Generator().manual_seed(len(frames))) * 2 - 1

    def _compare(self, metrics: Sequence[ReferenceMetric], unavailable: dict[str, str]) -> None:
        """Clip by clip; two clips of a name must have one shape."""
        if not metrics:
            return
        pairs = list(zip(self.generated, self.reference, strict=True))
        for number, (mine, real) in enumerate(track(pairs, description="Comparing", transient=True)):
            prediction, reference = (self.reading.frames_of(clip).to(self.device)[None] for clip in (mine, real))
            if prediction.shape != reference.shape:
                raise UserError(
                    f"'{mine.name}' is {_shape(prediction)} as generated and {_shape(reference)} in the reference; "
                    "only frames of one size can be compared. Give --size to resize both."
                )
            times = torch.arange(self.reading.frames, dtype=torch.float32)[None]
            ids = torch.tensor([sample_id(number, 0)])
            for metric in metrics:
                if metric.name not in unavailable:
                    try:
                        metric.know_origins(ids, self._origins[number : number + 1])
                        metric.update(VideoClip(prediction, times), VideoClip(reference, times), ids)
                    except Exception as error:
                        unavailable[metric.name] = reason_of(metric.name, error)

    def _compute_features(self, metrics: Sequence[DistributionMetric], unavailable: dict[str, str]) -> None:
        """Every network once; the reference's features are cached for the next evaluation."""
        ids = torch.tensor([sample_id(number, 0) for number in range(len(self.generated))])
        networks = {(metric.network.name, metric.each_frame): metric.network for metric in metrics}
        for (name, each), network in networks.items():
            mine = [one for one in metrics if (one.network.name, one.each_frame) == (name, each)]
            reading = {"frames": self.reading.frames, "size": self.reading.size, "fps": self.reading.fps}
            key = key_of(content_of(self.reference), reading | ({"each_frame": True} if each else {}), network)
            make = partial(self._features, network, each, self.reference, "Reference")
            try:
                reference, how = cached_features(key, len(self.reference), make)
                prediction = self._features(network, each, self.generated, "Generated")
            except _NetworkError as error:
                unavailable |= {metric.name: reason_of(metric.name, error.cause) for metric in mine}
                continue
            self._reference_features[name, each] = reference
            self.notes.append(f"Features of the reference, {name}: {how}.")
            for metric in mine:
                metric.know_origins(ids, self._origins)
                for side in metric.sides:
                    metric.keep(side, ids, prediction if side == "prediction" else reference)

    def _features(
        self, network: Extractor, each_frame: bool, clips: Sequence[ClipFile], what: str
    ) -> Float[Tensor, "_clips _features"]:
        found = []
        for frames in track(self._batches(clips), description=what, total=len(clips) / AT_ONCE, transient=True):
            try:
                found.append(rows_of(network, frames.to(self.device), each_frame).cpu())
            except Exception as error:  # what a file has wrong is raised as it is; a network's failure is its metrics'
                raise _NetworkError(error) from error
        return torch.cat(found)

    def _batches(self, clips: Sequence[ClipFile]) -> Iterator[Frames]:
        """The clips in their order, in batches of one size."""
        waiting: list[Tensor] = []
        for clip in clips:
            frames = self.reading.frames_of(clip)
            if waiting and (len(waiting) == AT_ONCE or frames.shape != waiting[0].shape):
                yield torch.stack(waiting)
                waiting = []
            waiting.append(frames)
        yield torch.stack(waiting)


def _shape(frames: Tensor) -> str:
    return f"{frames.shape[-1]} x {frames.shape[-2]}"
