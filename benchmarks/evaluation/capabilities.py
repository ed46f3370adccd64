"""Verbs: what a system may be asked. Having the method is having the capability."""

from typing import Protocol, runtime_checkable

from jaxtyping import Float, Int
from torch import Tensor

from datamodules.clip import Sample

Seeds = Int[Tensor, " batch"]
Times = Float[Tensor, "batch time"]


@runtime_checkable
class Generates(Protocol):
    """Draws clips from nothing but a seed per clip."""

    def generate(self, times: Times, *, seeds: Seeds, labels: Int[Tensor, " batch"] | None = None) -> Sample:
        """Clips at `times`, one for each seed."""
        ...


@runtime_checkable
class Predicts(Protocol):
    """Continues a clip."""

    def predict(self, observed: Sample, times: Times, *, seeds: Seeds | None = None) -> Sample:
        """What comes at `times`, after the observed moments."""
        ...


@runtime_checkable
class Interpolates(Protocol):
    """Fills in between observed frames."""

    def interpolate(self, observed: Sample, times: Times, *, seeds: Seeds | None = None) -> Sample:
        """What comes at `times`, between the observed moments."""
        ...


@runtime_checkable
class Inbetweens(Protocol):
    """Invents what lies between a start and an end."""

    def inbetween(self, observed: Sample, times: Times, *, seeds: Seeds) -> Sample:
        """What may come at `times`, between the observed ends."""
        ...
