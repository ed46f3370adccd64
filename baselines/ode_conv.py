"""ODE-Conv (Park et al., 2021, Table 1): concatenated frames, an encoder, a convolutional latent ODE, a decoder."""

from typing import Any

from torch import nn

from lightning_modules.dynamics.fields import ConvField
from lightning_modules.dynamics.ode import LatentODE
from lightning_modules.networks.vid_ode_parts import ConvDecoder, ConvEncoder
from lightning_modules.observed_clip import FrameFormat
from lightning_modules.supervised import Frames, InterpolatingSystem, Seeds, Times
from lightning_modules.training_example import ObservedFrames


class ODEConv(InterpolatingSystem):
    """Vid-ODE without its ODE-ConvGRU: "the channel-wise concatenated frames as an input for the Conv-Encoder".

    Vid-ODE's encoder, field and decoder; each frame is decoded from its own state. The encoded state is that at the
    last observed frame in extrapolation, at the first in interpolation (the paper does not say). Mean absolute error.
    `observe` is the number of concatenated frames, in interpolation too.

    Args:
        channels: image channels.
        width: channels of the first convolution; the state has width * 2**downs.
        downs: how often the image is halved.
        hidden: channels of the field's hidden layers.
        max_step: longest step of the solver, in model units.
        observe: frames observed.
        supervised: see `SupervisedSystem`.
    """

    stochastic = False

    def __init__(
        self,
        channels: int = 3,
        width: int = 32,
        downs: int = 2,
        hidden: int = 64,
        max_step: float = 0.1,
        observe: int = 5,
        **supervised: Any,
    ) -> None:
        super().__init__(
            ODEConvNetwork(channels, observe, width, downs, hidden, max_step), observe=observe, **supervised
        )

    @property
    def function_evaluations(self) -> int:
        """Evaluations of the vector field in the last call."""
        assert isinstance(self.generator, ODEConvNetwork)
        return self.generator.dynamics.function_evaluations

    def predict_frames(self, observed: ObservedFrames, times: Times, seeds: Seeds | None) -> Frames:
        """Frames at `times`; the model is deterministic, so seeds have no effect."""
        return self.generator(observed, times)


class ODEConvNetwork(nn.Module):
    """Encoder of the stack, latent ODE, decoder; for the arguments see `ODEConv`."""

    def __init__(self, channels: int, observe: int, width: int, downs: int, hidden: int, max_step: float) -> None:
        super().__init__()
        state = width * 2**downs
        self.observe = observe
        self.frame_format = FrameFormat(channels, 2**downs)
        self.image_encoder = ConvEncoder(channels * observe, width, downs)
        self.dynamics = LatentODE(ConvField(state, hidden), max_step=max_step)
        self.image_decoder = ConvDecoder(state, channels, downs)

    def forward(self, observed: ObservedFrames, times: Times) -> Frames:
        """The frames at `times`; missing observed frames are zero."""
        code = self.image_encoder(observed.side_by_side(self.observe, "ODE-Conv"))
        states = self.dynamics(code, times - observed.anchor[:, None])
        return self.image_decoder(states.flatten(0, 1)).unflatten(0, times.shape)
