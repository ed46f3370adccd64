"""ConvGRU-Decay (Park et al., 2021, Table 5): a ConvGRU whose state decays with the time between frames."""

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from lightning_modules.networks.conv_gru import ConvGRUCell
from lightning_modules.networks.recurrent_frames import RecurrentFrames
from lightning_modules.supervised import Frames, Seeds, SupervisedSystem, Times
from lightning_modules.training_example import ObservedFrames

State = Float[Tensor, "batch channel height width"]


class ConvGRUDecay(SupervisedSystem):
    """RNN-Decay (Che et al., 2018) with a ConvGRU cell: the state is scaled by exp(-rate Δt) before it is used.

    It supports any times; a frame is predicted from the previous one, so it depends on the other target times.

    Args:
        channels: image channels.
        width: channels of the first convolution; states have width * 2**downs.
        downs: how often the image is halved.
        supervised: see `SupervisedSystem`.
    """

    stochastic = False

    def __init__(self, channels: int = 3, width: int = 32, downs: int = 2, **supervised: Any) -> None:
        super().__init__(RecurrentFrames(DecayCell, channels, width, downs), **supervised)

    def predict_frames(self, observed: ObservedFrames, times: Times, seeds: Seeds | None) -> Frames:
        """Frames at `times`; the model is deterministic, so seeds have no effect."""
        return self.generator(observed.frames, observed.times, times, observed.present)


class DecayCell(nn.Module):
    """h <- exp(-max(0, rate) Δt) h, then a ConvGRU; one rate per channel, per unit of model time."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.cell = ConvGRUCell(channels)
        self.rate = nn.Parameter(torch.rand(channels))

    def forward(self, x: State, h: State, interval: Float[Tensor, " batch"]) -> State:
        """The next state."""
        exponent = interval[:, None].to(h.dtype) * self.rate.clamp(min=0)
        return self.cell(x, torch.exp(-exponent)[:, :, None, None] * h)
