"""Several samples of one query: how much they differ, and how good the best of them is."""

from typing import Any, ClassVar

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn.functional import normalize
from torchmetrics.utilities import rank_zero_warn

from benchmarks.metrics.distribution import FeatureMetric
from benchmarks.metrics.features.extractor import Extractor
from benchmarks.metrics.reference import PerFrame, ReferenceMetric
from benchmarks.metrics.ssim import structural_similarity
from benchmarks.records.parts import Measurement
from benchmarks.utils.by_source import mean_interval
from benchmarks.utils.errors import UserError
from datamodules.clip import Sample


class Diversity(FeatureMetric):
    """The mean over clips of the average pairwise cosine distance between the features of their samples.

    As in the latent inbetweening paper (Li et al., 2019, Table 2), in FVD's embedding. A clip's samples are the
    predictions with its id; clips with one sample are left out,
    but those of a deterministic system have a diversity of 0. The interval is over sources.

    Args:
        network: the feature extractor; None: I3D's logits.
        kwargs: `frames` (16 unless told) and `start`: see `FeatureMetric`.
    """

    higher_is_better: bool = True
    value_range: ClassVar[tuple[float, float]] = (0.0, 2.0)

    def __init__(self, network: Extractor | None = None, **kwargs: Any) -> None:
        super().__init__("diversity", network, ("prediction",), repeated="all", **kwargs)

    def compute(self) -> Float[Tensor, ""]:
        """The mean over clips; NaN if no clip has two samples."""
        return self._of_clips()[1].mean()

    def measurement(self) -> Measurement:
        """The mean, its interval, and the number of clips with two or more samples. Every process must call it."""
        with self.gathered():
            ids, values = self._of_clips()
            origins, sources = self.origins_of(ids), self.sources_of(ids)
        interval = mean_interval(values.double()[:, None].numpy(), origins.numpy())
        return self._measured(float(values.mean()), len(ids), interval, sources=sources)

    def _of_clips(self) -> tuple[Tensor, Tensor]:
        ids, rows = self.kept("prediction")
        if self.one_answer:
            return ids.unique(), torch.zeros(len(ids.unique()), dtype=torch.float64)
        ids, values = pairwise_distance(ids, rows)
        if not len(ids):
            rank_zero_warn(f"{self.name} needs at least two samples of a clip; it is n/a.", UserWarning)
        return ids, values


def pairwise_distance(
    ids: Int[Tensor, " row"], rows: Float[Tensor, "row _width"]
) -> tuple[Int[Tensor, " clip"], Float[Tensor, " clip"]]:
    """1 - the mean cosine over all pairs of rows with one id, in float64; ids with a single row are left out."""
    unique, index, count = ids.unique(return_inverse=True, return_counts=True)
    units = normalize(rows.double(), dim=1)
    sums = torch.zeros(len(unique), rows.shape[1], dtype=torch.float64).index_add_(0, index, units)
    lengths = torch.zeros(len(unique), dtype=torch.float64).index_add_(0, index, units.square().sum(1))
    several = count > 1
    pairs = (count * (count - 1))[several]
    # the squared sum contains every pair twice and every row paired with itself
    return unique[several], 1 - (sums.square().sum(1) - lengths)[several] / pairs


class BestOfSSIM(ReferenceMetric):
    """The SSIM of the best of a clip's samples, by the mean over its frames: how close a stochastic system can get.

    More samples have a better best, so their number is fixed and part of the name; further samples are ignored,
    clips with fewer are left out.

    Args:
        num_samples: the number of samples per clip.
        kwargs: settings of `torchmetrics.Metric`.
    """

    higher_is_better: bool = True
    value_range: ClassVar[tuple[float, float]] = (-1.0, 1.0)

    def __init__(self, num_samples: int = 100, **kwargs: Any) -> None:
        if num_samples < 2:
            raise UserError(f"The best of {num_samples} samples is `SSIM`; num_samples must be at least 2.")
        super().__init__(**{"repeated": "all", **kwargs})
        self.num_samples = num_samples

    @property
    def name(self) -> str:
        """For example ssim_best_of_100."""
        return f"ssim_best_of_{self.num_samples}"

    def measure(self, sample: Sample, target: Sample) -> PerFrame:
        """As `SSIM`."""
        prediction, reference = ((clip.frames.double() + 1) / 2 for clip in (sample, target))  # type: ignore[union-attr]
        return structural_similarity(prediction, reference, data_range=1.0).mean(-1)

    def kept(self, kind: str) -> tuple[Int[Tensor, " clip"], Float[Tensor, "clip width"]]:
        """Ids in rising order, each once, and the frames' values of the best sample."""
        ids, rows = super().kept(kind)
        unique, count = ids.unique(return_counts=True)
        first = count.cumsum(0) - count
        given = 1 if self.one_answer else self.num_samples
        enough = count >= given
        if not bool(enough.all()) or not len(ids):
            rank_zero_warn(
                f"{self.name} needs {self.num_samples} samples of each clip; {int((~enough).sum())} of {len(unique)} "
                "clips have fewer and are left out.",
                UserWarning,
            )
        samples = rows[first[enough, None] + torch.arange(given)]
        best = samples.mean(2).argmax(1)
        return unique[enough], samples[torch.arange(len(best)), best]
