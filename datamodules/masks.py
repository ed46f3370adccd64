"""Masks: which frames of a clip a task lets a system observe; the others are the targets."""

import torch
from jaxtyping import Bool
from torch import Tensor

from datamodules.clip import AnySample, take_times
from datamodules.errors import UserError

Mask = Bool[Tensor, " time"]
"""True where a frame is observed."""


def first(num_frames: int, count: int) -> Mask:
    """Prediction: the first `count` frames are observed."""
    _check(num_frames, 0 <= count < num_frames, f"count must be from 0 to {num_frames - 1}; got {count}")
    return torch.arange(num_frames) < count


def every(num_frames: int, stride: int) -> Mask:
    """Interpolation: frames 0, stride, 2 stride, ... are observed."""
    _check(num_frames, 2 <= stride < num_frames, f"stride must be from 2 to {num_frames - 1}; got {stride}")
    return torch.arange(num_frames) % stride == 0


def ends(num_frames: int, count: int) -> Mask:
    """Inbetweening: `count` frames at either end are observed."""
    _check(num_frames, count >= 1 and 2 * count < num_frames, f"2 * count must leave a frame hidden; got count {count}")
    position = torch.arange(num_frames)
    return (position < count) | (position >= num_frames - count)


def split(sample: AnySample, mask: Mask) -> tuple[AnySample, AnySample]:
    """The observed frames and the hidden ones of a sample, or of a batch of samples that share the mask."""
    if mask.shape[-1] != sample.times.shape[-1]:
        raise ValueError(f"The mask covers {mask.shape[-1]} frames, the clip has {sample.times.shape[-1]}.")
    return take_times(sample, mask), take_times(sample, ~mask)


def _check(num_frames: int, holds: bool, rule: str) -> None:
    if not holds:
        raise UserError(f"For a clip of {num_frames} frames, {rule}.")
