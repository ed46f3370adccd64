"""Random numbers as pure functions of (purpose, seed, epoch, index), whatever the order or the process."""

import os

import numpy as np
from jaxtyping import Float64, Int64, UInt64

SHUFFLE, WINDOW_START, FRAME_CHOICE, MISSING_FRAMES, AUGMENT, SCENE, MISSING_PIXELS = range(7)
"""The purposes of random numbers: no two purposes share a number."""

_LOW = np.uint64(0xFFFFFFFF)
_HALF = np.uint64(32)
_MULTIPLIERS = np.uint64(0xD2511F53), np.uint64(0xCD9E8D57)
_WEYL = 0x9E3779B9, 0xBB67AE85
Words = UInt64[np.ndarray, "..."]


def seed_of_run() -> int:
    """The seed that Lightning's `seed_everything` was last called with, in this process or its parent; 0 if never."""
    return int(os.environ.get("PL_GLOBAL_SEED", 0))


def permutation(purpose: int, seed: int, epoch: int, count: int) -> list[int]:
    """The numbers from 0 to `count` - 1 in random order."""
    key = np.array([seed % 2**64, purpose], dtype=np.uint64)
    generator = np.random.Generator(np.random.Philox(key=key, counter=np.array([0, 0, 0, epoch], dtype=np.uint64)))
    order: list[int] = generator.permutation(count).tolist()
    return order


def uniforms(
    purpose: int, seed: int, epoch: int, indices: Int64[np.ndarray, " batch"], count: int
) -> Float64[np.ndarray, "batch {count}"]:
    """`count` numbers from [0, 1) for each index, with 53 random bits each; `indices` are not negative."""
    index = indices.astype(np.uint64)[:, None]
    block = np.arange((count + 1) // 2, dtype=np.uint64)[None] | np.uint64(purpose << 24)
    words = philox(block, index & _LOW, index >> _HALF, np.full((1, 1), epoch, dtype=np.uint64), seed=seed)
    high, low = np.stack(words[0::2], -1) >> np.uint64(5), np.stack(words[1::2], -1) >> np.uint64(6)
    numbers = (high * 2.0**26 + low) / 2.0**53
    return np.ascontiguousarray(numbers.reshape(len(indices), -1)[:, :count])


def philox(a: Words, b: Words, c: Words, d: Words, *, seed: int) -> tuple[Words, Words, Words, Words]:
    """Philox-4x32-10 (Salmon et al., SC 2011) of counters of four 32-bit words, which broadcast.

    numpy's own Philox needs one generator for each stream, which takes 20 microseconds to construct; this function
    computes the numbers of a batch at once.
    """
    a, b, c, d = (np.asarray(word, dtype=np.uint64) for word in np.broadcast_arrays(a, b, c, d))
    keys = [seed & 0xFFFFFFFF, seed >> 32 & 0xFFFFFFFF]
    for _ in range(10):
        first, second = a * _MULTIPLIERS[0], c * _MULTIPLIERS[1]
        key_a, key_b = (np.uint64(key) for key in keys)
        a, b, c, d = (second >> _HALF) ^ b ^ key_a, second & _LOW, (first >> _HALF) ^ d ^ key_b, first & _LOW
        keys = [(key + step) & 0xFFFFFFFF for key, step in zip(keys, _WEYL, strict=True)]
    return a, b, c, d
