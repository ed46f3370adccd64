"""MODE-GAN's figures of frames and motions, drawn from tiny untrained models on bouncing balls."""

import csv
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from benchmarks.figures.base import Trained
from benchmarks.figures.mode_gan import (
    FrameRateGrids,
    MotionAgainstAppearance,
    MotionTransfer,
    RealFrames,
    SideBySide,
    page,
    spread,
)
from benchmarks.figures.mode_gan_motion import DistanceByFrameRate, KeypointTrails
from benchmarks.figures.mode_gan_pendulum import PendulumCurves
from benchmarks.records.parts import Measurement
from benchmarks.utils.errors import UserError
from datamodules.bouncing_balls import BouncingBalls
from datamodules.sampling import Regular
from datamodules.storage.video import read_video
from support.mode_gan_maker import joined, motion
from support.record_maker import make_record

BALLS = {
    "class_path": "datamodules.bouncing_balls.BouncingBalls",
    "init_args": {
        "train_clips": 2, "val_clips": 2, "test_clips": 2, "size": 16, "batch_size": 2,
        "sampling": {"class_path": "datamodules.sampling.Regular", "init_args": {"num_frames": 16, "start": "first"}},
    },
}  # fmt: skip


def row(group: str, model: dict[str, Any] | None = None, **changes: Any) -> Trained:
    return replace(Trained("MODE-GAN", group, 0, {"model": model or joined(), "data": BALLS}, None, []), **changes)


def looks(path: Path) -> None:
    """A picture with something in it."""
    pixels = np.asarray(Image.open(path).convert("L"))
    assert min(pixels.shape) > 30
    assert pixels.std() > 1


@pytest.fixture(autouse=True)
def seeded() -> None:
    torch.manual_seed(0)


def test_samples_stand_side_by_side_under_real_clips(tmp_path: Path) -> None:
    figure = SideBySide(samples=1, fps=20.0, seconds=0.4, shown=4)
    files = figure.draw([row("KTH"), row("KTH", label="another"), row("UvA"), row("UvA", seed=1)], tmp_path)
    assert [file.name for file in files] == ["kth.png", "uva.png"]
    for file in files:
        looks(file)


def test_motion_and_appearance_are_fixed_in_turn(tmp_path: Path) -> None:
    files = MotionAgainstAppearance(fixed="both", blocks=2, lines=2, seconds=0.25).draw([row("MUG")], tmp_path)
    assert [file.name for file in files] == ["mug-fixed-motion.png", "mug-fixed-appearance.png"]
    looks(files[0])


def test_a_motion_goes_to_another_data_set(tmp_path: Path) -> None:
    (file,) = MotionTransfer(pairs=[("MUG", "UvA")], seconds=0.25).draw([row("MUG"), row("UvA")], tmp_path)
    assert file.name == "mug-to-uva.png"
    looks(file)
    with pytest.raises(UserError, match="'KTH'"):
        MotionTransfer(pairs=[("MUG", "KTH")]).draw([row("MUG")], tmp_path)
    with pytest.raises(UserError, match="needs a ModeGAN"):
        MotionTransfer(pairs=[("MUG", "UvA")]).draw([row("MUG", motion()), row("UvA")], tmp_path)


def test_frame_rates_move(tmp_path: Path) -> None:
    files = FrameRateGrids(rates=[16.0, 40.0], seconds=0.5, samples=2, groups=["a"]).draw(
        [row("a"), row("b", motion())], tmp_path
    )
    assert [file.name for file in files] == ["a-16fps.gif", "a-40fps.gif", "a.png"]
    assert [len(read_video(file, channels=3).frames) for file in files[:2]] == [8, 20]
    assert read_video(files[0], channels=3).frames.shape[-2:] == (16, 32)
    looks(files[2])
    with pytest.raises(UserError, match="without frames"):
        FrameRateGrids(rates=[16.0]).draw([row("b", motion())], tmp_path)


def test_real_frames_are_those_of_the_exam(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    printed: list[tuple[str, Sequence[np.ndarray]]] = []

    def recorded(lines: Sequence[tuple[str, Sequence[np.ndarray]]], path: Path) -> Path:
        printed.extend(lines)
        return page(lines, path)

    monkeypatch.setattr("benchmarks.figures.mode_gan.page", recorded)
    (file,) = RealFrames(samples=2, shown=4).draw([row("balls")], tmp_path)
    looks(file)
    data = BouncingBalls(2, 2, 2, size=16, sampling=Regular(num_frames=16, start="first"))
    clips = data.source("test").read(np.arange(2), np.array([[0, 5, 10, 15]] * 2))
    for (label, (strip,)), clip in zip(printed, clips, strict=True):
        assert label == "balls"
        np.testing.assert_array_equal(strip, np.concatenate(clip[:, 0], axis=1)[..., None].repeat(3, axis=2))


def test_poses_of_a_second_are_drawn_and_listed(tmp_path: Path) -> None:
    picture, numbers = KeypointTrails(samples=2, fps=64.0).draw([row("KTH", motion())], tmp_path)
    looks(picture)
    lines = list(csv.reader(numbers.open()))
    assert len(lines) == 1 + 2 * 64 * 3
    assert lines[0] == ["row", "motion", "seconds", "joint", "x", "y"]


def test_real_poses_stand_above_at_their_own_times(tmp_path: Path) -> None:
    picture, numbers = KeypointTrails(samples=1, fps=64.0, data=True).draw([row("balls", motion())], tmp_path)
    looks(picture)
    lines = list(csv.DictReader(numbers.open()))
    real = [line for line in lines if line["row"] == "real"]
    assert len(real) == 16 * 3
    assert len(lines) == len(real) + 64 * 3
    seconds = sorted({float(line["seconds"]) for line in real})
    assert seconds == pytest.approx([frame * seconds[1] for frame in range(16)])


def test_a_metric_is_drawn_over_the_frame_rate(tmp_path: Path) -> None:
    def at(fps: float | None, value: float | None) -> Any:
        entry = Measurement.missing("no weights", higher_is_better=False)
        if value is not None:
            entry = Measurement(value, 8, higher_is_better=False)
        return make_record(task={"name": "generate", "fps": fps}, metrics={"fvd": entry})

    rows = [row("W", seed=seed, records=[at(None, 1.0), at(24.0, 3.0 + seed)]) for seed in (0, 1)]
    numbers, picture = sorted(DistanceByFrameRate("fvd").draw(rows, tmp_path))
    looks(picture)
    assert [line[2:] for line in csv.reader(numbers.open())][1:] == [
        ["16.0", "1.0"], ["16.0", "1.0"], ["24.0", "3.0"], ["24.0", "4.0"],
    ]  # fmt: skip
    (alone,) = DistanceByFrameRate("fvd").draw([row("W", records=[at(20.0, None)])], tmp_path)
    assert alone.suffix == ".csv"
    with pytest.raises(UserError, match="have no fid"):
        DistanceByFrameRate("fid").draw(rows, tmp_path)


def test_the_pendulums_figure_refuses_other_models(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="not trained on pendulums"):
        PendulumCurves().draw([row("", motion())], tmp_path)


def test_frames_are_spread_evenly() -> None:
    frames = (torch.arange(9.0) / 4 - 1)[:, None, None, None].expand(-1, 1, 2, 2)
    assert spread(frames, 3)[0, ::2, 0].tolist() == [0, 128, 255]
    assert spread(frames, 100).shape == (2, 18, 3)
