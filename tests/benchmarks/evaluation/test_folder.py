"""Folder evaluation: batches of one size, and the same numbers as metrics that are updated clip by clip."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.testing import assert_close

from benchmarks.commands import evaluate as evaluate_module
from benchmarks.evaluation import folder
from benchmarks.evaluation.video_files import find_clips
from benchmarks.metrics.features.extractor import UntrainedFeatures
from benchmarks.metrics.names import SETS
from datamodules.clip import VideoClip
from support.tiny_videos import unit, videos


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def test_clips_of_several_sizes_keep_their_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(folder, "AT_ONCE", 2)
    sizes = [16, 16, 16, 24, 16]
    for index, size in enumerate(sizes):
        np.save(tmp_path / f"{index}.npy", videos(index, count=1, size=size)[0])
    clips = find_clips(tmp_path)
    evaluation = folder.FolderEvaluation(clips, clips, folder.Reading(frames=4))
    network = UntrainedFeatures()
    ours = evaluation._features(network, False, clips, "")
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
    built = [evaluate_module.build_metric(config, 4, 20) for config in configs]
    metrics = list({metric.name: metric for metric in built}.values())  # those that differ by their network are one
    sides = (find_clips(tmp_path / f"{side}.npy") for side in ("a", "b"))
    ours = folder.FolderEvaluation(*sides, folder.Reading(frames=4)).measure(metrics)
    clips = [VideoClip(unit(videos(index, count=20)[:, :4]), torch.arange(4.0).expand(20, -1)) for index in (0, 1)]
    for metric in metrics:
        metric.reset()
        metric.update(*clips, torch.arange(20) << 24)
        value = float(metric.compute())
        assert ours[metric.name].value == (None if math.isnan(value) else pytest.approx(value, rel=1e-5))
    assert set(ours) == {metric.name for metric in metrics}
