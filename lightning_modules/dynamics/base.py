"""The contract of a dynamics: a code and a list of times in, the states at those times out."""

from abc import ABC, abstractmethod

from jaxtyping import Float, Int
from torch import Tensor, nn

Code = Float[Tensor, "batch *code"]
Times = Float[Tensor, "batch time"]
States = Float[Tensor, "batch time *state"]
Seeds = Int[Tensor, " batch"]


class Dynamics(nn.Module, ABC):
    """What turns a latent code and a list of times into states.

    Continuous members also obey `states(0) = initial(code)` and answer any times, negative ones by integrating outwards
    from 0. Discrete members refuse times off their grid with an error that names the way out. Whatever encodes the code
    (MLPs, one linear layer per order) belongs to the member and counts as its parameters.
    """

    @abstractmethod
    def forward(self, code: Code, times: Times, *, seeds: Seeds | None = None) -> States:
        """The states at `times` (model units, increasing along each row); noise is a function of each clip's seed."""

    @property
    def function_evaluations(self) -> int:
        """How often the network behind the dynamics ran in the last call; 0 where the question makes no sense."""
        return 0
