"""A recurrent network from observed frames to predicted frames, each fed back as input (ConvGRU baselines)."""

from collections.abc import Callable

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from lightning_modules.networks.step_norm import StepBatchNorm2d
from lightning_modules.networks.vid_ode import start_index
from lightning_modules.networks.vid_ode_parts import ConvDecoder, ConvEncoder
from lightning_modules.observed_clip import FrameFormat

Observed = Float[Tensor, "batch observed channel height width"]
Predicted = Float[Tensor, "batch target channel height width"]


class RecurrentFrames(nn.Module):
    """Two cells: a reader takes each observed frame, a writer predicts each target frame from the previous one.

    A cell is called with an embedding, the state and the interval (B,) in model units: for the reader since the
    previous frame, for the writer from the previous frame to the target frame. Encoder and decoder are Vid-ODE's; the
    decoder's input is one state. Vid-ODE's authors give no sizes for these baselines. Encoder and decoder have running
    statistics for each predicted frame, the encoder also for the observed ones (see `StepBatchNorm2d`).

    Args:
        cell: constructs a cell with a number of channels; called twice.
        channels: image channels.
        width: channels of the first convolution; states have width * 2**downs.
        downs: how often the image is halved.
    """

    def __init__(self, cell: Callable[[int], nn.Module], channels: int = 3, width: int = 32, downs: int = 2) -> None:
        super().__init__()
        self.frame_format = FrameFormat(channels, 2**downs)
        state = width * 2**downs
        self.image_encoder = ConvEncoder(channels, width, downs, StepBatchNorm2d)
        self.reader = cell(state)
        self.writer = cell(state)
        self.image_decoder = ConvDecoder(state, channels, downs, StepBatchNorm2d)

    def forward(
        self,
        observed: Observed,
        observed_times: Float[Tensor, "batch observed"],
        times: Float[Tensor, "batch target"],
        present: Bool[Tensor, "batch observed"],
    ) -> Predicted:
        """The frames at `times`, each predicted from the previous one; a missing frame does not change the state."""
        steps = torch.arange(times.shape[1] + 1, device=times.device).split(1)  # 0 are the observed frames
        embeddings = self.image_encoder(observed.flatten(0, 1), steps[0]).unflatten(0, observed.shape[:2])
        rows = torch.arange(len(observed), device=observed.device)
        before = observed_times[rows, start_index(present, "first")]
        precise = torch.promote_types(embeddings.dtype, torch.float32)  # a state in bfloat16 would forget small changes
        state = torch.zeros_like(embeddings[:, 0], dtype=precise)
        for index in range(observed.shape[1]):
            there, now = present[:, index], observed_times[:, index]
            met = self.reader(embeddings[:, index], state, (now - before).clamp(min=0))
            state = torch.where(there[:, None, None, None], met, state)
            before = torch.where(there, now, before)
        embedding = embeddings[rows, start_index(present, "last")]
        frames = []
        for step, now in zip(steps[1:], times.unbind(1), strict=True):
            state = self.writer(embedding, state, now - before)
            frames.append(self.image_decoder(state, step - 1))
            if len(frames) < times.shape[1]:
                before, embedding = now, self.image_encoder(frames[-1], step)
        return torch.stack(frames, dim=1)
