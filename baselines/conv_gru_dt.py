"""ConvGRU-Δt (Park et al., 2021, Table 5): a ConvGRU with the time since the previous frame as an input."""

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from lightning_modules.networks.conv_gru import ConvGRUCell
from lightning_modules.networks.recurrent_frames import RecurrentFrames
from lightning_modules.supervised import Frames, Seeds, SupervisedSystem, Times
from lightning_modules.training_example import ObservedFrames

State = Float[Tensor, "batch channel height width"]


class ConvGRUDt(SupervisedSystem):
    """RNN-Δt (Che et al., 2018) with a ConvGRU cell: the interval is one more input channel.

    It supports any times; a frame is predicted from the previous one, so it depends on the other target times.

    Args:
        channels: image channels.
        width: channels of the first convolution; states have width * 2**downs.
        downs: how often the image is halved.
        supervised: see `SupervisedSystem`.
    """

    stochastic = False

    def __init__(self, channels: int = 3, width: int = 32, downs: int = 2, **supervised: Any) -> None:
        super().__init__(RecurrentFrames(IntervalCell, channels, width, downs), **supervised)

    def predict_frames(self, observed: ObservedFrames, times: Times, seeds: Seeds | None) -> Frames:
        """Frames at `times`; the model is deterministic, so seeds have no effect."""
        return self.generator(observed.frames, observed.times, times, observed.present)


class IntervalCell(nn.Module):
    """A ConvGRU cell whose input has one more channel, constant at the interval (model units)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.cell = ConvGRUCell(channels, inputs=channels + 1)

    def forward(self, x: State, h: State, interval: Float[Tensor, " batch"]) -> State:
        """The next state."""
        plane = interval[:, None, None, None].to(x.dtype).expand(-1, 1, *x.shape[2:])
        return self.cell(torch.cat([x, plane], dim=1), h)
