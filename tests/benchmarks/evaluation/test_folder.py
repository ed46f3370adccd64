"""Folder evaluation: batches of one size, and the same numbers as metrics that are updated clip by clip."""

import gc
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.testing import assert_close

from benchmarks.commands.evaluate_metrics import build_metric
from benchmarks.evaluation import feature_stream, folder
from benchmarks.evaluation.video_files import find_clips
from benchmarks.metrics.features.extractor import UntrainedFeatures
from benchmarks.metrics.fid import FrechetInceptionDistance
from benchmarks.metrics.fvd import FrechetVideoDistance
from benchmarks.metrics.names import SETS
from datamodules.clip import VideoClip
from support.tiny_videos import unit, videos


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def test_clips_of_several_sizes_keep_their_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feature_stream, "AT_ONCE", 2)
    sizes = [16, 16, 16, 24, 16]
    for index, size in enumerate(sizes):
        np.save(tmp_path / f"{index}.npy", videos(index, count=1, size=size)[0])
    clips = find_clips(tmp_path)
    network = UntrainedFeatures()
    stream = feature_stream.FeatureStream(network, False, feature_stream.Reading(frames=4), "cpu")
    ours = torch.cat(list(stream.rows(clips, "")))
    theirs = torch.cat([network(unit(videos(i, count=1, size=size)[:, :4])) for i, size in enumerate(sizes)])
    assert_close(ours, theirs)


def test_every_metric_of_sets_sees_the_same_features(tmp_path: Path) -> None:
    for index, side in enumerate(("a", "b")):
        np.save(tmp_path / f"{side}.npy", videos(index, count=20))
    untrained = {"class_path": "benchmarks.metrics.features.extractor.UntrainedFeatures"}
    configs = [dict(config) for config in SETS.values()]
    for config in configs:
        if "network" in config["init_args"]:
            config["init_args"] = {**config["init_args"], "network": untrained}
    built = [build_metric(config, 4, 20) for config in configs]
    metrics = list({metric.name: metric for metric in built}.values())  # those that differ by their network are one
    sides = (find_clips(tmp_path / f"{side}.npy") for side in ("a", "b"))
    ours = folder.FolderEvaluation(*sides, feature_stream.Reading(frames=4)).measure(metrics)
    clips = [VideoClip(unit(videos(index, count=20)[:, :4]), torch.arange(4.0).expand(20, -1)) for index in (0, 1)]
    for metric in metrics:
        metric.reset()
        metric.update(*clips, torch.arange(20) << 24)
        value = float(metric.compute())
        assert ours[metric.name].value == (None if math.isnan(value) else pytest.approx(value, rel=1e-5))
    assert set(ours) == {metric.name for metric in metrics}


WIDTH = 23


def numbers_of_features() -> int:
    """How many numbers all matrices hold that are features of clips or frames, of this test's width."""
    found = {}
    for one in gc.get_objects():
        if type(one) is torch.Tensor and one.ndim == 2 and one.shape[1] in (WIDTH, 4 * WIDTH):
            storage = one.untyped_storage()
            found[storage.data_ptr()] = storage.nbytes() // one.element_size()
    return sum(found.values())


@pytest.mark.parametrize(("apart", "cached"), [(False, True), (True, False)])
def test_the_features_in_memory_do_not_grow_with_the_clips(
    apart: bool, cached: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A distance of frames keeps as many rows as its cap says, whatever the number of clips."""
    monkeypatch.setattr(feature_stream, "PART", 16)
    most: dict[int, int] = {}
    for count in (32, 96):
        sides = []
        for index, side in enumerate(("a", "b")):
            np.save(tmp_path / f"{side}{count}.npy", videos(index, count=count))
            sides.append(find_clips(tmp_path / f"{side}{count}.npy"))
        seen: list[int] = []

        def build(kind: Any, cap: int, count: int = count) -> Any:
            given = {"frames": 4, "clips": count, "cap": cap, **({"reference_clips": count} if apart else {})}
            return kind(UntrainedFeatures(width=WIDTH), **given)

        def measured(cap: int, sides: Any = sides) -> Any:
            metrics = [build(FrechetInceptionDistance, cap), build(FrechetVideoDistance, cap)]
            evaluation = folder.FolderEvaluation(*sides, feature_stream.Reading(frames=4), apart=apart)
            return {name: one.value for name, one in evaluation.measure(metrics).items()}

        whole = measured(50_000) if cached else None
        gc.collect()
        with monkeypatch.context() as patch:
            call = UntrainedFeatures.__call__
            patch.setattr(
                UntrainedFeatures,
                "__call__",
                lambda self, frames, call=call, seen=seen: (seen.append(numbers_of_features()), call(self, frames))[1],
            )
            streamed = measured(16)
        assert streamed == pytest.approx(whole or measured(50_000), rel=1e-6)
        most[count] = max(seen)
    assert most[96] == most[32]
