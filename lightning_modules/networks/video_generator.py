"""The contract of a generator that draws clips from noise, its motion by an exchangeable dynamics."""

from abc import ABC, abstractmethod

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from datamodules.errors import UserError
from lightning_modules.dynamics.base import Dynamics

Frames = Float[Tensor, "batch _ channel _ _"]
Times = Float[Tensor, "batch time"]
Seeds = Int[Tensor, " batch"]
Index = Int[Tensor, " batch"]


class VideoGenerator(nn.Module, ABC):
    """Noise to a code, a dynamics to states at the asked times, states to frames.

    Args:
        dynamics: the temporal generator.
        size: side of a frame.
        categories: how many classes of motion or content the generator is told; 0 for none.
        channels: of a frame, which the critics are compared with; None: they are not.
    """

    frames = 16
    """Of a clip as all three families were published; the first to the last are one unit of model time."""

    def __init__(self, dynamics: Dynamics, size: int, categories: int = 0, channels: int | None = None) -> None:
        super().__init__()
        self.size = size
        self.dynamics = dynamics
        self.categories = categories
        self.channels = channels

    @abstractmethod
    def forward(
        self, times: Times, *, seeds: Seeds | None = None, labels: Index | None = None, only: Index | None = None
    ) -> list[Frames]:
        """Clips at `times` (model units), from coarse to fine; one level but for TGANv2.

        Args:
            times: of every frame.
            seeds: all that a clip depends on in evaluation mode; None draws from the global generator.
            labels: the category of each clip, where there are categories.
            only: the place in `times` of the single frame that is rendered of each clip; None renders all.
        """

    def levels(self, frames: Frames) -> list[Frames]:
        """Real clips in the form that the generator draws its own in."""
        return [frames]

    def states(self, code: Float[Tensor, "batch *code"], times: Times, seeds: Seeds | None) -> Tensor:
        """The latent states (B, T, ...) in float32: times and solvers are never rounded by autocast."""
        with torch.autocast(code.device.type, enabled=False):
            return self.dynamics(code.float(), times.float(), seeds=seeds)


def doublings(size: int, smallest: int = 4) -> int:
    """How often `smallest` must be doubled to make `size`.

    Raises:
        UserError: if it cannot.
    """
    count = (size // smallest).bit_length() - 1
    if size < 2 * smallest or smallest << count != size:
        raise UserError(f"The size of a frame must be {smallest} times a power of 2; got {size}. Resize the data.")
    return count


def chosen(states: Float[Tensor, "batch time *state"], only: Index | None) -> Float[Tensor, "batch _ *state"]:
    """All states, or of each clip the single one that `only` names."""
    if only is None:
        return states
    return states[torch.arange(len(states), device=states.device), only.to(states.device)][:, None]


def channels_last(pictures: Float[Tensor, "pictures channel height width"]) -> Tensor:
    """The pictures in the layout in which a CPU is fastest at transposed convolutions; as they are on other devices."""
    return pictures.contiguous(memory_format=torch.channels_last) if pictures.device.type == "cpu" else pictures


def pixels(codes: Float[Tensor, "pictures channel"]) -> Float[Tensor, "pictures channel 1 1"]:
    """Each code as the single pixel of a picture, laid out as `channels_last` does it."""
    # of a single pixel both layouts are alike, so that only the strides say which one the layers shall go on with
    return codes[:, None, None].movedim(3, 1) if codes.device.type == "cpu" else codes[:, :, None, None]
