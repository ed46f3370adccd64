"""Folder evaluation (`benchmarks evaluate`): clips from files against reference clips, with the suite's metrics."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import torch
from jaxtyping import Int
from rich.progress import track
from torch import Tensor

from benchmarks.evaluation.extent import Extent, check_range, check_sizes, remarks
from benchmarks.evaluation.failures import reason_of
from benchmarks.evaluation.feature_stream import FeatureStream, NetworkError, Reading, Rows
from benchmarks.evaluation.gates import Gate, gates_of
from benchmarks.evaluation.own_clips import FIRST_SOURCE
from benchmarks.evaluation.saved_reference import SavedReference, numbered, seen_of
from benchmarks.evaluation.video_files import ClipFile
from benchmarks.metrics.distribution import DistributionMetric, Side
from benchmarks.metrics.reference import ReferenceMetric
from benchmarks.records.clip_scores import PerClip
from benchmarks.records.parts import Measurement
from benchmarks.utils.errors import UserError
from datamodules.base.clip_source import number_of
from datamodules.clip import VideoClip, source_of


@dataclass
class FolderEvaluation:
    """Compares clips with reference clips. Features are made and given to the metrics a part at a time.

    Args:
        generated: the clips that are scored; none to look at the reference only.
        reference: in the same order, where clips are compared one by one; none if it is `saved`.
        reading: which frames of each clip are read.
        sources: the source of each reference clip, which may share it; empty: each clip is one.
        device: where metrics and networks run.
        saved: what metrics need of the reference clips, in their place.
        apart: whether the two sides are sets of their own, of any numbers; else as many, and the sources of the
            reference are those of both.
        per_clip: the score of each clip, by metric, once measured.
        notes: for the user: where the reference's features came from, what was cropped.
        unavailable: why metrics are n/a, by name.
    """

    generated: Sequence[ClipFile]
    reference: Sequence[ClipFile]
    reading: Reading
    sources: Sequence[str] = ()
    device: str = "cpu"
    saved: SavedReference | None = None
    apart: bool = False
    per_clip: dict[str, PerClip] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    unavailable: dict[str, str] = field(default_factory=dict)

    def measure(self, metrics: Sequence[ReferenceMetric | DistributionMetric]) -> dict[str, Measurement]:
        """The measurement of each metric; n/a with its reason if it cannot be had. Empty without generated clips.

        Raises:
            UserError: if clips of the two sides differ in size, or those of one hold values of another range.
        """
        ready = [metric.to(self.device) for metric in metrics if self._prepared(metric)]
        of_sets = [metric for metric in ready if isinstance(metric, DistributionMetric)]
        if self.generated:
            self._check_extents(bool(of_sets))
        self._compare([metric for metric in ready if isinstance(metric, ReferenceMetric)])
        for stream, mine in self._streams(of_sets):
            self._compare_sets(stream, mine)
        if not self.generated:
            return {}
        found = {metric.name: self._measured(metric) for metric in ready}
        return {
            metric.name: found.get(metric.name)
            or Measurement.missing(self.unavailable[metric.name], higher_is_better=metric.higher_is_better)
            for metric in metrics
        }

    def gates(self, metrics: Sequence[DistributionMetric], half: int) -> dict[str, Gate]:
        """Sanity checks of metrics of two sets, each of `half` the clips; after `measure`.

        Where one cannot be had, a note says why.
        """
        found: dict[str, Gate] = {}
        for stream, mine in self._streams(metrics):
            try:
                gates, without = gates_of(mine, stream, self.reference, half)
            except NetworkError as error:
                gates, without = {}, {metric.name: reason_of(metric.name, error.cause) for metric in mine}
            found |= gates
            self.notes += [f"gate {name}: n/a ({reason})" for name, reason in without.items()]
        return found

    def reference_for(self, metrics: Sequence[DistributionMetric], data: str, content: str) -> SavedReference | None:
        """What these metrics, which `measure` gave the reference, need of it; None if none has it.

        Args:
            metrics: those that are n/a are left out.
            data: the id of the reference clips.
            content: the sha256 over their names and files.
        """
        seen = seen_of([one for one in metrics if "target" in one.sides and one.name not in self.unavailable])
        return SavedReference(self.reading, self.extent, data, content, self._origins, seen) if seen else None

    @cached_property
    def generated_extent(self) -> Extent:
        """The size and range of the generated frames, in their files."""
        return Extent.of(self.generated)

    @cached_property
    def extent(self) -> Extent:
        """The size and range of the reference's frames, in their files."""
        return Extent.of(self.reference) if self.saved is None else self.saved.extent

    @cached_property
    def _origins(self) -> Int[Tensor, " clip"]:
        """The source of each reference clip."""
        if self.saved is not None:
            return self.saved.origins
        names = self.sources or [clip.name for clip in self.reference]
        return torch.tensor([number_of(name) for name in names], dtype=torch.int64)

    def _check_extents(self, of_sets: bool) -> None:
        """Raise a UserError if the two sides should not be compared; note what a user should know of them."""
        mine, real, size = self.generated_extent, self.extent, self.reading.size
        if of_sets and size is None:
            check_sizes(mine, real)
        check_range(mine, real)
        self.notes += remarks(mine, real, size)

    def _prepared(self, metric: ReferenceMetric | DistributionMetric) -> bool:
        """Whether the metric has its network."""
        try:
            metric.prepare()
        except UserError:
            raise
        except Exception as error:
            self.unavailable[metric.name] = reason_of(metric.name, error)
        return metric.name not in self.unavailable

    def _measured(self, metric: ReferenceMetric | DistributionMetric) -> Measurement | None:
        """The measurement; None, with a reason, if it failed: one metric's failure is not the end of the others."""
        if metric.name in self.unavailable:
            return None
        try:
            found = metric.measurement()
            if isinstance(metric, ReferenceMetric):
                self.per_clip[metric.name] = metric.per_clip()
        except Exception as error:
            self.unavailable[metric.name] = reason_of(metric.name, error)
            return None
        return found

    def _compare(self, metrics: Sequence[ReferenceMetric]) -> None:
        """Clip by clip; two clips of a name must have one shape."""
        if not metrics:
            return
        pairs = list(zip(self.generated, self.reference, strict=True))
        ids = numbered(len(pairs))
        for number, (mine, real) in enumerate(track(pairs, description="Comparing", transient=True)):
            prediction, reference = (self.reading.frames_of(clip).to(self.device)[None] for clip in (mine, real))
            if prediction.shape != reference.shape:
                raise UserError(
                    f"'{mine.name}' is {_shape(prediction)} as generated and {_shape(reference)} in the reference; "
                    "only frames of one size can be compared. Give --size to resize both."
                )
            times = torch.arange(self.reading.frames, dtype=torch.float32)[None]
            place = slice(number, number + 1)
            for metric in metrics:
                if metric.name not in self.unavailable:
                    try:
                        metric.know_origins(ids[place], self._origins[place])
                        metric.update(VideoClip(prediction, times), VideoClip(reference, times), ids[place])
                    except Exception as error:
                        self.unavailable[metric.name] = reason_of(metric.name, error)

    def _streams(
        self, metrics: Sequence[DistributionMetric]
    ) -> Iterator[tuple[FeatureStream, list[DistributionMetric]]]:
        """The metrics that look through each network, which looks once."""
        networks: dict[tuple[object, ...], list[DistributionMetric]] = {}
        for metric in metrics:
            network = metric.network
            networks.setdefault((network.name, metric.each_frame, *network.protocol.items()), []).append(metric)
        for mine in networks.values():
            yield FeatureStream(mine[0].network, mine[0].each_frame, self.reading, self.device), mine

    def _compare_sets(self, stream: FeatureStream, metrics: Sequence[DistributionMetric]) -> None:
        """Give the metrics of one network both sides; the reference's features are cached for the next evaluation."""
        for metric in metrics:
            metric.chosen = True
        try:
            if self.saved is not None:
                for metric in (one for one in metrics if "target" in one.sides):
                    self.saved.give(metric)
                self.notes.append(f"Features of the reference, {stream}: saved.")
            elif any("target" in metric.sides for metric in metrics):
                ids = numbered(len(self.reference))
                self._feed(metrics, "target", stream.cached(self.reference, "Reference"), ids, self._origins)
                how = "; ".join(stream.origins)
                self.notes.append(f"Features of the reference, {stream}: {how}.")
            if self.generated:
                ids = numbered(len(self.generated), FIRST_SOURCE["test"] if self.apart else 0)
                origins = source_of(ids) if self.apart else self._origins
                self._feed(metrics, "prediction", stream.rows(self.generated, "Generated"), ids, origins)
        except NetworkError as error:
            self.unavailable |= {metric.name: reason_of(metric.name, error.cause) for metric in metrics}

    def _feed(
        self,
        metrics: Sequence[DistributionMetric],
        side: Side,
        parts: Iterator[Rows],
        ids: Int[Tensor, " clip"],
        origins: Int[Tensor, " clip"],
    ) -> None:
        start = 0
        for rows in parts:
            place = slice(start, start + len(rows))
            start += len(rows)
            for metric in metrics:
                if side in metric.sides and metric.name not in self.unavailable:
                    try:
                        metric.know_origins(ids[place], origins[place])
                        metric.keep(side, ids[place], rows)
                    except Exception as error:
                        self.unavailable[metric.name] = reason_of(metric.name, error)


def _shape(frames: Tensor) -> str:
    return f"{frames.shape[-1]} x {frames.shape[-2]}"
