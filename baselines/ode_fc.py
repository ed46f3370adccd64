"""ODE-FC (Park et al., 2021, Table 1): concatenated frames, an encoder, a latent ODE of a vector, a decoder."""

from typing import Any

from torch import nn

from lightning_modules.dynamics.mlp import MLP
from lightning_modules.dynamics.ode import LatentODE
from lightning_modules.networks.vid_ode_parts import ConvDecoder, ConvEncoder
from lightning_modules.observed_clip import FrameFormat
from lightning_modules.supervised import Frames, InterpolatingSystem, Seeds, Times, lowered, sides
from lightning_modules.training_example import ObservedFrames


class ODEFC(InterpolatingSystem):
    """Vid-ODE without its ODE-ConvGRU and with a fully connected vector field.

    Vid-ODE's encoder and decoder, with a linear layer from the flattened map to a vector and one back: fully connected
    layers on the map itself would have 10^10 weights at 128 px (the paper gives no sizes). The code's time and the loss
    are as in ODE-Conv. `observe` is the number of concatenated frames.

    Args:
        channels: image channels.
        size: side of the image in pixels, or height and width.
        width: channels of the first convolution.
        downs: how often the image is halved.
        latent: length of the vector.
        hidden: width of the field's two hidden layers.
        max_step: longest step of the solver, in model units.
        observe: frames observed.
        supervised: see `SupervisedSystem`.
    """

    stochastic = False

    def __init__(
        self,
        channels: int = 3,
        size: int | tuple[int, int] = 128,
        width: int = 32,
        downs: int = 2,
        latent: int = 128,
        hidden: int = 256,
        max_step: float = 0.1,
        observe: int = 5,
        **supervised: Any,
    ) -> None:
        network = ODEFCNetwork(channels, observe, size, width, downs, latent, hidden, max_step)
        super().__init__(network, observe=observe, **supervised)

    @property
    def function_evaluations(self) -> int:
        """Evaluations of the vector field in the last call."""
        assert isinstance(self.generator, ODEFCNetwork)
        return self.generator.dynamics.function_evaluations

    def predict_frames(self, observed: ObservedFrames, times: Times, seeds: Seeds | None) -> Frames:
        """Frames at `times`; the model is deterministic, so seeds have no effect."""
        return self.generator(observed, times)


class ODEFCNetwork(nn.Module):
    """Encoder of the stack, latent ODE of a vector, decoder; for the arguments see `ODEFC`."""

    def __init__(
        self,
        channels: int,
        observe: int,
        size: int | tuple[int, int],
        width: int,
        downs: int,
        latent: int,
        hidden: int,
        max_step: float,
    ) -> None:
        super().__init__()
        self.observe = observe
        self.frame_format = FrameFormat(channels, size=sides(size))
        self.shape = (width * 2**downs, *lowered(size, downs))
        values = self.shape[0] * self.shape[1] * self.shape[2]
        self.image_encoder = ConvEncoder(channels * observe, width, downs)
        self.flatten = nn.Linear(values, latent)
        self.dynamics = LatentODE(MLP([latent, hidden, hidden, latent], "tanh"), max_step=max_step)
        self.unflatten = nn.Linear(latent, values)
        self.image_decoder = ConvDecoder(self.shape[0], channels, downs)

    def forward(self, observed: ObservedFrames, times: Times) -> Frames:
        """The frames at `times`; missing observed frames are zero."""
        maps = self.image_encoder(observed.side_by_side(self.observe, "ODE-FC"))
        states = self.dynamics(self.flatten(maps.flatten(1)), times - observed.anchor[:, None])
        generated = self.unflatten(states).unflatten(-1, self.shape)
        return self.image_decoder(generated.flatten(0, 1)).unflatten(0, times.shape)
