"""Constant: the same image for every clip, black or the mean training frame. It ignores its input."""

from typing import Any, Literal

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from datamodules.clip import Batch, Trajectory, VideoClip
from datamodules.errors import UserError
from lightning_modules.observed_clip import check_after_last, check_from_first, observed_clip
from lightning_modules.system import System


class Constant(System):
    """Predicts one image: the score that a metric gives to a model that ignores its input.

    Args:
        value: `black` needs no training; `mean` is the mean training frame, pixel by pixel, and is computed in one
            epoch of `lightning fit` (a pass over the batches: no gradient, no optimiser; in one process). Missing
            frames and pixels are left out.
    """

    stochastic = False

    total: Float[Tensor, "channel height width"]
    count: Float[Tensor, "1 height width"]
    updates: Int[Tensor, ""]

    def __init__(self, value: Literal["black", "mean"] = "black") -> None:
        super().__init__()
        self.value = value
        self.automatic_optimization = False
        # Empty until the first training batch gives the size: a baseline does not depend on a data set.
        self.register_buffer("total", torch.zeros(0, 0, 0, dtype=torch.float64))
        self.register_buffer("count", torch.zeros(1, 0, 0, dtype=torch.float64))
        self.register_buffer("updates", torch.zeros((), dtype=torch.int64))

    @property
    def learns(self) -> bool:
        """Only the mean is learnt."""
        return self.value == "mean"

    @property
    def generator_updates(self) -> int:
        """Number of batches that the mean is over: the x-axis of its log."""
        return int(self.updates)

    def predict(
        self,
        observed: VideoClip,
        times: Float[Tensor, "batch time"],
        *,
        seeds: Int[Tensor, " batch"] | None = None,
        present: Bool[Tensor, "batch observed"] | None = None,
    ) -> VideoClip:
        """The image, at every target time after the observed frames."""
        observed, there = observed_clip(observed, present, "Constant")
        check_after_last(times, observed.times, there, "Constant")
        return self._repeated(observed, times)

    def interpolate(
        self,
        observed: VideoClip,
        times: Float[Tensor, "batch time"],
        *,
        seeds: Int[Tensor, " batch"] | None = None,
        present: Bool[Tensor, "batch observed"] | None = None,
    ) -> VideoClip:
        """As `predict`: the image does not depend on the time."""
        observed, there = observed_clip(observed, present, "Constant")
        check_from_first(times, observed.times, there, "Constant")
        return self._repeated(observed, times)

    def _repeated(self, observed: VideoClip, times: Float[Tensor, "batch time"]) -> VideoClip:
        frames = observed.frames
        shape = (len(frames), times.shape[1], *frames.shape[-3:])
        if self.value == "black":
            return VideoClip(frames.new_full(shape, -1.0), times)
        if self.total.numel() == 0 and self._trainer is not None and self.trainer.sanity_checking:
            return VideoClip(frames.new_zeros(shape), times)  # Lightning's sanity check before the first training batch
        if self.total.numel() == 0:
            raise UserError("Constant(value='mean') has seen no training frame yet. Run one epoch of `lightning fit`.")
        if self.total.shape != frames.shape[-3:]:
            raise UserError(
                f"Constant(value='mean') was fitted to frames of {tuple(self.total.shape)} (channel, height, width); "
                f"these are {tuple(frames.shape[-3:])}. Fit it to this data."
            )
        mean = self.total / self.count.clamp(min=1)
        return VideoClip(mean.to(frames.dtype).expand(shape).contiguous(), times)

    def training_step(self, batch: Batch, batch_idx: int) -> None:
        """Add the batch's frames to the running sum."""
        if isinstance(batch.clip, Trajectory):
            raise UserError("Constant predicts an image; this data has no pixels. Choose other data.")
        frames = batch.clip.frames.to(torch.float64)
        weight = batch.present[:, :, None, None, None]
        if batch.valid is not None:
            weight = weight & batch.valid
        weight = weight.to(torch.float64).expand(-1, -1, 1, *frames.shape[-2:])
        if self.total.numel() == 0:
            self.total = frames.new_zeros(frames.shape[-3:])
            self.count = frames.new_zeros(1, *frames.shape[-2:])
        self.total += torch.where(weight > 0, frames, 0.0).sum(dim=(0, 1))
        self.count += weight.sum(dim=(0, 1))
        self.updates += 1

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *args: Any) -> None:
        """Take the size from the saved tensors, because the constructor does not know it."""
        for name in ("total", "count"):
            if (saved := state_dict.get(prefix + name)) is not None:
                setattr(self, name, getattr(self, name).new_zeros(saved.shape))
        super()._load_from_state_dict(state_dict, prefix, *args)
