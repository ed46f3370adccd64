"""Metrics of features: extraction with a network, kept rows per clip, and intervals for statistics of two sets."""

from abc import ABC, abstractmethod
from math import isfinite
from typing import Any, Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.utils.weak import WeakTensorKeyDictionary
from torchmetrics.utilities import rank_zero_warn

from benchmarks.metrics.features.extractor import Extractor, I3DFeatures
from benchmarks.metrics.gathered import GatheredMetric
from benchmarks.metrics.jackknife import GROUPS, delete_group_jackknife, jackknife_interval, source_groups
from benchmarks.metrics.reference import check_pair
from benchmarks.records.parts import Measurement
from benchmarks.utils.errors import UserError
from datamodules.clip import Sample

Side = Literal["prediction", "target"]
Features = Float[Tensor, "_row _width"]

_SEEN = WeakTensorKeyDictionary()
"""Features of frame tensors that are still alive, so that metrics with the same network extract them once."""


class FeatureMetric(GatheredMetric, ABC):
    """Keeps one row of features for each clip and side.

    Args:
        measure: the first part of the metric's name.
        network: the feature extractor; None: I3D's logits.
        sides: which clips to extract features of: "prediction", "target" or both.
        frames: the number of frames per clip.
        repeated: what to do with several rows of one clip; see `GatheredMetric`.
        each_frame: extract the features of every frame separately; a row then holds those of all frames.
        suffix: the last part of the metric's name, for settings other than the default.
        start: the first of the `frames` frames to evaluate, for longer predictions: the quality at a horizon, which
            becomes part of the name (`fvd_16f_i3d_logits_from48`). None: clips have exactly `frames` frames.
        kwargs: settings of `torchmetrics.Metric`.
    """

    def __init__(
        self,
        measure: str,
        network: Extractor | None,
        sides: tuple[Side, ...],
        *,
        frames: int = 16,
        repeated: Literal["first", "all"] = "first",
        each_frame: bool = False,
        suffix: str = "",
        start: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(*sides, repeated=repeated, **kwargs)
        if start is not None and start < 0:
            raise UserError(f"start is the first frame to evaluate and must be at least 0; got {start}.")
        network = network or I3DFeatures()
        least = 1 if each_frame else network.fewest_frames
        if frames < least:
            raise UserError(f"{network.name} needs at least {least} frames per clip; got frames={frames}.")
        if each_frame and network.fewest_frames > 1:
            raise UserError(
                f"'{measure}' extracts features of single frames, but {network.name} needs {network.fewest_frames} "
                "frames. Choose an image network, or a metric of clips."
            )
        self.measure = measure
        self.network = network
        self.sides: tuple[Side, ...] = sides
        self.frames = frames
        self.each_frame = each_frame
        self.suffix = suffix + ("" if start is None else f"_from{start}")
        self.start = start

    @property
    def name(self) -> str:
        """Measure, number of frames, network and layer; prefixed with `no_` for an untrained network."""
        none = "" if self.network.trained else "no_"
        return f"{none}{self.measure}_{self.frames}f_{self.network.name}{self.suffix}"

    @property
    def protocol(self) -> dict[str, str | float]:
        """The network's weights and the preprocessing of the frames."""
        return {**self.network.protocol}

    def prepare(self) -> None:
        """Load the network."""
        self.network.prepare()

    def update(self, sample: Sample, target: Sample, ids: Int[Tensor, " batch"]) -> None:
        """Extract and keep the features of a batch.

        Raises:
            UserError: if the clips have the wrong number of frames, or frames are not in [-1, 1].
            WeightsUnavailable: if the network's weights cannot be fetched.
        """
        check_pair(sample, target, ids)
        for side in self.sides:
            self.update_side(side, sample if side == "prediction" else target, ids)

    def update_side(self, side: Side, clips: Sample, ids: Int[Tensor, " batch"]) -> None:
        """Extract and keep the features of a batch of one side; a side that the metric does not look at is left out.

        Raises:
            UserError: if the clips have the wrong number of frames.
            WeightsUnavailable: if the network's weights cannot be fetched.
        """
        if side not in self.sides:
            return
        length = clips.times.shape[-1]
        if self.start is None and length != self.frames:
            raise UserError(
                f"{self.name} compares clips of {self.frames} frames; these have {length}. Set the metric's `frames` "
                f"to {length}, let the task predict {self.frames} frames, or choose a window with `start`."
            )
        if self.start is not None and length < self.start + self.frames:
            raise UserError(
                f"{self.name} evaluates frames {self.start} to {self.start + self.frames - 1}; these clips have "
                f"{length} frames. Lower `start`, or let the task predict more frames."
            )
        window = slice(self.start, (self.start or 0) + self.frames)
        frames = clips.frames  # type: ignore[union-attr]
        self.keep(side, ids, features_of(self.network, frames, each_frame=self.each_frame, window=window))


class DistributionMetric(FeatureMetric, ABC):
    """A statistic of sets of features, with a delete-group jackknife interval over sources.

    Args:
        measure: the first part of the metric's name.
        network: the feature extractor; None: I3D's logits.
        sides: which clips to extract features of.
        clips: the number of clips to evaluate, spread evenly over the ids; part of the name
            (`fvd2048_16f_i3d_logits`). None: all.
        reference_clips: the number of targets, where they are other clips than those that were asked for, or "all";
            part of the name (`fvd2048vsall_16f_i3d_logits`), and needs `clips`. None: the target of each prediction.
        least: the smallest number of clips for which the statistic is defined.
        kwargs: settings of `FeatureMetric`.
    """

    def __init__(
        self,
        measure: str,
        network: Extractor | None,
        sides: tuple[Side, ...] = ("prediction", "target"),
        *,
        clips: int | None = None,
        reference_clips: int | Literal["all"] | None = None,
        least: int = 2,
        **kwargs: Any,
    ) -> None:
        against = "" if reference_clips is None else f"vs{reference_clips}"
        super().__init__(measure + ("" if clips is None else str(clips)) + against, network, sides, **kwargs)
        if reference_clips is not None and (clips is None or len(sides) < 2):
            raise UserError(
                f"`reference_clips` is the number of targets of a metric of two sets, beside `clips`, the number of "
                f"predictions; '{measure}' got clips={clips} and reference_clips={reference_clips}, and looks at the "
                f"{' and the '.join(sides)}. Give both, or leave it out."
            )
        if isinstance(reference_clips, int) and reference_clips < least:
            raise UserError(f"'{measure}' needs at least {least} clips; got reference_clips={reference_clips}.")
        if clips is not None and clips < least:
            raise UserError(f"'{measure}' needs at least {least} clips; got clips={clips}.")
        self.clips = clips
        self.reference_clips: int | Literal["all"] | None = reference_clips
        self.least = least
        self.chosen = False
        """Whether the clips that come are just those to compare: then none is chosen among them."""

    @abstractmethod
    def statistic(self, *sets: Features) -> float:
        """The statistic of one set of features per side, each of at least `least` clips."""

    def compute(self) -> Float[Tensor, ""]:
        """The statistic over all clips; NaN if there are too few."""
        return torch.tensor(self._value(self._selected()[1]), dtype=torch.float64)

    def measurement(self) -> Measurement:
        """The statistic, its interval and the number of clips. Every process must call it."""
        if self.reference_clips is not None:
            return self._measured_apart()
        with self.gathered():
            ids, sets = self._selected()
            origins, count = self.origins_of(ids), self.sources_of(ids)
        value, reason = self._value(sets), self._why_not(sets)
        if reason is not None:
            return self._missing(reason, len(ids), count)
        interval = delete_group_jackknife(value, origins, lambda kept: self._without(sets, kept))
        # a tenth less may be too few clips for the statistic
        interval = interval if interval and all(map(isfinite, interval[:2])) else None
        return self._measured(value, len(ids), interval, sources=count)

    def undefined(self, *sets: Features) -> str | None:
        """Why the statistic of these sets, which are large enough, would be wrong; None if it would not."""
        return None

    @property
    def _needed(self) -> int:
        return max(self.least, self.clips or 0)

    def _short(self, predictions: int, targets: int) -> str | None:
        """Which side has too few clips, as "needs 20 clips but got 12"; None if neither has."""
        if predictions < self._needed:
            return f"needs {self._needed} clips but got {predictions}"
        fewest = self.reference_clips if isinstance(self.reference_clips, int) else self.least
        return f"needs {fewest} reference clips but got {targets}" if targets < fewest else None

    def _why_not(self, sets: list[Tensor]) -> str | None:
        """Why these sets have no statistic."""
        short = self._short(len(sets[0]), len(sets[-1]))
        return self.undefined(*sets) if short is None else f"it {short}"

    def _missing(self, reason: str, clips: int, sources: int | None) -> Measurement:
        return Measurement(None, clips, higher_is_better=self.higher_is_better, reason=reason, sources=sources)

    def _measured_apart(self) -> Measurement:
        """As `measurement`, of sides whose clips do not belong together: a tenth of either is left out at a time."""
        with self.gathered():
            sides = [self._spread(side) for side in self.sides]
            origins = [self.origins_of(ids) for ids, _ in sides]
        sets = [rows for _, rows in sides]
        count = min(len(one.unique()) for one in origins) or None
        value, reason = self._value(sets), self._why_not(sets)
        if reason is not None:
            return self._missing(reason, len(sets[0]), count)
        groups = [source_groups(one) for one in origins]
        interval = None
        if isfinite(value) and all(group is not None for group in groups):
            left = [
                self.statistic(*(rows[group != index] for rows, group in zip(sets, groups, strict=True)))
                for index in range(GROUPS)
            ]
            interval = jackknife_interval(value, left) if all(map(isfinite, left)) else None
        return self._measured(value, len(sets[0]), interval, sources=count)

    def _spread(self, side: Side) -> tuple[Tensor, Tensor]:
        """The ids and rows of as many clips of a side as are asked for, spread evenly over the ids."""
        ids, rows = self.kept(side)
        wanted = self.clips if side == "prediction" else self.reference_clips
        if self.chosen or not isinstance(wanted, int) or len(ids) <= wanted:
            return ids, rows
        spread = torch.arange(wanted) * len(ids) // wanted
        return ids[spread], rows[spread]

    def _selected(self) -> tuple[Tensor, list[Tensor]]:
        if self.reference_clips is not None:
            sides = [self._spread(side) for side in self.sides]
            return sides[0][0], [rows for _, rows in sides]
        found = [self.kept(side) for side in self.sides]
        ids = found[0][0]
        sets = [rows if len(own) == len(ids) else rows[torch.isin(own, ids)] for own, rows in found]
        if self.clips is not None and len(ids) > self.clips:
            spread = torch.arange(self.clips) * len(ids) // self.clips
            return ids[spread], [rows[spread] for rows in sets]
        return ids, sets

    def _value(self, sets: list[Tensor]) -> float:
        short = self._short(len(sets[0]), len(sets[-1]))
        if short is not None:
            rank_zero_warn(f"{self.name} {short}; it is n/a.", UserWarning)
            return float("nan")
        return float("nan") if self.undefined(*sets) else self.statistic(*sets)

    def _without(self, sets: list[Tensor], kept: Tensor) -> float:
        return self.statistic(*(rows[kept] for rows in sets)) if int(kept.sum()) >= self.least else float("nan")


def features_of(network: Extractor, frames: Tensor, *, each_frame: bool = False, window: slice = slice(None)) -> Tensor:
    """One row of features for the `window` of each clip (with `each_frame`: those of its frames, concatenated).

    Rows are cached while the frame tensor is alive, so that several metrics share one forward pass. A copy of the
    frames is cached with them: a system may write its next prediction into the same tensor, and inference-mode tensors
    have no version counter.
    """
    first, last, _ = window.indices(frames.shape[1])
    key = (type(network), each_frame, first, last, *network.protocol.items())
    known: dict[tuple[object, ...], tuple[Tensor, Tensor]] = _SEEN.setdefault(frames, {})
    seen, rows = known.get(key, (None, None))
    if rows is None or seen is None or not torch.equal(seen, frames):
        rows = rows_of(network, frames[:, first:last], each_frame)
        same = next((copy for copy, _ in known.values() if torch.equal(copy, frames)), None)
        known[key] = (frames.clone() if same is None else same, rows)
    return rows


def rows_of(network: Extractor, frames: Tensor, each_frame: bool) -> Tensor:
    """One row of features for each clip; with `each_frame`, those of its single frames, concatenated."""
    return network(frames.flatten(0, 1)[:, None]).reshape(len(frames), -1) if each_frame else network(frames)
