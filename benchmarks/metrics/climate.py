"""Metrics of measured fields: on min-max images as Vid-ODE prints them, and in a variable's own unit without gaps."""

from typing import ClassVar

import torch

from benchmarks.metrics.reference import PerFrame, ReferenceMetric, squared_error
from benchmarks.utils.errors import UserError
from datamodules.clip import Sample


class MinMaxError(ReferenceMetric):
    """The mean squared error of min-max images (0 to 1), times 1,000: the unit of Vid-ODE's Table 5 (MSE, x 1e-3).

    Where nothing was measured the answer counts as right, over all pixels alike; the paper's fields have no gaps.
    """

    name: ClassVar[str] = "mse_minmax_e3"
    higher_is_better: bool = False

    def measure(self, sample: Sample, target: Sample) -> PerFrame:
        """The mean over pixels and variables, times 1,000."""
        return 1000 * squared_error(sample, target)


class FieldError(ReferenceMetric):
    """The root mean squared error of one variable in its own unit, over the places where it was measured.

    A place without a measurement is exactly 0 in all channels (`datamodules.base.gridded`); it counts neither way. A
    frame without any measurement has no error.

    Args:
        variable: its name, for the table.
        channel: which it is.
        low: what -1 stands for, as the data's `bounds` say.
        high: what 1 stands for.
        unit: for the protocol.
    """

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
        """Says the variable."""
        return f"rmse_{self.variable}"

    @property
    def protocol(self) -> dict[str, str | float]:
        """The range and the unit."""
        return {"low": self.low, "high": self.high, "unit": self.unit}

    def measure(self, sample: Sample, target: Sample) -> PerFrame:
        """The root of the mean over the measured places of each frame."""
        prediction, reference = sample.frames.double(), target.frames.double()  # type: ignore[union-attr]
        if self.channel >= reference.shape[2]:
            raise UserError(f"{self.variable} is channel {self.channel}, but the data have {reference.shape[2]}.")
        known = (reference != 0).any(dim=2)
        difference = (prediction - reference)[:, :, self.channel] * (self.high - self.low) / 2
        squared = torch.where(known, difference.square(), 0).sum((-2, -1))
        return (squared / known.sum((-2, -1)).clamp(min=1)).sqrt()
