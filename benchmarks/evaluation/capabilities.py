"""Capabilities: what a system can do. Having the method is having the capability.

Seeds of one clip may agree in their low 32 bits, which are all that a CPU generator of torch keeps: make noise with
`lightning_modules.noise`, which hashes the seed.
"""

from typing import Protocol, runtime_checkable

from jaxtyping import Float, Int
from torch import Tensor

from datamodules.clip import Sample

Seeds = Int[Tensor, " batch"]
Times = Float[Tensor, "batch time"]


@runtime_checkable
class Generates(Protocol):
    """Generates clips from nothing but a seed per clip."""

    def generate(self, times: Times, *, seeds: Seeds, labels: Int[Tensor, " batch"] | None = None) -> Sample:
        """Clips at `times` (batch, time), in seconds, one for each seed."""
        ...


@runtime_checkable
class Predicts(Protocol):
    """Continues a clip."""

    def predict(self, observed: Sample, times: Times, *, seeds: Seeds | None = None) -> Sample:
        """The frames at `times` (batch, time), in seconds, after the observed ones."""
        ...


@runtime_checkable
class Interpolates(Protocol):
    """Fills in between observed frames."""

    def interpolate(self, observed: Sample, times: Times, *, seeds: Seeds | None = None) -> Sample:
        """The frames at `times` (batch, time), in seconds, between observed ones."""
        ...


@runtime_checkable
class Inbetweens(Protocol):
    """Generates what may lie between a start and an end."""

    def inbetween(self, observed: Sample, times: Times, *, seeds: Seeds) -> Sample:
        """Possible frames at `times` (batch, time), in seconds, between the observed ends, one sample for each seed."""
        ...
