"""The parts of Vid-ODE's network, shared with the models it is compared to: encoders, decoder, critic."""

from typing import Literal

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from datamodules.errors import UserError
from lightning_modules.dynamics.ode import LatentODE
from lightning_modules.networks.conv_gru import ConvGRUCell
from lightning_modules.networks.step_norm import AnyMaps, Norm, Steps, in_sequence, in_step

Latent = Float[Tensor, "batch latent low_height low_width"]
Latents = Float[Tensor, "batch time latent low_height low_width"]
Decoding = Float[Tensor, "maps output _ _"]
Times = Float[Tensor, "batch time"]
Present = Bool[Tensor, "batch time"]


class ODEConvGRU(nn.Module):
    """Eq. 1: between frames the state follows an ODE, at a frame a ConvGRU updates it with the frame's embedding.

    Args:
        channels: channels of the embeddings and of the state.
        field: derivative of the state by model time; None: the state is constant between frames (Vid-RNN).
        solver: `euler` takes one explicit step per interval (code), `rk4` steps of at most `max_step` (paper, eq. 1).
        direction: frames are read `backward` in time, so the state ends at the first one (code), or `forward` (paper).
        first_step: when reading backward, how long before the first frame read the zero state starts (code: 0.01);
            when reading forward it starts at model time 0.
        head: whether two 1x1 convolutions map the last state to the code (code; of their mean and deviation halves only
            the mean is used) or the state is the code (paper).
        max_step: longest step of `rk4`, in model units.
        euler_step: longest step of `euler`; None takes one per interval, whatever its length, which is the code's on
            frames at its regular times. On irregular ones the code walks over every slot of its window, sampled or not,
            so it takes one step per slot: 1/20 for CAM5 (Table 5). Each clip takes equal steps of its own.
    """

    def __init__(
        self,
        channels: int,
        field: nn.Module | None = None,
        solver: Literal["euler", "rk4"] = "euler",
        direction: Literal["backward", "forward"] = "backward",
        first_step: float = 0.01,
        head: bool = True,
        max_step: float = 0.1,
        euler_step: float | None = None,
    ) -> None:
        super().__init__()
        if euler_step is not None and not (solver == "euler" and euler_step > 0):
            raise UserError(
                f"euler_step is the longest step of `solver: euler`, above 0; got {euler_step} with `solver: {solver}`."
                " Set `solver: euler`, or leave it out."
            )
        self.euler_step = euler_step
        self.cell = ConvGRUCell(channels)
        self.field = field
        self.solver = solver
        self.max_step = max_step
        self.direction = direction
        self.first_step = first_step
        one = nn.Conv2d
        self.head = (
            nn.Sequential(one(channels, channels, 1), nn.ReLU(), one(channels, 2 * channels, 1)) if head else None
        )

    def forward(self, embeddings: Latents, times: Times, present: Present) -> Latent:
        """The code of the observed frames; at a missing frame the ConvGRU does not update the state."""
        order = list(range(times.shape[1]))
        before = torch.zeros_like(times[:, 0])
        if self.direction == "backward":
            order.reverse()
            before = times[:, -1] + self.first_step
        precise = torch.promote_types(embeddings.dtype, torch.float32)  # a state in bfloat16 would forget small steps
        state = torch.zeros_like(embeddings[:, 0], dtype=precise)
        for index in order:
            state = self._flow(state, times[:, index] - before)
            updated = self.cell(embeddings[:, index], state)
            state = torch.where(present[:, index, None, None, None], updated, state)
            before = times[:, index]
        return state if self.head is None else self.head(state).chunk(2, dim=1)[0]

    def _flow(self, state: Latent, interval: Float[Tensor, " batch"]) -> Latent:
        if self.field is None:
            return state
        if self.solver == "rk4":
            return LatentODE(self.field, solver="rk4", max_step=self.max_step)(state, interval[:, None])[:, 0]
        if self.euler_step is None:
            return state + interval[:, None, None, None] * self.field(state)
        # so many steps that none is longer, up to the rounding of times
        steps = (interval.abs() / self.euler_step - 1e-3).ceil().clamp(min=1)
        part = interval / steps
        for number in range(int(steps.max())):
            step = torch.where(number < steps, part, 0)
            state = state + step[:, None, None, None] * self.field(state)
        return state


class FrameStack(nn.Module):
    """The encoder of ODE-Conv, ablation (A): embeddings of a fixed number of frames side by side, one convolution.

    Args:
        channels: channels of an embedding and of the code.
        frames: how many frames are observed.
    """

    def __init__(self, channels: int, frames: int) -> None:
        super().__init__()
        self.frames = frames
        self.mix = nn.Conv2d(channels * frames, channels, 3, padding=1)

    def forward(self, embeddings: Latents, times: Times, present: Present) -> Latent:
        """The code; it does not depend on the times, which the ablation removes."""
        if embeddings.shape[1] != self.frames:
            raise UserError(
                f"FrameStack was built for {self.frames} observed frames and got {embeddings.shape[1]}. "
                "Set `frames` to the number of observed frames, or use ODEConvGRU, which takes any number."
            )
        return self.mix(torch.where(present[:, :, None, None, None], embeddings, 0).flatten(1, 2))


class ConvEncoder(nn.Sequential):
    """Supplement Table 6: a 3x3 convolution and `downs` strided 4x4 ones, each with batch norm and ReLU."""

    def __init__(self, channels: int, width: int, downs: int, norm: Norm = nn.BatchNorm2d) -> None:
        layers: list[nn.Module] = [nn.Conv2d(channels, width, 3, padding=1), norm(width), nn.ReLU(inplace=True)]
        for _ in range(downs):
            layers += [
                nn.Conv2d(width, 2 * width, 4, stride=2, padding=1),
                norm(2 * width),
                nn.ReLU(inplace=True),
            ]
            width *= 2
        super().__init__(*layers)

    def forward(self, input: AnyMaps, steps: Steps | None = None) -> AnyMaps:
        """The embeddings; `steps` are for a norm with statistics by step."""
        return in_sequence(self, input, steps)


class ConvDecoder(nn.Sequential):
    """Supplement Table 7: `ups` times bilinear upsampling, 3x3 convolution, batch norm, ReLU; a last 3x3 convolution.

    For its weight gradient a convolution keeps its input, here four times as large as what it was upsampled from; so
    only the smaller one is stored, and upsampled again in the backward pass. That saves a fifth of the network's memory
    in training.
    """

    def __init__(self, channels: int, outputs: int, ups: int, norm: Norm = nn.BatchNorm2d) -> None:
        layers: list[nn.Module] = []
        for _ in range(ups):
            layers += [
                nn.Upsample(scale_factor=2, mode="bilinear", align_corners=False),
                nn.Conv2d(channels, channels // 2, 3, padding=1),
                norm(channels // 2),
                nn.ReLU(inplace=True),
            ]
            channels //= 2
        super().__init__(*layers, nn.Conv2d(channels, outputs, 3, padding=1))

    def forward(self, input: AnyMaps, steps: Steps | None = None) -> Decoding:
        """The output channels of every pixel."""
        if torch.compiler.is_compiling() or not torch.is_grad_enabled():
            return in_sequence(self, input, steps)
        layers = iter(self)
        for layer in layers:
            if isinstance(layer, nn.Upsample):
                input = _upsampled_conv(input, layer, next(layers))
            else:
                input = in_step(layer, input, steps)
        return input


def _upsampled_conv(small: Tensor, upsample: nn.Module, conv: nn.Module) -> Tensor:
    """conv(upsample(small)), of which autograd stores `small` alone."""
    large, kept = upsample(small), small.detach()
    address = large.data_ptr()

    def pack(saved: Tensor) -> Tensor | None:
        return None if saved.data_ptr() == address else saved

    def unpack(packed: Tensor | None) -> Tensor:
        return upsample(kept) if packed is None else packed

    with torch.autograd.graph.saved_tensors_hooks(pack, unpack):
        return conv(large)


class PatchCritic(nn.Sequential):
    """Supplement Table 8: five 4x4 convolutions; every position and every channel of the output is a logit.

    Args:
        channels: image channels, times the number of frames that are scored together.
        width: channels of the first convolution; then 2, 4 and 8 times that, then `width` logits per position.
        norm: instance norm in layers 2 to 4 (code) or none (the paper's table).
    """

    def __init__(self, channels: int, width: int = 64, norm: bool = True) -> None:
        layers: list[nn.Module] = [
            nn.Conv2d(channels, width, 4, stride=2, padding=1, bias=False),
            nn.LeakyReLU(0.2, inplace=True),
        ]
        for factor, stride, padding in ((2, 2, 1), (4, 2, 1), (8, 1, 2)):
            layers.append(nn.Conv2d(width * factor // 2, width * factor, 4, stride=stride, padding=padding))
            layers += [nn.InstanceNorm2d(width * factor)] if norm else []
            layers.append(nn.LeakyReLU(0.2, inplace=True))
        super().__init__(*layers, nn.Conv2d(8 * width, width, 4, padding=2, bias=False))
