"""The contract of generators from noise to clips, with an exchangeable dynamics for the motion."""

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
    """From noise to a code, from the code to states at the target times, from states to frames.

    Args:
        dynamics: the temporal generator.
        size: side of a frame.
        categories: number of classes of motion or content that the generator is conditioned on; 0: none.
        channels: of a frame; the critics' must be equal, unless it is None.
    """

    frames = 16
    """Number of frames in all three published families; from the first to the last is one unit of model time."""

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
        """Clips at `times` (model units), from coarse to fine; one level except for TGANv2.

        Args:
            times: of every frame.
            seeds: in evaluation mode a clip depends on its seed alone; None uses the global generator.
            labels: the category of each clip, if there are categories.
            only: the index in `times` of the only frame to render of each clip; None renders all.
        """

    def levels(self, frames: Frames) -> list[Frames]:
        """Real clips at the levels that the generator makes."""
        return [frames]

    def states(self, code: Float[Tensor, "batch *code"], times: Times, seeds: Seeds | None) -> Tensor:
        """The latent states (B, T, ...) in float32: autocast would round times and solver steps."""
        with torch.autocast(code.device.type, enabled=False):
            return self.dynamics(code.float(), times.float(), seeds=seeds)


def doublings(size: int, smallest: int = 4) -> int:
    """How often `smallest` must be doubled to reach `size`.

    Raises:
        UserError: if doubling does not reach it.
    """
    count = (size // smallest).bit_length() - 1
    if size < 2 * smallest or smallest << count != size:
        raise UserError(f"The size of a frame must be {smallest} times a power of 2; got {size}. Resize the data.")
    return count


def chosen(states: Float[Tensor, "batch time *state"], only: Index | None) -> Float[Tensor, "batch _ *state"]:
    """All states, or only each clip's state at index `only`."""
    if only is None:
        return states
    return states[torch.arange(len(states), device=states.device), only.to(states.device)][:, None]


def channels_last(pictures: Float[Tensor, "pictures channel height width"]) -> Tensor:
    """The images channels-last on a CPU, where transposed convolutions are then faster; unchanged on other devices."""
    return pictures.contiguous(memory_format=torch.channels_last) if pictures.device.type == "cpu" else pictures


def pixels(codes: Float[Tensor, "pictures channel"]) -> Float[Tensor, "pictures channel 1 1"]:
    """Each code as an image of a single pixel, in the memory layout of `channels_last`."""
    # a single pixel is the same in both layouts: only its strides tell the following layers which one to use
    return codes[:, None, None].movedim(3, 1) if codes.device.type == "cpu" else codes[:, :, None, None]
