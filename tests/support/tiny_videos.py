"""Tiny videos of smooth moving pictures."""

import numpy as np
import torch


def videos(seed: int, count: int = 12, length: int = 6, size: int = 16, channels: int = 3) -> np.ndarray:
    """Smooth moving pictures (N, T, C, H, W)."""
    generator = np.random.default_rng(seed)
    phase = generator.uniform(0, 6, (count, 1, channels, 1, 1)) + np.arange(length).reshape(1, -1, 1, 1, 1) / 3
    y, x = np.mgrid[:size, :size] / 3
    return np.rint(127.5 + 100 * np.sin(x + phase) * np.cos(y - phase)).astype(np.uint8)


def unit(array: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(array).float() / 127.5 - 1
