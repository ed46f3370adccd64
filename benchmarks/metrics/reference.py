"""Metrics that compare a prediction with its target frame by frame: MSE, PSNR and SSIM."""

from abc import ABC, abstractmethod
from typing import Any, ClassVar

import torch
from jaxtyping import Float, Int
from torch import Tensor

from benchmarks.metrics.gathered import GatheredMetric
from benchmarks.metrics.ssim import structural_similarity
from benchmarks.records.clip_scores import PerClip
from benchmarks.records.parts import Measurement
from benchmarks.utils.by_source import mean_interval
from benchmarks.utils.errors import UserError
from datamodules.clip import Sample

PerFrame = Float[Tensor, "batch time"]
PEAK = 100.0
"""The PSNR of frames that agree exactly, in dB: the mean squared error is taken to be 1e-10 at least."""
_CELLS = 1 << 16
_SAME_RANGE = 0.25
"""How far two ranges of frames may be apart, at both ends together, to be taken for one."""


class ReferenceMetric(GatheredMetric, ABC):
    """The mean over clips and frames of a value per frame.

    Every value is kept in float64 with its clip's id, so the result depends neither on the order of the clips nor on
    the number of processes, and has an interval over sources (`benchmarks.utils.by_source.mean_interval`).
    """

    def __init__(self, **kwargs: Any) -> None:
        super().__init__("values", **kwargs)

    @abstractmethod
    def measure(self, sample: Sample, target: Sample) -> PerFrame:
        """The value of each frame of each clip, float64."""

    def finish(self, mean: Float[Tensor, "*any"]) -> Float[Tensor, "*any"]:
        """The reported value of a mean: the mean itself, except for a pooled PSNR."""
        return mean

    def update(self, sample: Sample, target: Sample, ids: Int[Tensor, " batch"]) -> None:
        """Measure a batch and keep the values.

        Raises:
            UserError: if sample, target and ids do not fit together, or frames are not in [-1, 1].
        """
        check_pair(sample, target, ids)
        self.keep("values", ids, self.measure(sample, target))

    def compute(self) -> Float[Tensor, ""]:
        """The value over all clips and frames."""
        return self._mean(self.kept("values")[1])

    def measurement(self) -> Measurement:
        """The value, its 95 % interval over sources, and its values per frame.

        Every process must call it.
        """
        with self.gathered():
            ids, values = self.kept("values")
            origins, sources = self.origins_of(ids).numpy(), self.sources_of(ids)
        means = values.double().mean(1, keepdim=True).numpy()
        return self._measured(
            value=float(self._mean(values)),
            n=len(ids),
            interval=mean_interval(means, origins, lambda found: self.finish(torch.from_numpy(found[..., 0])).numpy()),
            per_frame=self.finish(values.mean(0)).tolist() if len(ids) else None,
            sources=sources,
        )

    def per_clip(self) -> PerClip:
        """The value of each clip alone. Every process must call it."""
        with self.gathered():
            ids, values = self.kept("values")
            origins = self.origins_of(ids)
        return PerClip(ids.numpy(), origins.numpy(), self.finish(values.mean(1)).double().numpy())

    def _mean(self, values: Float[Tensor, "clip time"]) -> Float[Tensor, ""]:
        return self.finish(values.mean(1).mean())


class MSE(ReferenceMetric):
    """Mean squared error of intensities in [0, 1]."""

    name: ClassVar[str] = "mse"
    value_range: ClassVar[tuple[float, float]] = (0.0, 1.0)
    higher_is_better: bool = False

    def measure(self, sample: Sample, target: Sample) -> PerFrame:
        """The mean over pixels and channels."""
        return squared_error(sample, target)


class PSNR(ReferenceMetric):
    """Peak signal-to-noise ratio of each frame in dB, then the mean over frames: what most papers report.

    A frame that agrees exactly counts 100 dB (`PEAK`), since its ratio is infinite.
    """

    name: ClassVar[str] = "psnr_frames"
    value_range: ClassVar[tuple[float, float]] = (0.0, PEAK)
    higher_is_better: bool = True

    def measure(self, sample: Sample, target: Sample) -> PerFrame:
        """-10 log10 of the mean squared error, PEAK at most."""
        return decibel(squared_error(sample, target))


class PooledPSNR(ReferenceMetric):
    """The PSNR, in dB, of the mean squared error over all clips and frames: Vid-ODE's and torchmetrics' definition.

    Below `PSNR` by Jensen's inequality (23.3 against 24.3 dB on one clip); the two must never share a column.
    """

    name: ClassVar[str] = "psnr_pooled"
    value_range: ClassVar[tuple[float, float]] = (0.0, PEAK)
    higher_is_better: bool = True

    def measure(self, sample: Sample, target: Sample) -> PerFrame:
        """The squared error, whose mean becomes decibels."""
        return squared_error(sample, target)

    def finish(self, mean: Float[Tensor, "*any"]) -> Float[Tensor, "*any"]:
        """Decibels of a mean squared error."""
        return decibel(mean)


class SSIM(ReferenceMetric):
    """Structural similarity with Wang's window, on intensities in [0, 1]; colour: the mean over channels."""

    name: ClassVar[str] = "ssim"
    value_range: ClassVar[tuple[float, float]] = (-1.0, 1.0)
    higher_is_better: bool = True

    def measure(self, sample: Sample, target: Sample) -> PerFrame:
        """See `structural_similarity`."""
        return structural_similarity(_unit(sample), _unit(target), data_range=1.0).mean(-1)


class VidODESSIM(ReferenceMetric):
    """SSIM as Vid-ODE's released evaluation computes it: of frames saved as 8-bit PNG and read back in grey.

    The rounding is torchvision's `save_image`, the grey PIL's mode 'L' (evaluate.py of the released code).
    """

    name: ClassVar[str] = "ssim_vid_ode"
    value_range: ClassVar[tuple[float, float]] = (-1.0, 1.0)
    higher_is_better: bool = True

    def measure(self, sample: Sample, target: Sample) -> PerFrame:
        """SSIM of the grey images, data range 255."""
        return structural_similarity(_grey(sample), _grey(target), data_range=255.0).squeeze(-1)


def squared_error(sample: Sample, target: Sample) -> PerFrame:
    """The mean squared difference of each frame, of intensities in [0, 1]: squared and summed in float64.

    The difference is taken in the frames' own type, which rounds it by 6e-8 of itself at most; a copy of all frames in
    float64 takes ten times as long.
    """
    prediction, reference = (side.frames.flatten(0, 1).flatten(1) for side in (sample, target))  # type: ignore[union-attr]
    # a few frames at a time stay in the cache; memory for the differences of all is what most of the time would go to.
    # Two at least: a single one would be summed by several threads, in another order
    parts = 1 if prediction.is_cuda else max(1, len(prediction) // max(2, _CELLS // prediction.shape[1]))
    pairs = zip(prediction.tensor_split(parts), reference.tensor_split(parts), strict=True)
    norms = [torch.linalg.vector_norm(ours - theirs, dim=-1, dtype=torch.float64) for ours, theirs in pairs]
    squared = torch.cat(norms).square() / (4 * prediction.shape[1])  # intensities in [-1, 1] are twice as far apart
    return squared.unflatten(0, target.frames.shape[:2])  # type: ignore[union-attr]


def decibel(squared: Float[Tensor, "*any"]) -> Float[Tensor, "*any"]:
    """PSNR of a mean squared error of intensities in [0, 1], PEAK at most."""
    return -10 * squared.clamp(min=10 ** (-PEAK / 10)).log10()


def _unit(sample: Sample) -> Tensor:
    return (sample.frames.double() + 1) / 2  # type: ignore[union-attr]


def _grey(sample: Sample) -> Float[Tensor, "batch time 1 height width"]:
    """8-bit grey values as PIL's mode 'L' has them: ITU-R 601 luma in 16-bit fixed point."""
    # in float32, as the frames are when they are saved: a value half-way between two integers must round the same way
    pixels = ((sample.frames.float() + 1) / 2 * 255 + 0.5).floor().clamp(0, 255).double()  # type: ignore[union-attr]
    if pixels.shape[2] == 1:
        return pixels
    weights = torch.tensor([19595.0, 38470.0, 7471.0], dtype=pixels.dtype, device=pixels.device)
    luma = torch.einsum("btchw,c->bthw", pixels, weights)
    return ((luma + 32768) / 65536).floor()[:, :, None]


def check_pair(sample: Sample, target: Sample, ids: Int[Tensor, " batch"]) -> None:
    """Raise unless the frames can be compared; one device synchronisation for the limits of both ranges."""
    prediction, reference = sample.frames, target.frames  # type: ignore[union-attr]
    for whose, frames in (("prediction", prediction), ("target", reference)):
        if not frames.is_floating_point():
            raise UserError(
                f"Frames must be floats in [-1, 1]; those of the {whose} are {frames.dtype}. uint8 frames become "
                "x / 127.5 - 1."
            )
    if prediction.shape != reference.shape or len(ids) != len(reference):
        raise UserError(
            f"Prediction, target and ids must fit together; got frames of {tuple(prediction.shape)} and "
            f"{tuple(reference.shape)} and {len(ids)} ids."
        )
    if not prediction.numel():
        raise UserError(f"There are no pixels to compare in frames of {tuple(prediction.shape)}.")
    ends = torch.stack([*prediction.aminmax(), *reference.aminmax()]).tolist()
    for whose, low, high in (("prediction", *ends[:2]), ("target", *ends[2:])):
        if not (low >= -1 - 1e-3 and high <= 1 + 1e-3):  # written so that NaN is refused too
            raise UserError(
                f"Frames must lie in [-1, 1]; those of the {whose} reach from {low:.4g} to {high:.4g}. "
                "Frames in [0, 1] become 2 * x - 1, uint8 frames x / 127.5 - 1."
            )
    check_same_range((ends[0], ends[1]), (ends[2], ends[3]))


def check_same_range(prediction: tuple[float, float], target: tuple[float, float]) -> None:
    """Raise if one side seems to be in [0, 1] where the other is in [-1, 1].

    That is so where one side lies in [0, 1], the other goes well below 0, and both would have about the same darkest
    and brightest value if the first were 2 * x - 1. A plain grey or a bright clip is none such: its range would not be
    the other's.
    """
    sides = {"prediction": (prediction, target), "target": (target, prediction)}
    for whose, ((low, high), (other_low, other_high)) in sides.items():
        apart = abs(2 * low - 1 - other_low) + abs(2 * high - 1 - other_high)
        if low >= 0 and other_low < -0.5 and apart < _SAME_RANGE:
            raise UserError(
                f"Frames must lie in [-1, 1]; those of the {whose} reach from {low:.4g} to {high:.4g}, which is the "
                f"other side's range, {other_low:.4g} to {other_high:.4g}, as frames in [0, 1]. They become 2 * x - 1."
            )
