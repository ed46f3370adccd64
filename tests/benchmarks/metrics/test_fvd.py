"""FVD: a distance of sets, free of order and repetition, named by its protocol, with an interval."""

from typing import Any

import pytest
import torch
from torch import Tensor

from benchmarks.metrics.features.extractor import I3DFeatures, UntrainedFeatures
from benchmarks.metrics.frechet import frechet_distance
from benchmarks.metrics.fvd import FrechetVideoDistance
from datamodules.clip import VideoClip, sample_id


def clip(frames: Tensor) -> VideoClip:
    return VideoClip(frames, torch.arange(float(frames.shape[1])).expand(frames.shape[0], -1))


def pair(count: int) -> tuple[VideoClip, VideoClip, Tensor]:
    generator = torch.Generator().manual_seed(0)
    target = torch.rand(count, 4, 1, 8, 8, generator=generator) * 2 - 1
    ids = torch.tensor([sample_id(source, 0) for source in range(count)])
    return clip(target.flip(1) * 0.7), clip(target), ids


def metric(**settings: Any) -> FrechetVideoDistance:
    return FrechetVideoDistance(UntrainedFeatures(), **{"frames": 4, **settings})


def test_it_is_the_distance_of_the_features() -> None:
    prediction, target, ids = pair(30)
    fvd, network = metric(), UntrainedFeatures()
    for part in ids.split(7):
        rows = (part >> 24).tolist()
        fvd.update(clip(prediction.frames[rows]), clip(target.frames[rows]), part)
    expected = frechet_distance(network(prediction.frames), network(target.frames))
    assert float(fvd.compute()) == pytest.approx(expected, rel=1e-6)
    measurement = fvd.measurement()
    assert measurement.value == float(fvd.compute())
    assert measurement.n == 30
    assert measurement.interval is not None
    assert measurement.interval[0] < measurement.value < measurement.interval[1]
    assert metric().network.name in fvd.name


def test_order_and_repetition_do_not_matter() -> None:
    prediction, target, ids = pair(12)
    straight, shuffled = metric(), metric()
    for i in range(12):
        straight.update(clip(prediction.frames[[i]]), clip(target.frames[[i]]), ids[[i]])
    for i in (3, 7, 3, *(j for j in range(11, -1, -1) if j not in (3, 7)), 0):
        shuffled.update(clip(prediction.frames[[i]]), clip(target.frames[[i]]), ids[[i]])
    assert straight.measurement() == shuffled.measurement()


def test_the_name_is_the_protocol() -> None:
    assert FrechetVideoDistance(clips=2048).name == "fvd2048_16f_i3d_logits"
    assert FrechetVideoDistance(I3DFeatures("mixed5c"), frames=10, ddof=0).name == "fvd_10f_i3d_mixed5c_ddof0"
    assert FrechetVideoDistance().protocol["resize"] == "224x224 bilinear antialiased"
    assert metric().name == "no_fvd_4f_untrained_seed0"  # what comes of an untrained network cannot be taken for an FVD


def test_a_fixed_number_of_clips_is_kept_to() -> None:
    prediction, target, ids = pair(20)
    fixed, chosen = metric(clips=10), metric()
    fixed.update(prediction, target, ids)
    chosen.update(clip(prediction.frames[::2]), clip(target.frames[::2]), ids[::2])
    assert fixed.measurement().n == 10
    assert fixed.compute() == pytest.approx(float(chosen.compute()), rel=1e-6)
    too_few = metric(clips=21)
    too_few.update(prediction, target, ids)
    with pytest.warns(UserWarning, match=r"21 clips.* 20"):
        measurement = too_few.measurement()
    assert measurement.value is None
    assert measurement.interval is None


def test_what_does_not_fit_is_refused() -> None:
    prediction, target, ids = pair(2)
    with pytest.raises(ValueError, match="clips of 5 frames; these have 4"):
        metric(frames=5).update(prediction, target, ids)
    with pytest.raises(ValueError, match=r"\[-1, 1\]"):
        metric().update(clip(prediction.frames * 255), target, ids)
    with pytest.raises(ValueError, match="at least 9 frames"):
        FrechetVideoDistance(frames=8)


@pytest.mark.parametrize("level", [-1.0, 1.0])
def test_untrained_features_tell_nearly_uniform_clips_apart(level: float) -> None:
    clip = torch.full((1, 4, 3, 16, 16), level)
    other = clip * 0.9
    features = UntrainedFeatures()(torch.cat([clip, other]))
    assert float((features[0] - features[1]).abs().max()) > 0.01
    assert float(features.abs().min()) < 0.9  # not all units saturate
