"""Vid-ODE's network (Park et al., 2021): ODE-ConvGRU encoder, ODE decoder, flow, difference and mask composition."""

from typing import Literal, NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from datamodules.errors import UserError
from lightning_modules.dynamics.base import Dynamics
from lightning_modules.networks.vid_ode_parts import ConvDecoder, ConvEncoder, Latent, Latents, Present, Times
from lightning_modules.networks.warping import warp

Frames = Float[Tensor, "batch time channel height width"]
Image = Float[Tensor, "batch channel height width"]

Start = Literal["first", "last"]
Composition = Literal["mask", "flow", "image"]

_ON_GRID = 1e-3  # of a grid step: a query so close to a base frame is that frame


class Decoded(NamedTuple):
    """Frames in [0, 1] (no activation bounds them) and what they were made of; None where a variant has none."""

    frames: Frames
    latents: Latents
    warped: Frames | None
    differences: Frames | None
    masks: Float[Tensor, "batch time 1 height width"] | None
    flows: Float[Tensor, "batch time 2 height width"] | None


class VidODENetwork(nn.Module):
    """From observed frames to frames at any times.

    Frames are in [0, 1], times in model units. The arguments with two values are the places where paper and released
    code part; the default is the code, which made the published numbers.

    Args:
        encoder: the observed embeddings to the code z0 (`ODEConvGRU` or `FrameStack`).
        dynamics: z0 to the latent states.
        channels: image channels.
        width: channels of the first convolution; the latent has width * 2**downs.
        downs: how often the image is halved.
        composition: `mask` is the paper's; `flow` shows the warped frame alone, `image` the decoder's own picture
            (ablations D and A to C of Table 4).
        chain: the flow pulls on the previous `warped` frame (code) or on the previous `composed` one (paper, eq. 2).
        previous_latent: what the first frame's decoder sees as the previous latent: the `embedding` of the start frame
            (code) or the `code` z0 (paper, eq. 2 with h_s0).
        code_time: where z0 sits in extrapolation: at the first predicted time (`first_query`, code) or at the last
            observed one (`last_observed`, paper). In interpolation it sits at the first observed time.
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
        copy_last_init: float | None = None,
    ) -> None:
        super().__init__()
        self.image_encoder = ConvEncoder(channels, width, downs)
        self.encoder = encoder
        self.dynamics = dynamics
        outputs = {"mask": 2 + channels + 1, "flow": 2, "image": channels}[composition]
        self.image_decoder = ConvDecoder(2 * width * 2**downs, outputs, downs)
        self.channels = channels
        self.composition = composition
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
        observed: Float[Tensor, "batch shown channel height width"],
        observed_times: Float[Tensor, "batch shown"],
        times: Times,
        *,
        start: Start,
        present: Bool[Tensor, "batch shown"] | None = None,
        grid: float | None = None,
    ) -> Decoded:
        """The frames at `times`.

        Decoding is recursive: a frame is warped from the one before, so it depends on which times are asked. With
        `grid`, frames are decoded on a base grid of that step (model units) and every other time is reached in one hop
        from the last base frame, so frames at shared times agree whatever else is asked.

        Args:
            observed: the frames that are known.
            observed_times: when they were taken.
            times: when frames are asked, increasing along each row.
            start: the chain starts from the `last` observed frame (extrapolation) or the `first` (interpolation).
            present: False where an observed frame is missing.
            grid: step of the base grid, or None to decode along `times` themselves.
        """
        if present is None:
            present = torch.ones_like(observed_times, dtype=torch.bool)
        anchor_index = start_index(present, start)
        rows = torch.arange(len(observed), device=observed.device)
        image, anchor = observed[rows, anchor_index], observed_times[rows, anchor_index]
        skip = self.image_encoder(image)
        embeddings = self.image_encoder(observed.flatten(0, 1)).unflatten(0, observed.shape[:2])
        code = self.encoder(embeddings, observed_times, present)
        previous = skip if self.previous_latent == "embedding" else code
        if grid is None:
            latents = self.dynamics(code, times - self._code_times(start, anchor, times)[:, None])
            return self._decode_chain(latents, previous, image)
        return self._decode_from_grid(code, previous, image, anchor, times, start, grid)

    def _init_copy_last(self, logit: float) -> None:
        last = self.image_decoder[-1]
        assert isinstance(last, nn.Conv2d)
        assert last.bias is not None
        with torch.no_grad():
            last.weight.mul_(0.1)
            last.bias[:2] = 0.0
            last.bias[-1] = logit

    def _code_times(self, start: Start, anchor: Float[Tensor, " batch"], times: Times) -> Float[Tensor, " batch"]:
        return times[:, 0] if start == "last" and self.code_time == "first_query" else anchor

    def _decode_chain(self, latents: Latents, previous: Latent, image: Image) -> Decoded:
        """Each frame from its latent, the latent before and the frame before; batch statistics are per time step."""
        steps = []
        for latent in latents.unbind(1):
            step = self._decode_step(latent, previous, image)
            steps.append(step)
            previous, image = latent, self._source(step)
        return _stack(steps)

    def _decode_from_grid(
        self,
        code: Latent,
        previous: Latent,
        image: Image,
        anchor: Float[Tensor, " batch"],
        times: Times,
        start: Start,
        grid: float,
    ) -> Decoded:
        first = anchor + grid if start == "last" else anchor  # the base frames are at first + k * grid
        position = (times - first[:, None]) / grid
        parent = (position + _ON_GRID).floor().long()  # -1 is the start frame itself
        if bool((parent < (-1 if start == "last" else 0)).any()):
            raise UserError(
                f"Frames are decoded onwards from the {start} observed frame; the query is "
                f"{float((anchor[:, None] - times).max()):.4g} model units before it. "
                "Ask `predict` for times after the observed frames and `interpolate` for times between them."
            )
        count = max(int(parent.max()) + 1, 0)
        base_times = first[:, None] + grid * torch.arange(count, device=times.device)
        every_time, order = torch.cat([base_times, times], dim=1).sort(dim=1)
        code_times = first if self.code_time == "first_query" or start == "first" else anchor
        latents = self.dynamics(code, every_time - code_times[:, None])
        latents = latents.gather(1, _spread(order.argsort(dim=1), latents))
        base_latents, latents = latents[:, :count], latents[:, count:]
        nodes = [_Step(image, previous, image, None, None, None)]
        for latent in base_latents.unbind(1):
            nodes.append(self._decode_step(latent, nodes[-1].latent, self._source(nodes[-1])))
        before = torch.stack([node.latent for node in nodes], dim=1)
        source = torch.stack([self._source(node) for node in nodes], dim=1)
        base = _stack(nodes[1:]) if count else None
        rows = torch.arange(len(times), device=times.device)
        asked = []
        for index in range(times.shape[1]):
            node = parent[:, index] + 1
            on_grid = ((position[:, index] - parent[:, index]).abs() < 2 * _ON_GRID) & (node > 0)
            hop = None
            if base is None or not bool(on_grid.all()):
                hop = self._decode_step(latents[:, index], before[rows, node], source[rows, node])
            asked.append(_pick(base, parent[:, index].clamp(min=0), on_grid, hop))
        return _stack(asked)

    def _decode_step(self, latent: Latent, previous: Latent, image: Image) -> "_Step":
        """One frame: Psi of eq. 2, X = M W(F, X_before) + (1 - M) D."""
        output = self.image_decoder(torch.cat([latent, previous], dim=1))
        if self.composition == "image":
            return _Step(output, latent, None, None, None, None)
        flow = output[:, :2]
        warped = warp(image, flow)
        if self.composition == "flow":
            return _Step(warped, latent, warped, None, None, flow)
        difference, mask = output[:, 2 : 2 + self.channels], output[:, 2 + self.channels :].sigmoid()
        return _Step(mask * warped + (1 - mask) * difference, latent, warped, difference, mask, flow)

    def _source(self, step: "_Step") -> Image:
        """What the next frame is warped from."""
        return step.warped if self.chain == "warped" and step.warped is not None else step.frame


def start_index(present: Present, start: Start) -> Int[Tensor, " batch"]:
    """Which frame of each clip a chain starts from: the first or the last that is not missing."""
    if start == "first":
        return present.int().argmax(dim=1)
    return present.shape[1] - 1 - present.flip(1).int().argmax(dim=1)


class _Step(NamedTuple):
    frame: Tensor
    latent: Tensor
    warped: Tensor | None
    difference: Tensor | None
    mask: Tensor | None
    flow: Tensor | None


def _pick(base: Decoded | None, index: Tensor, on_grid: Bool[Tensor, " batch"], hop: _Step | None) -> _Step:
    """The base frame for clips whose query is on the grid, the one-hop frame for the others."""
    rows = torch.arange(len(index), device=index.device)
    chosen = None if base is None else _Step(*(None if part is None else part[rows, index] for part in base))  # type: ignore[arg-type]
    if chosen is None or hop is None:
        picked = chosen or hop
        assert picked is not None
        return picked
    where = on_grid[:, None, None, None]
    pairs = zip(chosen, hop, strict=True)
    return _Step(*(None if a is None or b is None else torch.where(where, a, b) for a, b in pairs))  # type: ignore[arg-type]


def _spread(index: Tensor, like: Tensor) -> Tensor:
    """An index (B, T) expanded for a gather along axis 1 of `like`."""
    return index.reshape(*index.shape, *[1] * (like.ndim - 2)).expand(-1, -1, *like.shape[2:])


def _stack(steps: list[_Step]) -> Decoded:
    columns = zip(*steps, strict=True)
    frames, latents, warped, differences, masks, flows = (
        None if column[0] is None else torch.stack(column, dim=1) for column in columns
    )
    assert frames is not None
    assert latents is not None
    return Decoded(frames, latents, warped, differences, masks, flows)
