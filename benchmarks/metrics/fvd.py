"""FVD: the Fréchet distance between the features of answered and of true clips."""

from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torchmetrics.utilities import rank_zero_warn

from benchmarks.metrics.base import Summary
from benchmarks.metrics.features.extractor import Extractor, I3DFeatures
from benchmarks.metrics.frechet import frechet_distance
from benchmarks.metrics.jackknife import delete_group_jackknife
from benchmarks.metrics.kept import KeepsRows
from benchmarks.metrics.paired import check_pair
from datamodules.clip import Sample, source_of


class FrechetVideoDistance(KeepsRows):
    """The Fréchet video distance (Unterthiner et al., 2018), between Gaussians fitted to features of clips.

    The distance of few clips is larger than that of many (from one distribution: 443 at 64, 25 at 2048), so only equal
    numbers compare: `clips` fixes it and stands in the name, as do the frames, the network and its layer.

    Features are kept with the clips' ids: neither order nor processes matter, and a clip that comes twice counts once,
    as it came first. The interval is a delete-group jackknife over source videos.

    Args:
        network: what makes the features; None: I3D's logits.
        frames: how many frames the clips must have.
        clips: how many are compared, spread evenly over the ids; None: all that come.
        ddof: 1 for unbiased covariances; 0 as in StyleGAN-V's code, which the name then says.
        kwargs: settings of `torchmetrics.Metric`.
    """

    higher_is_better: bool = False

    def __init__(
        self,
        network: Extractor | None = None,
        *,
        frames: int = 16,
        clips: int | None = None,
        ddof: int = 1,
        **kwargs: Any,
    ) -> None:
        super().__init__("answer", "truth", repeated="first", **kwargs)
        network = network or I3DFeatures()
        if frames < network.fewest_frames or ddof not in (0, 1) or (clips is not None and clips < 2):
            raise ValueError(
                f"{network.name} needs clips of {network.fewest_frames} frames at least, ddof must be 0 or 1, and two "
                f"clips must be compared at least; got frames {frames}, ddof {ddof} and clips {clips}."
            )
        self.network = network
        self.frames = frames
        self.clips = clips
        self.ddof = ddof

    @property
    def name(self) -> str:
        """For example fvd2048_16f_i3d_logits."""
        measure = "fvd" if self.network.trained else "no_fvd"
        number = "" if self.clips is None else self.clips
        return f"{measure}{number}_{self.frames}f_{self.network.name}" + ("" if self.ddof else "_ddof0")

    @property
    def protocol(self) -> dict[str, str | float]:
        """The network's weights and what is done to the frames."""
        return {**self.network.protocol}

    def prepare(self) -> None:
        """Load the network."""
        self.network.prepare()

    def update(self, sample: Sample, target: Sample, ids: Int[Tensor, " batch"]) -> None:
        """Keep the features of both sides.

        Raises:
            ValueError: if the clips have another number of frames, or frames are not in [-1, 1].
            WeightsUnavailable: when the network cannot be had.
        """
        check_pair(sample, target, ids)
        length = target.times.shape[-1]
        if length != self.frames:
            raise ValueError(
                f"{self.name} compares clips of {self.frames} frames; these have {length}. Set the metric's `frames` "
                f"to {length}, or let the task ask for {self.frames}."
            )
        self.keep("answer", ids, self.network(sample.frames))  # type: ignore[union-attr]
        self.keep("truth", ids, self.network(target.frames))  # type: ignore[union-attr]

    def compute(self) -> Float[Tensor, ""]:
        """The distance over all clips; not a number when there are too few."""
        return torch.tensor(self._distance(*self._selected()[1:]), dtype=torch.float64)

    def summary(self) -> Summary:
        """The distance, its interval and the number of clips. Every process must call it."""
        with self.gathered():
            ids, answers, truths = self._selected()
        value = self._distance(answers, truths)
        enough = len(ids) >= max(2, self.clips or 2)
        interval = (
            delete_group_jackknife(value, source_of(ids), lambda kept: self._distance(answers[kept], truths[kept], 2))
            if enough
            else None
        )
        return Summary(value, len(ids), interval)

    def _selected(self) -> tuple[Tensor, Tensor, Tensor]:
        (ids, answers), (_, truths) = self.kept("answer"), self.kept("truth")
        if self.clips is not None and len(ids) > self.clips:
            spread = torch.arange(self.clips) * len(ids) // self.clips
            return ids[spread], answers[spread], truths[spread]
        return ids, answers, truths

    def _distance(self, answers: Tensor, truths: Tensor, least: int | None = None) -> float:
        least = least or max(2, self.clips or 2)
        if len(answers) < least:
            rank_zero_warn(f"{self.name} needs {least} clips and has {len(answers)}: it is left out.", UserWarning)
            return float("nan")
        return frechet_distance(answers, truths, ddof=self.ddof)
