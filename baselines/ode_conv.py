"""ODE-Conv (Park et al., 2021, Table 1): frames side by side, an encoder, a latent ODE of convolutions, a decoder."""

from typing import Any

import torch
from jaxtyping import Bool
from torch import Tensor, nn

from datamodules.clip import VideoClip
from lightning_modules.dynamics.fields import ConvField
from lightning_modules.dynamics.ode import LatentODE
from lightning_modules.networks.vid_ode import start_index
from lightning_modules.networks.vid_ode_parts import ConvDecoder, ConvEncoder
from lightning_modules.paired import Frames, PairedSystem, Seeds, Shown, Times


class ODEConv(PairedSystem):
    """Vid-ODE without its ODE-ConvGRU: "the channel-wise concatenated frames as an input for the Conv-Encoder".

    Vid-ODE's encoder, field and decoder; each frame is drawn from its own state. The state that the encoder gives sits
    at the last shown frame in extrapolation, at the first in interpolation (the paper does not say). Mean absolute
    error. `observe` is the number of frames side by side, in interpolation too.

    Args:
        channels: image channels.
        width: channels of the first convolution; the state has width * 2**downs.
        downs: how often the image is halved.
        hidden: channels between the field's convolutions.
        max_step: longest step of the solver, in model units.
        observe: frames shown.
        paired: see `PairedSystem`.
    """

    def __init__(
        self,
        channels: int = 3,
        width: int = 32,
        downs: int = 2,
        hidden: int = 64,
        max_step: float = 0.1,
        observe: int = 5,
        **paired: Any,
    ) -> None:
        super().__init__(ODEConvNetwork(channels, observe, width, downs, hidden, max_step), observe=observe, **paired)

    @property
    def function_evaluations(self) -> int:
        """Evaluations of the vector field in the last call."""
        assert isinstance(self.generator, ODEConvNetwork)
        return self.generator.dynamics.function_evaluations

    def interpolate(
        self,
        observed: VideoClip,
        times: Times,
        *,
        seeds: Seeds | None = None,
        present: Bool[Tensor, "batch shown"] | None = None,
    ) -> VideoClip:
        """Frames at `times` from the first observed one on."""
        return self._ask(observed, times, "first", seeds, present)

    def answer(self, shown: Shown, times: Times, seeds: Seeds | None) -> Frames:
        """Frames at `times`; nothing is random, so seeds change nothing."""
        return self.generator(shown, times)


class ODEConvNetwork(nn.Module):
    """Encoder of the stack, latent ODE, decoder; for the arguments see `ODEConv`."""

    def __init__(self, channels: int, observe: int, width: int, downs: int, hidden: int, max_step: float) -> None:
        super().__init__()
        state = width * 2**downs
        self.observe = observe
        self.image_encoder = ConvEncoder(channels * observe, width, downs)
        self.dynamics = LatentODE(ConvField(state, hidden), max_step=max_step)
        self.image_decoder = ConvDecoder(state, channels, downs)

    def forward(self, shown: Shown, times: Times) -> Frames:
        """The frames at `times`; a missing frame is a black one."""
        count = shown.frames.shape[1]
        if count != self.observe:
            raise ValueError(
                f"ODE-Conv was built for {self.observe} frames side by side and is shown {count}. Set `observe` to the "
                "number of shown frames, or use a recurrent encoder, which takes any number."
            )
        seen = shown.frames * shown.present[:, :, None, None, None]
        code = self.image_encoder(seen.flatten(1, 2))
        rows = torch.arange(len(times), device=times.device)
        anchor = shown.times[rows, start_index(shown.present, shown.start)]
        states = self.dynamics(code, times - anchor[:, None])
        return self.image_decoder(states.flatten(0, 1)).unflatten(0, times.shape)
