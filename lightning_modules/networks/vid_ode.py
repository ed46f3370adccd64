"""Vid-ODE's network (Park et al., 2021): ODE-ConvGRU encoder, latent ODE, frames composed one after another."""

from functools import partial
from typing import Literal, NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from datamodules.errors import UserError
from lightning_modules.dynamics.base import Dynamics
from lightning_modules.networks.base_grid import BaseGrid, base_grid, solve_for_both
from lightning_modules.networks.step_norm import Norm, Statistics, StepBatchNorm2d, Steps
from lightning_modules.networks.vid_ode_frames import (
    COMPOSE,
    Composition,
    Decoded,
    DecodedFrame,
    Frames,
    Image,
    Previous,
    choose,
    output_channels,
    stack,
)
from lightning_modules.networks.vid_ode_parts import ConvDecoder, ConvEncoder, Latent, Latents, Present, Times
from lightning_modules.observed_clip import FrameFormat

Start = Literal["first", "last"]

PIXELS = 2**13
"""Pixels of the frames that are decoded in one batch: 8 steps of a clip at 32 pixels. A larger batch gains nothing."""


class VidODENetwork(nn.Module):
    """From observed frames to frames at any times.

    Frames are in [0, 1], times in model units. The arguments with two values are the points where paper and released
    code differ; the default follows the code, which made the published numbers.

    Args:
        encoder: the observed embeddings to the code z0 (`ODEConvGRU` or `FrameStack`).
        dynamics: z0 to the latent states.
        channels: image channels.
        width: channels of the first convolution; the latent has width * 2**downs.
        downs: how often the image is halved.
        composition: `mask` is the paper's; `flow` gives the warped frame alone, `image` the decoder's own image
            (ablations D and A to C of Table 4).
        chain: the flow warps the previous `warped` frame (code) or the previous `composed` one (paper, eq. 2).
        previous_latent: what the first frame's decoder receives as the previous latent: the `embedding` of the start
            frame (code) or the `code` z0 (paper, eq. 2 with h_s0).
        code_time: the time of z0 in extrapolation: the first predicted time (`first_query`, code) or the last observed
            one (`last_observed`, paper). In interpolation it is the first observed time.
        statistics: of batch normalisation in evaluation. `per_step`: running ones, of each step of the decoder's chain
            (see `StepBatchNorm2d`), and one set for all observed frames, which are encoded in one pass. `batch`: of
            the batch that is evaluated, and the start frame is encoded in a pass of its own (code).
        copy_last_init: how strongly an untrained network repeats the previous frame: the logit of its mask, beside a
            flow near 0. None is as published: the last convolution is initialised like every other. For short
            trainings, 3 or so.
    """

    def __init__(
        self,
        encoder: nn.Module,
        dynamics: Dynamics,
        channels: int = 3,
        width: int = 32,
        downs: int = 2,
        composition: Composition = "mask",
        chain: Literal["warped", "composed"] = "warped",
        previous_latent: Literal["embedding", "code"] = "embedding",
        code_time: Literal["first_query", "last_observed"] = "first_query",
        statistics: Statistics = "per_step",
        copy_last_init: float | None = None,
    ) -> None:
        super().__init__()
        self.channels = channels
        self.frame_format = FrameFormat(channels, 2**downs)
        self.statistics = statistics
        norms: tuple[Norm, Norm] = (nn.BatchNorm2d, StepBatchNorm2d)
        if statistics == "batch":
            norms = (partial(StepBatchNorm2d, steps=1, statistics="batch"),) * 2
        self.image_encoder = ConvEncoder(channels, width, downs, norms[0])
        self.encoder = encoder
        self.dynamics = dynamics
        outputs = output_channels(composition, channels)
        self.image_decoder = ConvDecoder(2 * width * 2**downs, outputs, downs, norms[1])
        self.composition: Composition = composition
        self.chain = chain
        self.previous_latent = previous_latent
        self.code_time = code_time
        if copy_last_init is not None:
            if composition != "mask":
                raise UserError(
                    f"`copy_last_init` sets the mask, which composition '{composition}' does not have; leave it out."
                )
            self._init_copy_last(copy_last_init)

    def forward(
        self,
        observed: Float[Tensor, "batch observed channel height width"],
        observed_times: Float[Tensor, "batch observed"],
        times: Times,
        *,
        start: Start,
        present: Bool[Tensor, "batch observed"] | None = None,
        grid: float | None = None,
    ) -> Decoded:
        """The frames at `times`.

        Decoding is recursive: each frame is warped from the one before, so it depends on the other target times. With
        `grid`, frames are decoded on a base grid of that step (model units) and every other time is reached in one hop
        from the last base frame before it, so a frame is the same whatever the other target times are.

        Args:
            observed: the observed frames.
            observed_times: their times.
            times: the target times, increasing along each row.
            start: decoding starts from the `last` observed frame (extrapolation) or the `first` (interpolation).
            present: False where an observed frame is missing.
            grid: step of the base grid, or None to decode along `times` themselves.

        Raises:
            UserError: with `grid`, if a target time is before the frame that decoding starts from.
        """
        if present is None:
            present = torch.ones_like(observed_times, dtype=torch.bool)
        context = self._encode(observed, observed_times, present, start)
        if grid is None:
            code_time = self._code_time(context, start, times[:, 0])
            latents = self.dynamics(context.code, times - code_time[:, None])
            return stack(self._decode_chain(latents, context.previous))
        first = context.anchor + grid if start == "last" else context.anchor
        base = base_grid(first, grid, times)
        _check_onwards(times, base, context.anchor, start)
        return self._decode_on_grid(context, times, base, self._code_time(context, start, first))

    def _encode(self, observed: Frames, observed_times: Times, present: Present, start: Start) -> "_Context":
        """Eq. 1: the code of the observed frames, and the frame that decoding starts from."""
        index = start_index(present, start)
        rows = torch.arange(len(observed), device=observed.device)
        image, anchor = observed[rows, index], observed_times[rows, index]
        apart = self.statistics == "batch"
        embedding = self.image_encoder(image, index.new_zeros(1)) if apart else None
        embeddings = self.image_encoder(observed.flatten(0, 1), index.new_zeros(1)).unflatten(0, observed.shape[:2])
        code = self.encoder(embeddings, observed_times, present)
        latent = code if self.previous_latent == "code" else embeddings[rows, index] if embedding is None else embedding
        return _Context(code, anchor, Previous(latent, image))

    def _code_time(self, context: "_Context", start: Start, first: Float[Tensor, " batch"]) -> Float[Tensor, " batch"]:
        """The model time of z0; `first` is the time of the first decoded frame."""
        return first if start == "last" and self.code_time == "first_query" else context.anchor

    def _decoder_outputs(self, latents: Latents, before: Latents, steps: Steps) -> list[Tensor]:
        """The decoder's output for each column of latents and the latents before them; `steps` are their places.

        It does not depend on the images, so as many columns as `PIXELS` allows are one batch.
        """
        pixels = len(latents) * latents.shape[-2] * latents.shape[-1] * self.frame_format.multiple**2
        outputs: list[Tensor] = []
        count = max(PIXELS // pixels, 1)
        for first in range(0, latents.shape[1], count):
            chunk = slice(first, first + count)
            pair = torch.cat([latents[:, chunk], before[:, chunk]], dim=2).flatten(0, 1)
            maps = self.image_decoder(pair, steps[..., chunk])
            outputs.extend(maps.unflatten(0, (len(latents), -1)).unbind(1))
        return outputs

    def _compose(self, output: Tensor, latent: Latent, previous: Image) -> DecodedFrame:
        """Psi of eq. 2: a frame from the decoder's output for it and the image before it."""
        image, parts = COMPOSE[self.composition](output, previous)
        return DecodedFrame(image, latent, parts)

    def _as_previous(self, frame: DecodedFrame) -> Previous:
        """What the next frame is decoded from."""
        warped = frame.parts.get("warped", frame.image)
        return Previous(frame.latent, warped if self.chain == "warped" else frame.image)

    def _decode_chain(self, latents: Latents, previous: Previous) -> list[DecodedFrame]:
        """Eq. 2 from frame to frame. Each time step is one batch for the decoder's batch norm, as in the code."""
        before = torch.cat([previous.latent[:, None], latents], dim=1)[:, :-1]
        outputs = self._decoder_outputs(latents, before, torch.arange(latents.shape[1], device=latents.device))
        frames = []
        for latent, output in zip(latents.unbind(1), outputs, strict=True):
            frames.append(self._compose(output, latent, previous.image))
            previous = self._as_previous(frames[-1])
        return frames

    def _decode_on_grid(
        self, context: "_Context", times: Times, grid: BaseGrid, code_time: Float[Tensor, " batch"]
    ) -> Decoded:
        """A chain along the base grid, then one hop from the base frame before it to each time between.

        A hop is normalised as the step of the chain that starts at the same base frame.
        """
        base_latents, latents = solve_for_both(
            self.dynamics, context.code, grid.times - code_time[:, None], times - code_time[:, None]
        )
        chain = self._decode_chain(base_latents, context.previous)
        before = [context.previous, *map(self._as_previous, chain)]
        latents_before = torch.stack([previous.latent for previous in before], dim=1)
        images_before = torch.stack([previous.image for previous in before], dim=1)
        base = stack(chain) if chain else None
        rows = torch.arange(len(times), device=times.device)
        hops = [index for index in range(times.shape[1]) if base is None or not bool(grid.on_grid[:, index].all())]
        parents = grid.parent[:, hops] + 1
        outputs = self._decoder_outputs(latents[:, hops], latents_before[rows[:, None], parents], parents)
        output_of = dict(zip(hops, outputs, strict=True))
        frames = []
        for index, latent in enumerate(latents.unbind(1)):
            parent, on_grid = grid.parent[:, index], grid.on_grid[:, index]
            if base is not None and index not in output_of:
                frames.append(base.at(parent))
                continue
            hop = self._compose(output_of[index], latent, images_before[rows, parent + 1])
            frames.append(hop if base is None else choose(on_grid, base.at(parent.clamp(min=0)), hop))
        return stack(frames)

    def _init_copy_last(self, logit: float) -> None:
        last = self.image_decoder[-1]
        assert isinstance(last, nn.Conv2d)
        assert last.bias is not None
        with torch.no_grad():
            last.weight.mul_(0.1)
            last.bias[:2] = 0.0
            last.bias[-1] = logit


def start_index(present: Present, start: Start) -> Int[Tensor, " batch"]:
    """Which frame of each clip decoding starts from: the first or the last that is not missing."""
    if start == "first":
        return present.int().argmax(dim=1)
    return present.shape[1] - 1 - present.flip(1).int().argmax(dim=1)


class _Context(NamedTuple):
    """The encoded observed frames: the code z0, the time of the start frame, and that frame with its latent."""

    code: Latent
    anchor: Float[Tensor, " batch"]
    previous: Previous


def _check_onwards(times: Times, grid: BaseGrid, anchor: Float[Tensor, " batch"], start: Start) -> None:
    """Check that no target time precedes the start frame, whose index as a parent is -1 in extrapolation, else 0."""
    if bool((grid.parent < (-1 if start == "last" else 0)).any()):
        raise UserError(
            f"Frames are decoded forward in time from the {start} observed frame; a target time is "
            f"{float((anchor[:, None] - times).max()):.4g} model units before it. "
            "Call `predict` for times after the observed frames and `interpolate` for times between them."
        )
