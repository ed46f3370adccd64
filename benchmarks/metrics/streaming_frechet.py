"""Fréchet metrics: features are kept up to a cap and accumulated into moments beyond it."""

from abc import ABC, abstractmethod
from math import inf, isqrt
from typing import Any, ClassVar, Literal, cast

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torchmetrics.utilities import rank_zero_warn

from benchmarks.metrics.distribution import DistributionMetric, Features, Side
from benchmarks.metrics.features.extractor import Extractor
from benchmarks.metrics.frechet import frechet_distance, frechet_distance_of_moments
from benchmarks.metrics.jackknife import FEWEST_SOURCES, GROUPS, jackknife_interval
from benchmarks.metrics.moments import Grouped, Packed, grouped, merged, merged_groups, packed, unpacked
from benchmarks.records.parts import Measurement
from benchmarks.utils.errors import UserError
from datamodules.clip import source_of

CAP = 50_000
"""The rows of features that a process keeps: of clips, or of frames where a metric looks at each. 80 MB a side for
I3D's logits, 410 MB for Inception's."""


class FrechetMetric(DistributionMetric, ABC):
    """The Fréchet distance between the features of predictions and targets.

    With more than `cap` rows per process (of clips or, for a distance of single frames, of frames), features are
    accumulated into float64 moments (of ten groups of sources, for the jackknife) and discarded, so that memory grows
    by 16 bytes a clip only, for its source, and where the sides are other clips by 8 for its id. The result is the same
    up to rounding, except that a clip repeated after its features were discarded counts twice. A metric with a fixed
    number of `clips` keeps all features, because it selects among all clips, unless they are `chosen` before.

    Args:
        measure: the first part of the metric's name.
        network: the feature extractor; None: I3D's logits.
        ddof: 1 for unbiased covariances; 0 as in StyleGAN-V's code, which is then part of the name.
        cap: the rows of features that each process keeps: one per clip, or one per frame.
        num_samples: the number of samples per clip. The distance of each set of samples is computed and averaged, as in
            the inbetweening paper (100 samples); part of the name (`fvd_16f_i3d_logits_mean_of_100`). All features are
            kept, and clips with fewer samples are left out.
        kwargs: settings of `DistributionMetric`.
    """

    higher_is_better: bool = False
    value_range: ClassVar[tuple[float, float]] = (0.0, inf)

    @abstractmethod
    def __init__(
        self,
        measure: str,
        network: Extractor | None,
        *,
        ddof: int = 1,
        cap: int = CAP,
        num_samples: int = 1,
        **kwargs: Any,
    ) -> None:
        suffix = ("" if ddof else "_ddof0") + (f"_mean_of_{num_samples}" if num_samples > 1 else "")
        super().__init__(measure, network, suffix=suffix, repeated="all" if num_samples > 1 else "first", **kwargs)
        if ddof not in (0, 1) or cap < 2 or num_samples < 1:
            raise UserError(
                f"ddof must be 0 or 1, cap at least 2 and num_samples at least 1; got {ddof}, {cap} and {num_samples}."
            )
        self.ddof = ddof
        self.cap = cap
        self.num_samples = num_samples
        for side in self.sides:
            self.add_state(f"{side}_moments", default=[], dist_reduce_fx="cat")
            self.add_state(f"{side}_streamed", default=[], dist_reduce_fx="cat")

    def keep(self, kind: str, ids: Int[Tensor, " clip"], rows: Float[Tensor, "clip width"]) -> None:
        """Append the rows of clips that are not kept yet; accumulate the kept rows first if they would exceed the cap.

        So consecutive samples of one batch count once, whatever the cap.
        """
        if not self.origins or not torch.equal(self.origins[-1][:, 0], ids):  # type: ignore[index]
            self.know_origins(ids, source_of(ids))  # ids are discarded with their features, their sources are not
        if self.num_samples > 1 and kind == "prediction":
            super().keep(kind, ids, rows)
            return
        known = [part.to(ids.device) for part in getattr(self, f"{kind}_ids")]
        fresh = ~torch.isin(ids, torch.cat(known)) if known else torch.ones_like(ids, dtype=torch.bool)
        count = int(fresh.sum())
        if not count:
            return
        per_clip = self.frames if self.each_frame else 1
        rows_kept = (sum(map(len, known)) + count) * per_clip
        wanted = self.clips if kind == "prediction" else self._targets
        chosen_later = isinstance(wanted, int) and not self.chosen
        if not chosen_later and self.num_samples == 1 and known and rows_kept > self.cap:
            moments = packed(self._moments(kind))
            setattr(self, f"{kind}_moments", [moments.to(rows.device)])
            setattr(self, f"{kind}_rows", [])
            setattr(self, f"{kind}_ids", [])
            if self.reference_clips is not None:
                getattr(self, f"{kind}_streamed").extend(known)
        super().keep(kind, ids[fresh], rows[fresh])

    def moments_of(self, side: Side) -> Packed | None:
        """The moments of all features of a side that has discarded some, one row for each group; None if it has not."""
        return packed(self._moments(side)) if len(getattr(self, f"{side}_moments")) else None

    def take_moments(self, side: Side, ids: Int[Tensor, " clip"], moments: Packed) -> None:
        """Take the moments of these clips, as `moments_of` gave them, in place of their features."""
        getattr(self, f"{side}_moments").append(moments)
        if self.reference_clips is not None:
            getattr(self, f"{side}_streamed").append(ids)

    def kept(self, kind: str) -> tuple[Int[Tensor, " clip"], Float[Tensor, "clip width"]]:
        """See `GatheredMetric`; with several samples, a clip's rows are concatenated and incomplete clips left out."""
        ids, rows = super().kept(kind)
        if self.num_samples == 1 or kind != "prediction" or not len(ids):
            return ids, rows
        unique, count = ids.unique(return_counts=True)
        enough = count >= self._given
        if not bool(enough.all()):
            few = f"{int((~enough).sum())} of {len(unique)} clips have fewer and are left out."
            rank_zero_warn(f"{self.name} needs {self.num_samples} samples of each clip; {few}", UserWarning)
        first = (count.cumsum(0) - count)[enough, None]
        return unique[enough], rows[first + torch.arange(self._given)].flatten(1)

    @property
    def _given(self) -> int:
        """How many samples of each clip there are."""
        return 1 if self.one_answer else self.num_samples

    def statistic(self, *sets: Features) -> float:
        """The Fréchet distance, averaged over the samples of each clip."""
        predictions, targets = sets
        parts = predictions.chunk(self._given, dim=1)
        distances = [frechet_distance(self._each(part), self._each(targets), ddof=self.ddof) for part in parts]
        return sum(distances) / self._given

    def compute(self) -> Float[Tensor, ""]:
        """The distance over all clips; NaN if there are too few."""
        if not self._streams:
            return super().compute()
        return torch.tensor(self._distance(*(self._moments(side) for side in self.sides)), dtype=torch.float64)

    def measurement(self) -> Measurement:
        """The distance, its interval and the number of clips. Every process must call it."""
        with self.gathered():
            streams = self._streams
            predictions, targets = (self._moments(side) if streams else {} for side in self.sides)
            sources = self._sources() if streams else None
        if not streams:
            return super().measurement()
        clips, others = (
            sum(part.clips for part in side.values()) // (self.frames if self.each_frame else 1)
            for side in (predictions, targets)
        )
        short = self._short(clips, others)
        if short is not None:
            return self._missing(f"it {short}", clips, sources)
        value = self._distance(predictions, targets)
        interval = None
        if len(predictions) == GROUPS and (sources or 0) >= FEWEST_SOURCES:
            left = [self._distance(_less(predictions, index), _less(targets, index)) for index in predictions]
            interval = jackknife_interval(value, left)
        return self._measured(value, clips, interval, sources=sources)

    @property
    def _streams(self) -> bool:
        return any(len(getattr(self, f"{side}_moments")) for side in self.sides)

    def _sources(self) -> int | None:
        """The number of sources of the clips; where the sides are other clips, of the side that has fewer."""
        if self.reference_clips is None:
            return self.known_sources()
        parts = [[self.held(f"{side}_{part}").long() for part in ("streamed", "ids")] for side in self.sides]
        return min(len(self.origins_of(torch.cat(ids)).unique()) for ids in parts) or None

    @property
    def _targets(self) -> int | Literal["all"] | None:
        """How many targets are compared: as many as predictions unless the metric says otherwise."""
        return self.clips if self.reference_clips is None else self.reference_clips

    def _each(self, rows: Features) -> Features:
        """One row per input of the network: a clip, or a frame."""
        return rows.reshape(len(rows) * self.frames, -1) if self.each_frame else rows

    def _moments(self, kind: str) -> Grouped:
        """The moments of all features, discarded and kept ones."""
        state = getattr(self, f"{kind}_moments")
        streamed = torch.cat(state) if isinstance(state, list) and state else state
        ids, rows = self.kept(kind) if self.reference_clips is None else self._spread(cast(Side, kind))
        groups: Grouped = {}
        if len(ids):
            sources = self.origins_of(ids).repeat_interleave(self.frames if self.each_frame else 1)
            groups = grouped(self._each(rows), sources)
        if not len(streamed):
            return groups
        width = isqrt(streamed.shape[1] - 2)  # 2 + width + width^2 columns
        return merged_groups(unpacked(streamed, width), groups)

    def _distance(self, predictions: Grouped, truths: Grouped) -> float:
        return frechet_distance_of_moments(merged(predictions.values()), merged(truths.values()), ddof=self.ddof)


def _less(groups: Grouped, index: int) -> Grouped:
    return {other: part for other, part in groups.items() if other != index}
