"""How Vid-ODE composes a frame (Park et al., 2021, eq. 2), and frames with what they were composed of."""

from collections.abc import Callable
from typing import Literal, NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from lightning_modules.networks.vid_ode_parts import Decoding, Latent, Latents
from lightning_modules.networks.warping import warp

Image = Float[Tensor, "batch channel height width"]
Frames = Float[Tensor, "batch time channel height width"]
Composition = Literal["mask", "flow", "image"]
Parts = dict[str, Tensor]
"""What a frame was composed of: `warped` (C channels), `differences` (C), `masks` (1, in [0, 1]) and `flows` (2, in
pixels, x then y), as far as the composition has them; shaped like the frame but for the channels."""


class Previous(NamedTuple):
    """The frame before the one to decode: its latent, and the image that is warped."""

    latent: Latent
    image: Image


class DecodedFrame(NamedTuple):
    """One frame of each clip, in the range of the losses (no activation bounds it)."""

    image: Image
    latent: Latent
    parts: Parts


class Decoded(NamedTuple):
    """Several frames of each clip; all that `DecodedFrame` holds, with a time axis after the batch."""

    frames: Frames
    latents: Latents
    parts: Parts

    def at(self, index: Int[Tensor, " batch"]) -> DecodedFrame:
        """The frame of each clip at an index of its own."""
        rows = torch.arange(len(index), device=index.device)
        parts = {name: part[rows, index] for name, part in self.parts.items()}
        return DecodedFrame(self.frames[rows, index], self.latents[rows, index], parts)


def compose_by_mask(output: Decoding, previous: Image) -> tuple[Image, Parts]:
    """Eq. 2: X = M W(F, X') + (1 - M) D, of the flow F, the difference D, the mask M and the previous image X'."""
    flow, difference, logit = output.split([2, previous.shape[1], 1], dim=1)
    warped, mask = warp(previous, flow), logit.sigmoid()
    parts = {"warped": warped, "differences": difference, "masks": mask, "flows": flow}
    return mask * warped + (1 - mask) * difference, parts


def compose_by_flow(output: Decoding, previous: Image) -> tuple[Image, Parts]:
    """X = W(F, X'), the warped image alone (ablation D of Table 4)."""
    warped = warp(previous, output)
    return warped, {"warped": warped, "flows": output}


def compose_nothing(output: Decoding, previous: Image) -> tuple[Image, Parts]:
    """X is the decoder's own image (ablations A to C of Table 4)."""
    return output, {}


COMPOSE: dict[Composition, Callable[[Decoding, Image], tuple[Image, Parts]]] = {
    "mask": compose_by_mask,
    "flow": compose_by_flow,
    "image": compose_nothing,
}


def output_channels(composition: Composition, channels: int) -> int:
    """How many channels the decoder must give for images with `channels` channels."""
    return {"mask": 2 + channels + 1, "flow": 2, "image": channels}[composition]


def stack(frames: list[DecodedFrame]) -> Decoded:
    """Frames at consecutive times, stacked along a time axis."""
    return Decoded(
        torch.stack([frame.image for frame in frames], dim=1),
        torch.stack([frame.latent for frame in frames], dim=1),
        {name: torch.stack([frame.parts[name] for frame in frames], dim=1) for name in frames[0].parts},
    )


def choose(condition: Bool[Tensor, " batch"], chosen: DecodedFrame, other: DecodedFrame) -> DecodedFrame:
    """For each clip the `chosen` frame where the condition holds, the `other` elsewhere."""
    mask = condition[:, None, None, None]
    return DecodedFrame(
        torch.where(mask, chosen.image, other.image),
        torch.where(mask, chosen.latent, other.latent),
        {name: torch.where(mask, part, other.parts[name]) for name, part in chosen.parts.items()},
    )
