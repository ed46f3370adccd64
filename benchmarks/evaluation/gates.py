"""Gates: sanity checks of metrics of two sets, by halves of the reference and by noise."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import isfinite
from typing import cast

import torch
from jaxtyping import Int
from torch import Tensor

from benchmarks.evaluation.failures import reason_of
from benchmarks.evaluation.feature_stream import FeatureStream, Frames, Rows
from benchmarks.evaluation.video_files import ClipFile
from benchmarks.metrics.distribution import DistributionMetric, Side
from datamodules.clip import sample_id


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


def gates_of(
    metrics: Sequence[DistributionMetric], stream: FeatureStream, reference: Sequence[ClipFile], half: int
) -> tuple[dict[str, Gate], dict[str, str]]:
    """The gates of metrics of two sets that look through one network.

    The even clips of the reference are compared with the odd ones, and so is noise of their shape.

    Args:
        metrics: each of `half` the clips on either side, and empty.
        stream: of their network.
        reference: twice `half` clips, or more.
        half: the number of clips of either side.

    Returns:
        The gates, and why there is none, by metric.
    """
    pairs = [(metric, cast(DistributionMetric, metric.clone())) for metric in metrics]
    for metric in (one for pair in pairs for one in pair):
        metric.chosen = True
    seen = 0
    for rows in stream.cached(reference, "Reference"):  # all of it, as it was cached
        place = torch.arange(seen, seen + len(rows))
        even, odd = ((place % 2 == rest) & (place < 2 * half) for rest in (0, 1))
        for real, noise in pairs:
            _keep(real, "prediction", place[even] // 2, rows[even])
            _keep(real, "target", place[odd] // 2, rows[odd])
            _keep(noise, "target", place[odd] // 2, rows[odd])
        seen += len(rows)
    seen = 0
    for number, frames in enumerate(stream.reading.batches(reference[: 2 * half : 2])):
        rows = stream.of(_noise(frames, number))
        for _, noise in pairs:
            _keep(noise, "prediction", torch.arange(seen, seen + len(rows)), rows)
        seen += len(rows)
    found, without = {}, {}
    for real, noise in pairs:
        try:
            values = _value(real), _value(noise)
        except Exception as error:  # one metric's failure is not the end of the others
            without[real.name] = reason_of(real.name, error)
            continue
        if all(map(isfinite, values)):
            found[real.name] = Gate(real.name, *values, real.higher_is_better, half)
        else:
            without[real.name] = real.measurement().reason or "not finite"
    return found, without


def _noise(frames: Frames, number: int) -> Frames:
    """Uniform noise of a batch's shape; of each batch another."""
    return torch.rand(frames.shape, generator=torch.Generator().manual_seed(number)) * 2 - 1


def _keep(metric: DistributionMetric, side: Side, place: Int[Tensor, " clip"], rows: Rows) -> None:
    if len(place):
        ids = torch.tensor([sample_id(int(number), 0) for number in place])
        metric.know_origins(ids, place)
        metric.keep(side, ids, rows)


def _value(metric: DistributionMetric) -> float:
    return float(type(metric).compute(metric))  # torchmetrics' own would warn that `update` was never called
