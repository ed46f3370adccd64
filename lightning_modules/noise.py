"""Noise as a function of each clip's own seed, so that a clip does not depend on batch, device or frame rate."""

from collections.abc import Sequence
from hashlib import blake2b

import torch
from jaxtyping import Float, Int
from torch import Tensor

Seeds = Int[Tensor, " batch"]


def normal(
    seeds: Seeds | None,
    batch: int,
    shape: Sequence[int],
    *,
    stream: str,
    device: torch.device | str | None = None,
    dtype: torch.dtype = torch.float32,
) -> Float[Tensor, "batch ..."]:
    """Standard normal noise (batch, *shape).

    With seeds, row i depends on seeds[i], `stream` and `shape` alone: it is sampled on the CPU, then moved. Without
    them (training) it comes from the device's global generator.

    Args:
        seeds: one per clip, or None.
        batch: number of clips; with seeds it must be their number.
        shape: of one clip's noise.
        stream: what the noise is for ("content", "motion"); different names give independent noise from the same seed.
        device: of the result.
        dtype: of the result.

    Raises:
        ValueError: if there are not as many seeds as clips.
    """
    if seeds is None:
        return torch.randn(batch, *shape, device=device, dtype=dtype)
    if len(seeds) != batch:
        raise ValueError(f"One seed per clip is needed: {batch} clips, got {len(seeds)} seeds.")
    rows = [torch.randn(*shape, generator=_generator(seed, stream), dtype=dtype) for seed in seeds.tolist()]
    return torch.stack(rows).to(device) if rows else torch.empty(0, *shape, device=device, dtype=dtype)


def normal_sequence(
    seeds: Seeds | None,
    batch: int,
    length: int,
    shape: Sequence[int],
    *,
    stream: str,
    device: torch.device | str | None = None,
    dtype: torch.dtype = torch.float32,
) -> Float[Tensor, "batch time ..."]:
    """Noise (batch, length, *shape), independent for each frame; a longer sequence begins with the shorter one."""
    if length < 1:
        raise ValueError(f"A sequence of noise has at least one frame; got {length}.")
    frames = [
        normal(seeds, batch, shape, stream=f"{stream}[{index}]", device=device, dtype=dtype) for index in range(length)
    ]
    return torch.stack(frames, dim=1)


def integers(seeds: Seeds | None, batch: int, high: int, *, stream: str) -> Int[Tensor, " batch"]:
    """One whole number from 0 to high - 1 per clip, on the CPU: categories, frame offsets."""
    if seeds is None:
        return torch.randint(high, (batch,))
    if len(seeds) != batch:
        raise ValueError(f"One seed per clip is needed: {batch} clips, got {len(seeds)} seeds.")
    drawn = [torch.randint(high, (1,), generator=_generator(seed, stream)) for seed in seeds.tolist()]
    return torch.cat(drawn) if drawn else torch.empty(0, dtype=torch.int64)


def _generator(seed: int, stream: str) -> torch.Generator:
    digest = blake2b(f"{seed} {stream}".encode(), digest_size=8).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest, "little", signed=True))
