"""Conversion between frames in [-1, 1] and pixels from 0 to 255."""

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor


def to_pixels(frames: Float[Tensor, "*shape"], scale: int = 1) -> UInt8[Tensor, "*larger"]:
    """Frames (..., H, W) in [-1, 1] as uint8, enlarged `scale` times; values outside are clipped, NaN is black."""
    pixels = frames.float().clamp(-1, 1).nan_to_num(-1.0).add(1).mul(127.5).round().byte()
    return pixels if scale == 1 else pixels.repeat_interleave(scale, -1).repeat_interleave(scale, -2)


def to_pictures(frames: Float[Tensor, "time channel height width"], scale: int = 1) -> UInt8[np.ndarray, "time _ _ _"]:
    """Frames in [-1, 1] as the uint8 array that `write_video` takes."""
    return to_pixels(frames, scale).cpu().numpy()


def from_pixels(pixels: UInt8[np.ndarray, "*shape"]) -> Float[Tensor, "*shape"]:
    """uint8 pixels as frames in [-1, 1]; a copy, so that the array may be read-only or memory-mapped."""
    return torch.from_numpy(np.array(pixels)).float() / 127.5 - 1
