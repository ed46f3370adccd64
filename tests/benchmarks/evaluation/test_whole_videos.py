"""Inbetweening scored on whole videos: prediction and target contain the observed ends, and the record says so."""

from pathlib import Path

import pytest
import torch
from torch.testing import assert_close

from benchmarks.evaluation.tasks import Inbetween
from benchmarks.lightning_cli import main
from benchmarks.metrics.reference import MSE
from benchmarks.records.record import read_record
from datamodules.clip import Batch, VideoClip

torch.set_num_threads(1)


def batch() -> Batch:
    frames = torch.arange(6.0)[:, None, None, None].expand(2, 6, 1, 4, 4) / 6
    clip = VideoClip(frames, torch.arange(6.0).expand(2, -1))
    return Batch(clip, torch.arange(2), torch.arange(2), torch.full((2,), -1), torch.ones(2, 6, dtype=torch.bool))


@pytest.mark.parametrize("count", [1, 2])
def test_the_shown_frames_stand_in_their_places(count: int) -> None:
    data, task = batch(), Inbetween(count=count, whole=True)
    query = task.make_query(data, VideoClip)
    prediction = VideoClip(torch.full_like(query.target.frames, -1.0), query.times)  # type: ignore[union-attr]
    ours, theirs = task.compose_full_clip(query, prediction), task.compose_full_clip(query, query.target)
    assert isinstance(ours, VideoClip)
    assert isinstance(theirs, VideoClip)
    assert torch.equal(theirs.frames, data.clip.frames)  # type: ignore[union-attr]
    assert torch.equal(theirs.times, data.clip.times)
    predicted = ours.frames[:, :, 0, 0, 0] == -1
    assert predicted[0].tolist() == [count <= index < 6 - count for index in range(6)]
    assert Inbetween(count=count).compose_full_clip(query, prediction) is prediction


def test_a_frames_mean_counts_the_exact_ends() -> None:
    query = Inbetween(whole=True).make_query(batch(), VideoClip)
    prediction = VideoClip(torch.zeros_like(query.target.frames), query.times)  # type: ignore[union-attr]
    values = []
    for whole in (False, True):
        metric = MSE()
        task = Inbetween(whole=whole)
        metric.update(task.compose_full_clip(query, prediction), task.compose_full_clip(query, query.target), query.ids)
        values.append(metric.compute())
    assert_close(values[1], values[0] * 4 / 6)


def test_the_protocol_names_the_number_of_samples(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    sampling = "{class_path: datamodules.sampling.Regular, init_args: {num_frames: 6, start: first}}"
    Path("blend.yaml").write_text(
        "model: {class_path: baselines.linear_blend.LinearBlend}\n"
        "data:\n  class_path: datamodules.moving_shapes.MovingShapes\n"
        f"  init_args: {{size: 16, train_clips: 1, val_clips: 1, test_clips: 2, batch_size: 1, sampling: {sampling}}}\n"
        "trainer: {accelerator: cpu, devices: 1, enable_progress_bar: false, enable_model_summary: false}\n"
        "evaluation:\n  num_samples: 2\n  gallery: 1\n"
        "  tasks: [{class_path: benchmarks.evaluation.tasks.Inbetween, init_args: {whole: true}}]\n"
        "  metrics: [{class_path: benchmarks.metrics.reference.MSE}]\n"
    )
    assert main(["test", "--config=blend.yaml"]) == 0
    (file,) = Path("runs").rglob("record.json")
    record = read_record(file)
    assert record.protocol.id.startswith("inbetween-2to4-gen2")
    assert record.protocol.settings["task"]["whole"] is True
    assert record.protocol.settings["frames"] == 6
