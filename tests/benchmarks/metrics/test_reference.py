"""Paired metrics: equal to independent implementations, free of order, strict about ranges."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from skimage.metrics import peak_signal_noise_ratio, structural_similarity
from torch import Tensor
from torch.testing import assert_close
from torchmetrics.functional.image import peak_signal_noise_ratio as torchmetrics_psnr

from benchmarks.metrics.reference import (
    MSE,
    PSNR,
    SSIM,
    PooledPSNR,
    ReferenceMetric,
    VidODESSIM,
    check_pair,
    squared_error,
)
from benchmarks.utils.errors import UserError
from datamodules.clip import VideoClip, sample_id

ALL = [MSE, PSNR, PooledPSNR, SSIM, VidODESSIM]
SHAPES = [(1, 11, 11), (1, 32, 32), (3, 24, 37)]


def clip(frames: Tensor) -> VideoClip:
    return VideoClip(frames, torch.arange(float(frames.shape[1])).expand(frames.shape[0], -1))


def ids_of(count: int) -> Tensor:
    return torch.tensor([sample_id(source, 0) for source in range(count)])


def random_pair(count: int, shape: tuple[int, int, int], seed: int = 0) -> tuple[VideoClip, VideoClip]:
    """White noise, and the same disturbed."""
    generator = torch.Generator().manual_seed(seed)
    target = torch.rand(count, 4, *shape, generator=generator) * 2 - 1
    return clip((target + 0.3 * torch.randn(target.shape, generator=generator)).clamp(-1, 1)), clip(target)


def smooth_pair(count: int, shape: tuple[int, int, int], seed: int = 0) -> tuple[VideoClip, VideoClip]:
    """Like real video: bright flat areas, edges, slow gradients; the prediction is late and blurred."""
    generator = torch.Generator().manual_seed(seed)
    height, width = shape[-2:]
    y, x = torch.meshgrid(torch.linspace(0, 1, height), torch.linspace(0, 1, width), indexing="ij")
    phase = torch.rand(count, 5, shape[0], 1, 1, generator=generator)
    movie = 0.9 + 0.1 * torch.sin(6 * (x + y + phase)) - 1.6 * ((x - phase) ** 2 + (y - 0.5) ** 2 < 0.05).float()
    late = (movie[:, :-1] + movie[:, 1:]) / 2
    return clip(late.clamp(-1, 1)), clip(movie[:, 1:].clamp(-1, 1))


PAIRS = [random_pair, smooth_pair]


def images(sample: VideoClip) -> np.ndarray:
    """Frames as scikit-image wants them: float64 (N, H, W, C) in [0, 1]."""
    return ((sample.frames.double() + 1) / 2).flatten(0, 1).movedim(1, -1).numpy()


def measured(metric: ReferenceMetric, prediction: VideoClip, target: VideoClip) -> np.ndarray:
    metric.update(prediction, target, ids_of(len(target.frames)))
    return metric.kept("values")[1].flatten().numpy()


@pytest.mark.parametrize("pair", PAIRS)
@pytest.mark.parametrize("shape", SHAPES)
def test_ssim_equals_scikit_images(shape: tuple[int, int, int], pair: Any) -> None:
    prediction, target = pair(2, shape)
    theirs = [
        structural_similarity(
            a,
            b,
            data_range=1.0,
            gaussian_weights=True,
            use_sample_covariance=False,
            channel_axis=-1,
            win_size=11,
            sigma=1.5,
        )
        for a, b in zip(images(prediction), images(target), strict=True)
    ]
    np.testing.assert_allclose(measured(SSIM(), prediction, target), theirs, rtol=0, atol=1e-9)


def test_ssim_of_a_batch_does_not_depend_on_how_it_is_cut() -> None:
    prediction, target = random_pair(9, (3, 128, 128))  # more pixels than are worked on at once
    whole = measured(SSIM(), prediction, target)
    parts = [measured(SSIM(), clip(prediction.frames[[i]]), clip(target.frames[[i]])) for i in range(9)]
    np.testing.assert_array_equal(whole, np.concatenate(parts))


@pytest.mark.parametrize("pair", PAIRS)
@pytest.mark.parametrize("shape", SHAPES)
def test_vid_ode_ssim_equals_scikit_image_on_grey_png(shape: tuple[int, int, int], pair: Any, tmp_path: Path) -> None:
    from torchvision.utils import save_image

    prediction, target = pair(1, shape)

    def grey(sample: VideoClip, index: int) -> np.ndarray:
        save_image((sample.frames[0, index] + 1) / 2, tmp_path / "frame.png")
        return np.asarray(Image.open(tmp_path / "frame.png").convert("L"))

    theirs = [
        structural_similarity(
            grey(prediction, i), grey(target, i), data_range=255, gaussian_weights=True, use_sample_covariance=False
        )
        for i in range(4)
    ]
    np.testing.assert_allclose(measured(VidODESSIM(), prediction, target), theirs, rtol=0, atol=1e-9)


def test_psnr_of_frames_equals_scikit_images_and_pooled_equals_torchmetrics() -> None:
    prediction, target = random_pair(3, (3, 16, 16))
    a, b = images(prediction), images(target)
    theirs = [peak_signal_noise_ratio(q, p, data_range=1.0) for p, q in zip(a, b, strict=True)]
    np.testing.assert_allclose(measured(PSNR(), prediction, target), theirs, rtol=1e-12)
    pooled = PooledPSNR()
    pooled.update(prediction, target, ids_of(3))
    assert_close(pooled.compute(), torchmetrics_psnr(torch.tensor(a), torch.tensor(b), data_range=1.0))
    assert pooled.compute() < np.mean(theirs)  # Jensen


@pytest.mark.parametrize("cells", [1, 2000, 10**9])
def test_frames_are_measured_a_few_at_a_time_without_a_trace(cells: int, monkeypatch: pytest.MonkeyPatch) -> None:
    prediction, target = random_pair(3, (3, 16, 16))
    monkeypatch.setattr("benchmarks.metrics.reference._CELLS", cells)
    apart = (prediction.frames - target.frames).double().numpy() / 2
    assert_close(squared_error(prediction, target), torch.tensor((apart**2).mean((2, 3, 4))), rtol=1e-14, atol=0)


def test_mse_is_of_intensities_from_zero_to_one() -> None:
    metric = MSE()
    metric.update(clip(torch.full((1, 2, 1, 4, 4), -1.0)), clip(torch.full((1, 2, 1, 4, 4), 1.0)), ids_of(1))
    assert metric.compute() == 1


def test_exact_frames_count_100_dB_and_leave_the_mean_finite() -> None:
    prediction, target = random_pair(1, (1, 16, 16))
    prediction.frames[0, 0] = target.frames[0, 0]
    values = measured(metric := PSNR(), prediction, target)
    assert values[0] == 100
    assert_close(metric.compute(), torch.tensor((100 + values[1:].sum()) / 4))


@pytest.mark.parametrize("metric", ALL)
def test_a_perfect_prediction_is_best(metric: type[ReferenceMetric]) -> None:
    prediction, target = random_pair(2, (3, 16, 16))
    worse, best = metric(), metric()
    worse.update(prediction, target, ids_of(2))
    best.update(target, target, ids_of(2))
    assert (best.compute() > worse.compute()) == metric.higher_is_better
    assert_close(
        best.compute(), torch.tensor({"mse": 0.0, "ssim": 1.0}.get(best.name.partition("_")[0], 100.0)).double()
    )


@pytest.mark.parametrize("metric", ALL)
def test_neither_order_nor_repetition_of_clips_matters(metric: type[ReferenceMetric]) -> None:
    prediction, target = random_pair(5, (1, 16, 16))
    straight, shuffled = metric(), metric()
    straight.update(prediction, target, ids_of(5))
    for group in ([4, 1], [0, 1], [3], [2, 0]):  # 0 and 1 come twice
        shuffled.update(clip(prediction.frames[group]), clip(target.frames[group]), ids_of(5)[group])
    assert straight.measurement() == shuffled.measurement()
    assert straight.measurement().n == 5


def test_several_samples_of_a_clip_are_averaged() -> None:
    first, target = random_pair(2, (1, 16, 16), seed=0)
    second, _ = random_pair(2, (1, 16, 16), seed=1)
    both, one, other = SSIM(), SSIM(), SSIM()
    for metric, samples in ((both, [first, second]), (one, [first]), (other, [second])):
        for sample in samples:
            metric.update(sample, target, ids_of(2))
    assert_close(both.compute(), (one.compute() + other.compute()) / 2)


@pytest.mark.parametrize("metric", ALL)
def test_the_summary_agrees_with_its_parts(metric: type[ReferenceMetric]) -> None:
    prediction, target = random_pair(12, (1, 16, 16))
    measure = metric()
    measure.update(prediction, target, ids_of(12))
    measurement = measure.measurement()
    assert measurement.value == measure.compute()
    assert measurement.interval is not None
    assert measurement.interval[0] < measurement.value < measurement.interval[1]
    assert len(measurement.per_frame or []) == target.frames.shape[1]
    ids, _, values = measure.per_clip()
    assert ids.tolist() == ids_of(12).tolist()
    alone = metric()
    alone.update(clip(prediction.frames[[3]]), clip(target.frames[[3]]), ids_of(12)[[3]])
    assert values[3] == pytest.approx(float(alone.compute()))
    assert alone.measurement().interval is None  # one source says nothing of the spread


def test_no_clip_gives_no_number() -> None:
    measurement = SSIM().measurement()
    assert measurement.value is None
    assert measurement.n == 0


@pytest.mark.parametrize("metric", ALL)
@pytest.mark.parametrize(("low", "high"), [(0.0, 255.0), (-3.0, 1.0), (float("nan"), 0.0)])
def test_frames_out_of_range_are_refused_by_name(metric: type[ReferenceMetric], low: float, high: float) -> None:
    good = clip(torch.zeros(1, 2, 1, 16, 16))
    bad = clip(torch.linspace(low, high, 512).reshape(1, 2, 1, 16, 16))
    with pytest.raises(ValueError, match=r"\[-1, 1\]; those of the prediction reach"):
        metric().update(bad, good, ids_of(1))
    with pytest.raises(ValueError, match=r"\[-1, 1\]; those of the target reach"):
        metric().update(good, bad, ids_of(1))


def test_what_does_not_fit_together_is_refused() -> None:
    frames = torch.zeros(2, 3, 1, 16, 16)
    with pytest.raises(ValueError, match="must fit together"):
        MSE().update(clip(frames), clip(frames[:, :2]), ids_of(2))
    with pytest.raises(ValueError, match="must fit together"):
        MSE().update(clip(frames), clip(frames), ids_of(1))
    with pytest.raises(ValueError, match="no pixels"):
        MSE().update(clip(frames[:, :, :0]), clip(frames[:, :, :0]), ids_of(2))
    with pytest.raises(ValueError, match="11 x 11"):
        SSIM().update(clip(frames[..., :10]), clip(frames[..., :10]), ids_of(2))
    metric = MSE()
    metric.update(clip(frames), clip(frames), ids_of(2))
    with pytest.raises(ValueError, match="same number of frames"):
        metric.update(clip(frames[:, :2]), clip(frames[:, :2]), ids_of(2))


@pytest.mark.parametrize("swapped", [False, True])
def test_one_side_in_zero_to_one_is_named(swapped: bool) -> None:
    """Intensities in [0, 1] against the same ones in [-1, 1], and uint8, are errors; a plain or bright clip is not."""
    frames = torch.rand(2, 3, 1, 12, 12, generator=torch.Generator().manual_seed(0))
    times = torch.arange(3.0).expand(2, -1)
    ids = torch.arange(2)

    def check(prediction: torch.Tensor, target: torch.Tensor) -> None:
        sides = (target, prediction) if swapped else (prediction, target)
        check_pair(*(VideoClip(side, times) for side in sides), ids)

    target = 2 * frames - 1
    whose = "target" if swapped else "prediction"
    with pytest.raises(UserError, match=rf"those of the {whose} reach from .* They become 2 \* x - 1"):
        check(frames, target)
    with pytest.raises(UserError, match=r"are torch\.uint8"):
        check((255 * frames).to(torch.uint8), target)
    check(torch.zeros_like(target), target)
    check(0.4 + frames / 2, target)
    check(target.abs().clamp(max=0.6), target)
