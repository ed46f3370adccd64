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
    """Predicts what the training data show on average, at this place and time of the period, whatever was observed.

    The mean is over all frames of the training clips, pixel by pixel, missing pixels left out; it is computed at the
    first prediction from the run's own data and needs no training. With several parts it is the forecast of a
    meteorologist without a model, `Climatology(parts=12)` on monthly winds: the mean of the training frames of the same
    origin (NOAA's basin) in the same part, or, for an origin that was not trained on, of all origins. It takes the
    first frames of all source clips to be of one time of the period (NOAA's begin in January).

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
        self._means: dict[int | None, Tensor] = {}
        """Part by channel, height and width, for each origin; None: for all together."""

    def predict(
        self,
        observed: VideoClip,
        times: Float[Tensor, "batch time"],
        *,
        seeds: Int[Tensor, " batch"] | None = None,
        present: Bool[Tensor, "batch observed"] | None = None,
    ) -> VideoClip:
        """The mean of each target time's part of the period; the seeds say which clips these are."""
        self._means = self._means or self._training_means()
        size = self._means[None].shape[1:]
        if size != observed.frames.shape[-3:]:
            raise UserError(
                f"The training frames are {tuple(size)} (channel, height, width), the observed ones "
                f"{tuple(observed.frames.shape[-3:])}. Evaluate on frames of the training size."
            )
        if self.parts == 1:
            mean = self._means[None].to(observed.frames.device)
            return VideoClip(mean.expand(*times.shape, *size).contiguous(), times)
        if seeds is None:
            raise UserError("A climatology by parts of a period needs `seeds`, which say where a clip starts.")
        frames = []
        for (origin, start), asked in zip(data_of(self).place(id_and_draw(seeds.cpu())[0]), times.cpu(), strict=True):
            part = self._part(start + asked.double().numpy())
            frames.append(self._means.get(origin, self._means[None])[torch.from_numpy(part)])
        return VideoClip(torch.stack(frames).to(times.device), times)

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

    def _training_means(self) -> dict[int | None, Tensor]:
        """A part without frames, or a pixel without values, gets the mean of the origin's other parts."""
        sums: dict[int | None, tuple[np.ndarray, np.ndarray]] = {}
        for clip in data_of(self).whole_clips("train"):
            part, known = self._part(clip.times), np.isfinite(clip.frames)
            values = np.where(known, clip.frames, 0.0)
            for origin in (None,) if self.parts == 1 else (None, clip.origin):
                empty = np.zeros((self.parts, *clip.frames.shape[1:]))
                total, count = sums.setdefault(origin, (empty, empty.copy()))
                np.add.at(total, part, values)
                np.add.at(count, part, known)
        if not sums:
            raise UserError("The data have no training clips to average. Choose data with some.")
        means: dict[int | None, Tensor] = {}
        for origin, (total, count) in sums.items():
            whole = total.sum(axis=0) / np.maximum(count.sum(axis=0), 1)
            mean = np.where(count > 0, total / np.maximum(count, 1), whole)
            means[origin] = torch.from_numpy(mean.astype(np.float32))
        return means
