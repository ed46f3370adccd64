"""Frames become bytes and come back; what cannot be shown is cut, and a NaN is black."""

import numpy as np
import torch

from benchmarks.utils.pixels import from_pixels, to_pictures, to_pixels


def test_every_byte_comes_back_as_it_went() -> None:
    every = np.arange(256, dtype=np.uint8).reshape(1, 1, 16, 16)
    assert np.array_equal(to_pixels(from_pixels(every)).numpy(), every)
    assert (from_pixels(every).min(), from_pixels(every).max()) == (-1, 1)


def test_what_is_beyond_is_cut_and_nan_is_black() -> None:
    frames = torch.tensor([[[[-3.0, -1.0, 0.999, 7.0, torch.nan, torch.inf]]]])
    assert to_pixels(frames).flatten().tolist() == [0, 0, 255, 255, 0, 255]


def test_each_pixel_is_enlarged_and_none_is_blended() -> None:
    frames = torch.tensor([[[[-1.0, 1.0]]]])
    assert to_pictures(frames, 2).tolist() == [[[[0, 0, 255, 255], [0, 0, 255, 255]]]]


def test_a_read_only_array_is_not_written_to() -> None:
    pixels = np.zeros((1, 2, 2), dtype=np.uint8)
    pixels.flags.writeable = False
    from_pixels(pixels).fill_(1)
    assert not pixels.any()
