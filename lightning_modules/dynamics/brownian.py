"""A Brownian path per clip: a function of the clip's seed alone, whatever the resolution and the batch."""

import math
from collections.abc import Sequence

import torch
from jaxtyping import Float, Int
from torch import Tensor

from lightning_modules.dynamics.base import Seeds
from lightning_modules.noise import normal

DEPTH = 10
"""How often an interval can be halved: 1,024 times in each."""
_BLOCK = 16


class BrownianPaths:
    """Independent Brownian motions W(t), W(0) = 0, known on the grid of multiples of `step` and between by bridges.

    Args:
        seeds: one per clip; None samples new paths in every call, from the device's global generator.
        batch: number of clips.
        shape: of one clip's motion.
        step: of the grid, in units of model time.
        device: of the paths.
        dtype: of the paths.
    """

    def __init__(
        self,
        seeds: Seeds | None,
        batch: int,
        shape: Sequence[int],
        step: float,
        device: torch.device | str | None = None,
        dtype: torch.dtype = torch.float32,
    ) -> None:
        self.seeds = seeds
        self.batch = batch
        self.shape = tuple(shape)
        self.step = step
        self.device = device
        self.dtype = dtype
        self._bridges: Tensor | None = seeds

    def increments(self, count: int) -> Float[Tensor, "batch count *shape"]:
        """The increments of W over the first `count` intervals; they do not depend on `count`."""
        if self.seeds is None:
            drawn = torch.randn(self.batch, count, *self.shape, device=self.device, dtype=self.dtype)
            return math.sqrt(self.step) * drawn
        blocks = [
            normal(
                self.seeds,
                self.batch,
                (_BLOCK, *self.shape),
                stream=f"brownian[{block}]",
                device=self.device,
                dtype=self.dtype,
            )
            for block in range(-(-count // _BLOCK))
        ]
        if not blocks:
            return torch.empty(self.batch, 0, *self.shape, device=self.device, dtype=self.dtype)
        return math.sqrt(self.step) * torch.cat(blocks, dim=1)[:, :count]

    def within(
        self,
        clips: Int[Tensor, " queries"],
        intervals: Int[Tensor, " queries"],
        ticks: Int[Tensor, " queries"],
        whole: Float[Tensor, "queries *shape"],
    ) -> Float[Tensor, "queries *shape"]:
        """The increment of W from an interval's start to `ticks` / 1,024 of it, given that over the `whole` interval.

        Levy's construction: a midpoint is normal about the mean of its neighbours, with its own noise.
        """
        if self._bridges is None:
            self._bridges = torch.randint(2**62, (self.batch,))
        seeds = self._bridges.cpu()[clips.cpu()]
        places, asked = intervals.tolist(), ticks.tolist()
        left, right = torch.zeros_like(whole), whole
        low, high, node = [0] * len(asked), [2**DEPTH] * len(asked), [1] * len(asked)
        for level in range(DEPTH):
            noise = torch.cat([
                normal(seeds[n : n + 1], 1, self.shape, stream=f"bridge[{places[n]}/{node[n]}]", dtype=self.dtype)
                for n in range(len(asked))
            ]).to(whole)  # fmt: skip
            middle = (left + right) / 2 + math.sqrt(self.step / 2**level / 4) * noise
            later = []
            for n, tick in enumerate(asked):
                half = (low[n] + high[n]) // 2
                later.append(tick >= half)
                low[n], high[n], node[n] = (half, high[n], 2 * node[n] + 1) if later[n] else (low[n], half, 2 * node[n])
            goes = torch.tensor(later, device=whole.device).reshape(-1, *[1] * (whole.ndim - 1))
            left, right = torch.where(goes, middle, left), torch.where(goes, right, middle)
            if low == asked:
                break
        return left
