"""Climatology: the mean training frame, or one mean for each part of a period, such as a calendar month."""

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from datamodules.clip import VideoClip, id_and_draw
from datamodules.errors import UserError
from lightning_modules.real_data import data_of
from lightning_modules.system import System

YEAR = 365.2425 * 86400
"""Seconds."""


class Climatology(System):
    """Predicts what the training data show on average at this time of the period, whatever was observed.

    The mean is over all frames of all training clips, pixel by pixel, missing pixels left out; it is computed at the
    first prediction from the run's own data and needs no training. The forecast of a meteorologist without a model:
    `Climatology(parts=12)` on monthly winds. It takes the first frames of all source clips to be of one time of the
    period (NOAA's begin in January).

    Args:
        parts: of the period, each with a mean of its own; 1 is the mean of all training frames.
        period: in seconds.
    """

    def __init__(self, parts: int = 1, period: float = YEAR) -> None:
        super().__init__()
        if parts < 1 or not period > 0:
            raise UserError(f"parts must be at least 1 and period above 0 s; got {parts} and {period}.")
        self.parts = parts
        self.period = period
        self._means: Tensor | None = None

    def predict(
        self,
        observed: VideoClip,
        times: Float[Tensor, "batch time"],
        *,
        seeds: Int[Tensor, " batch"] | None = None,
        present: Bool[Tensor, "batch observed"] | None = None,
    ) -> VideoClip:
        """The mean of each target time's part of the period; the seeds say where in its source a clip starts."""
        if self._means is None:
            self._means = self._training_means()
        if self._means.shape[1:] != observed.frames.shape[-3:]:
            raise UserError(
                f"The training frames are {tuple(self._means.shape[1:])} (channel, height, width), the observed ones "
                f"{tuple(observed.frames.shape[-3:])}. Evaluate on frames of the training size."
            )
        part = torch.zeros(times.shape, dtype=torch.int64)
        if self.parts > 1:
            if seeds is None:
                raise UserError("A climatology by parts of a period needs `seeds`, which say where a clip starts.")
            starts = data_of(self).start_seconds(id_and_draw(seeds.cpu())[0])
            part = torch.from_numpy(self._part(starts[:, None] + times.double().cpu().numpy()))
        return VideoClip(self._means.to(times.device)[part.to(times.device)], times)

    def interpolate(
        self,
        observed: VideoClip,
        times: Float[Tensor, "batch time"],
        *,
        seeds: Int[Tensor, " batch"] | None = None,
        present: Bool[Tensor, "batch observed"] | None = None,
    ) -> VideoClip:
        """As `predict`."""
        return self.predict(observed, times, seeds=seeds, present=present)

    def _part(self, seconds: np.ndarray) -> np.ndarray:
        """The part of the period that each moment is nearest to the start of."""
        return np.rint(seconds / self.period * self.parts).astype(np.int64) % self.parts

    def _training_means(self) -> Float[Tensor, "part channel height width"]:
        """By part; a part without frames, or a pixel without values, gets the mean of all parts."""
        total: np.ndarray | None = None
        count = np.zeros(())
        for clip in data_of(self).whole_clips("train"):
            if total is None:
                total = np.zeros((self.parts, *clip.frames.shape[1:]))
                count = np.zeros_like(total)
            part = self._part(clip.times)
            known = np.isfinite(clip.frames)
            np.add.at(total, part, np.where(known, clip.frames, 0.0))
            np.add.at(count, part, known)
        if total is None:
            raise UserError("The data have no training clips to average. Choose data with some.")
        overall = total.sum(axis=0) / np.maximum(count.sum(axis=0), 1)
        means = np.where(count > 0, total / np.maximum(count, 1), overall)
        return torch.from_numpy(means.astype(np.float32))
