"""ConvGRU (Ballas et al., 2016) as a predictor of frames, as Vid-ODE compares with it (Park et al., 2021, Table 2)."""

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from datamodules.errors import UserError
from lightning_modules.dynamics.base import grid_steps
from lightning_modules.networks.conv_gru import ConvGRUCell
from lightning_modules.networks.recurrent_frames import RecurrentFrames
from lightning_modules.supervised import Frames, Seeds, SupervisedSystem, Times
from lightning_modules.training_example import ObservedFrames

State = Float[Tensor, "batch channel height width"]


class ConvGRU(SupervisedSystem):
    """Encodes the observed frames, then predicts the next ones, each fed back; it models steps, not times.

    Vid-ODE's encoder, decoder and cell; mean absolute error (no sizes are published). Target times must be whole
    numbers of `interval` after the last observed frame; every step up to them is predicted, also those that are no
    target.

    Args:
        interval: model time between frames.
        channels: image channels.
        width: channels of the first convolution; states have width * 2**downs.
        downs: how often the image is halved.
        supervised: see `SupervisedSystem`.
    """

    stochastic = False

    def __init__(
        self, interval: float = 0.1, channels: int = 3, width: int = 32, downs: int = 2, **supervised: Any
    ) -> None:
        if not interval > 0:
            raise UserError(f"interval must be positive; got {interval}.")
        super().__init__(RecurrentFrames(Cell, channels, width, downs), **supervised)
        self.interval = interval

    def predict_frames(self, observed: ObservedFrames, times: Times, seeds: Seeds | None) -> Frames:
        """Frames at `times`; the model is deterministic, so seeds have no effect.

        Raises:
            UserError: if a time is not a whole number of intervals after the last observed frame.
        """
        last = observed.time_of("last")
        steps = grid_steps(times - last[:, None], self.interval, "ConvGRU")
        if bool((steps < 1).any()):
            raise UserError(
                "ConvGRU predicts frames after the last observed one; a target time is at or before it. Choose later "
                "times, or use a continuous model."
            )
        grid = last[:, None] + self.interval * torch.arange(1, int(steps.max()) + 1, device=times.device)
        frames = self.generator(observed.frames, observed.times, grid, observed.present)
        return frames[torch.arange(len(times), device=times.device)[:, None], steps - 1]


class Cell(nn.Module):
    """A ConvGRU cell that ignores the interval."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.cell = ConvGRUCell(channels)

    def forward(self, x: State, h: State, interval: Float[Tensor, " batch"]) -> State:
        """The next state."""
        return self.cell(x, h)
