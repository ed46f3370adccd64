"""Metrics of climate fields: on min-max scaled images as in Vid-ODE, and in physical units over measured pixels."""

from math import inf
from typing import ClassVar

import torch

from benchmarks.metrics.reference import PerFrame, ReferenceMetric, squared_error
from benchmarks.utils.errors import UserError
from datamodules.clip import Sample


class MinMaxError(ReferenceMetric):
    """The mean squared error of min-max scaled images (0 to 1), times 1,000: the unit of Vid-ODE's Table 5 (MSE, 1e-3).

    Averages over all pixels; missing ones count with error 0. The paper's fields have no gaps.
    """

    name: ClassVar[str] = "mse_minmax_e3"
    value_range: ClassVar[tuple[float, float]] = (0.0, 1000.0)
    higher_is_better: bool = False

    def measure(self, sample: Sample, target: Sample) -> PerFrame:
        """The mean over pixels and variables, times 1,000."""
        return 1000 * squared_error(sample, target)


class FieldError(ReferenceMetric):
    """The root mean squared error of one variable in physical units, over the pixels where it was measured.

    A missing pixel is exactly 0 in all channels (`datamodules.base.gridded`) and is left out. A frame without any
    measurement has error 0.

    Args:
        variable: its name in tables.
        channel: its index among the data's channels.
        low: the physical value of -1, from the data's `bounds`.
        high: the physical value of 1.
        unit: the physical unit, for the protocol.
    """

    value_range: ClassVar[tuple[float, float]] = (0.0, inf)
    higher_is_better: bool = False

    def __init__(self, variable: str, channel: int, low: float, high: float, unit: str) -> None:
        super().__init__()
        if not low < high:
            raise UserError(f"low must be below high; got {low} and {high}.")
        if channel < 0:
            raise UserError(f"channel must be 0 or more; got {channel}.")
        self.variable, self.channel, self.low, self.high, self.unit = variable, channel, low, high, unit

    @property
    def name(self) -> str:
        """`rmse_` and the variable."""
        return f"rmse_{self.variable}"

    @property
    def protocol(self) -> dict[str, str | float]:
        """The range and the unit."""
        return {"low": self.low, "high": self.high, "unit": self.unit}

    def measure(self, sample: Sample, target: Sample) -> PerFrame:
        """The root of the mean over the measured pixels of each frame."""
        prediction, reference = sample.frames.double(), target.frames.double()  # type: ignore[union-attr]
        if self.channel >= reference.shape[2]:
            raise UserError(f"{self.variable} is channel {self.channel}, but the data have {reference.shape[2]}.")
        known = (reference != 0).any(dim=2)
        difference = (prediction - reference)[:, :, self.channel] * (self.high - self.low) / 2
        squared = torch.where(known, difference.square(), 0).sum((-2, -1))
        return (squared / known.sum((-2, -1)).clamp(min=1)).sqrt()
