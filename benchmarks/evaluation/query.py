"""Query: one question to a system (observed frames, times, seeds) with its target; dropped and merged frames."""

import inspect
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Int
from torch import Tensor

from benchmarks.evaluation.capabilities import Seeds, Times
from benchmarks.utils.errors import UserError
from datamodules.base.rng import MISSING_FRAMES, uniforms
from datamodules.clip import AnySample, Sample, nearest_frames

GAPS = ", where observed frames are missing"
"""Ends the message about a capability that takes no `present` mask."""
_RATE_TOLERANCE = 1e-3
"""Of a frame: times are rounded to float32."""
BLACK = -1.0
"""What a system is shown where a frame or a pixel is missing."""
_EMPTY = {"frames": BLACK, "keypoints": 0.0, "confidence": 0.0, "values": 0.0}
"""The content of a dropped frame, so that nothing can be read off it by mistake."""


class Query(NamedTuple):
    """One question to a system and its target: all that a metric or a gallery needs beside the prediction."""

    observed: Sample
    target: Sample
    present: Bool[Tensor, "batch context"]
    ids: Int[Tensor, " batch"]
    origins: Int[Tensor, " batch"]
    labels: Int[Tensor, " batch"]
    seeds: Seeds
    times: Times
    """When to predict, in seconds: the target's times, unless a task uses another frame rate than the data."""
    valid: Bool[Tensor, "batch time 1 height width"] | None = None
    """False where a pixel of the target is missing; None if all are present."""


def check_rate(rate: float | None) -> None:
    """Raise UserError unless the rate is a share."""
    if rate is not None and not 0 < rate <= 1:
        raise UserError(f"rate is the share of observed frames that is kept, above 0 and up to 1; got {rate}.")


def accepts_present_mask(capability: Callable[..., Sample]) -> bool:
    """Whether the method takes `present`, the mask of observed frames that are not missing."""
    parameters = inspect.signature(capability).parameters.values()
    return any(one.name == "present" or one.kind is one.VAR_KEYWORD for one in parameters)


def drop_frames(query: Query, rate: float | None, *, keep_last: bool = False) -> Query:
    """The query without some of its observed frames; the clip's id alone decides which.

    Args:
        query: with all frames.
        rate: the share of frames that is kept; None keeps all. Frame 0 is always kept.
        keep_last: whether the last frame is always kept too.
    """
    if rate is None:
        return query
    count, ends_kept = query.observed.times.shape[1], 2 if keep_last else 1
    free = count - ends_kept
    lost = min(free, count - max(ends_kept, round(rate * count)))
    present = torch.ones(query.present.shape, dtype=torch.bool)
    if lost > 0:
        numbers = uniforms(MISSING_FRAMES, 0, 0, query.ids.cpu().numpy(), free)
        order = np.argsort(numbers, axis=1, kind="stable")[:, :lost]
        present.scatter_(1, 1 + torch.from_numpy(order), False)
    present = present.to(query.present.device) & query.present
    fields = {
        name: value if name == "times" else value.masked_fill(~_broadcast(present, value), _EMPTY[name])
        for name, value in query.observed._asdict().items()
    }
    return query._replace(observed=type(query.observed)(**fields), present=present)


def present_argument(query: Query) -> dict[str, Tensor]:
    """`present` as a keyword argument, only if a frame is missing: systems without it can take other queries."""
    return {} if bool(query.present.all()) else {"present": query.present}


def at_rate(clip: AnySample, fps: float, frames: int | None = None) -> AnySample:
    """The clip at `fps` frames per second from time 0 on: of each moment the frame that is nearest in time.

    Args:
        clip: of at least `fps` frames per second.
        fps: frames per second.
        frames: how many; None: as many as the shortest clip of the batch lasts.

    Raises:
        UserError: if frames are further apart than 1 / `fps`, or the clip ends before the last moment.
    """
    own, end = clip.times.double(), float(clip.times[:, -1].min())
    gap = float(own.diff(dim=1).max()) if own.shape[1] > 1 else 0.0
    if gap * fps > 1 + _RATE_TOLERANCE:
        raise UserError(
            f"{fps:g} frames per second can be compared only with real clips of at least as many; these have frames "
            f"{gap:.4g} s apart. Evaluate on data at a higher rate: `--data.init_args.frame_rate`, or in a benchmark "
            "file `test_overrides`."
        )
    count = frames or int(end * fps + _RATE_TOLERANCE) + 1
    grid = torch.arange(count, dtype=torch.float64, device=own.device) / fps
    if float(grid[-1]) > end + 0.5 / fps:
        raise UserError(
            f"{count} frames at {fps:g} per second last {float(grid[-1]):.4g} s, but the real clips last {end:.4g} s. "
            "Lengthen the evaluation sampling or lower `frames`."
        )
    return nearest_frames(clip, grid.to(clip.times.dtype).expand(len(own), -1))


def merge_observed(observed: Sample, predicted: Sample) -> Sample:
    """One clip of both, sorted by time; all clips of a batch have their times in the same order."""
    order = torch.cat([observed.times[0], predicted.times[0]]).argsort()
    parts = (torch.cat([part, getattr(predicted, name)], 1)[:, order] for name, part in observed._asdict().items())
    return type(observed)(*parts)


def with_neighbours(query: Query, clip: AnySample) -> AnySample:
    """The predicted frames, or their targets, with the observed frame right before and after each run of them.

    A missing neighbour repeats the predicted frame next to it. All clips of a batch have their times in the same order.
    """
    count = query.observed.times.shape[1]
    if not count:
        return clip
    order = torch.cat([query.observed.times[0], clip.times[0]]).argsort()
    seen = order < count
    beside = torch.zeros_like(seen)
    beside[:-1] |= ~seen[1:]
    beside[1:] |= ~seen[:-1]
    kept = order[~seen | beside]
    parts = {
        name: torch.cat([part, getattr(clip, name)], 1)[:, kept] for name, part in query.observed._asdict().items()
    }
    for place in (kept < count).nonzero().flatten().tolist():
        near = place + 1 if place + 1 < len(kept) and kept[place + 1] >= count else place - 1
        there = query.present[:, kept[place], None]
        for name, part in parts.items():
            if name != "times":
                own, other = part[:, [place]], part[:, [near]]
                part[:, [place]] = torch.where(_broadcast(there, own), own, other)
    return type(clip)(**parts)


def _broadcast(present: Bool[Tensor, "batch time"], field: Tensor) -> Tensor:
    """`present` with as many axes as the field of a sample."""
    return present.reshape(*present.shape, *[1] * (field.ndim - 2))
