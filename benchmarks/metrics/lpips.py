"""LPIPS as a metric of frames: the perceptual distance between each predicted and target frame."""

from functools import cache
from math import inf
from typing import Any, ClassVar

import torch
from torch import Tensor

from benchmarks.metrics.features.lpips import Backbone, PerceptualDistance
from benchmarks.metrics.reference import PerFrame, ReferenceMetric
from benchmarks.pretrained.registry import SOURCES
from benchmarks.utils.errors import UserError
from datamodules.clip import Sample

_CELLS, _CELLS_CPU = 1 << 24, 1 << 19
"""Pixels per forward pass, so that memory does not grow with the number of clips."""
_SMALLEST = {"alex": 31, "vgg": 16}


class LPIPS(ReferenceMetric):
    """Learned perceptual distance, version 0.1 (Zhang et al., 2018); grey frames are repeated in three channels.

    Frames are not resized, as published. The weights are fetched at first use; `WeightsUnavailable` is raised if that
    fails.

    Args:
        backbone: "alex" (recommended by the authors for reporting, used by Vid-ODE) or "vgg".
        kwargs: settings of `torchmetrics.Metric`.
    """

    higher_is_better: bool = False
    value_range: ClassVar[tuple[float, float]] = (0.0, inf)

    def __init__(self, backbone: Backbone = "alex", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.backbone = backbone

    @property
    def name(self) -> str:
        """For example lpips_alex."""
        return f"lpips_{self.backbone}"

    @property
    def protocol(self) -> dict[str, str | float]:
        """The network's weights."""
        return {"extractor": self.name, "sha256": str(SOURCES[self.name].sha256), "resize": "none"}

    def prepare(self) -> None:
        """Load the network."""
        network_of(self.backbone)

    def measure(self, sample: Sample, target: Sample) -> PerFrame:
        """The distance of each frame."""
        x, y = _coloured(sample), _coloured(target)
        height, width = x.shape[-2:]
        if min(height, width) < _SMALLEST[self.backbone]:
            least = _SMALLEST[self.backbone]
            raise UserError(
                f"The network of {self.name} needs frames of at least {least} x {least} pixels; these are "
                f"{height} x {width}. Leave the metric out for such data."
            )
        network = network_of(self.backbone).to(x.device)
        step = max(1, (_CELLS_CPU if x.device.type == "cpu" else _CELLS) // (height * width))
        with torch.no_grad(), torch.autocast(x.device.type, enabled=False):
            distances = [network(a, b) for a, b in zip(x.split(step), y.split(step), strict=True)]
        return torch.cat(distances).double().reshape(target.frames.shape[:2])  # type: ignore[union-attr]


@cache
def network_of(backbone: Backbone) -> PerceptualDistance:
    """The network, loaded once per process and shared by all copies of the metric; no part of any checkpoint."""
    return PerceptualDistance.pretrained(backbone)


def _coloured(sample: Sample) -> Tensor:
    """All frames, float32, in three channels."""
    frames = sample.frames.float().flatten(0, 1)  # type: ignore[union-attr]
    if frames.shape[1] not in (1, 3):
        raise UserError(f"LPIPS compares grey or colour frames; these have {frames.shape[1]} channels.")
    return frames.expand(-1, 3, -1, -1)
