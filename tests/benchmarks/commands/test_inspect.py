from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from benchmarks.cli import benchmarks
from benchmarks.commands.inspect import movement, previews
from datamodules.bouncing_balls import BouncingBalls
from datamodules.clip import Batch, KeypointClip
from datamodules.sampling import Regular
from datamodules.storage.video import read_video


def run(*words: str) -> int:
    with pytest.raises(SystemExit) as end:
        benchmarks(["inspect", *words])
    return int(end.value.code or 0)


def batch(frames: torch.Tensor, points: torch.Tensor) -> Batch:
    count, time = frames.shape[:2]
    times = torch.arange(time).expand(count, time) / 10
    clip = KeypointClip(frames, times, points, torch.ones(points.shape[:-1]))
    ids = torch.arange(count)
    return Batch(clip, ids, ids, torch.zeros_like(ids), torch.ones(count, time, dtype=torch.bool))


def test_a_sheet_and_a_film_are_written_and_compared(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--clips=3", "--frames=5", f"--out={tmp_path}"]
    assert run("bouncing_balls", "moving_shapes", *words) == 0, capsys.readouterr().err
    assert "movement: " in capsys.readouterr().out
    with Image.open(tmp_path / "bouncing_balls-train.png") as sheet:
        assert sheet.size == (5 * 97, 3 * (97 + 14 + 2))
    film = read_video(tmp_path / "moving_shapes-train.gif")
    assert len(film.frames) == 16
    assert film.times[-1] == pytest.approx(15 / 16, abs=0.02)
    with Image.open(tmp_path / "movement.png") as both:
        assert both.height == 96 + 128 + 2 * (1 + 14 + 14 + 2)


def test_dots_stand_on_the_joints_and_what_is_missing_is_grey() -> None:
    frames = -torch.ones(1, 2, 1, 48, 48)
    example = batch(frames, torch.tensor([[[[-1.0, 1.0]], [[0.0, 0.0]]]]))
    clip = previews(example)[0].frames
    assert clip.shape == (2, 96, 96, 3)
    rows, columns = np.nonzero(clip[0].any(axis=-1))
    assert rows.max() == 95
    assert columns.min() == 0
    assert rows.min() > 90
    rows, columns = np.nonzero(clip[1].any(axis=-1))
    assert abs(rows.mean() - 47.5) <= 1
    assert abs(columns.mean() - 47.5) <= 1
    lost = example._replace(present=torch.tensor([[True, False]]), valid=torch.zeros(1, 2, 1, 48, 48, dtype=torch.bool))
    assert (previews(lost)[0].frames[1, :30] == 128).all()


def test_movement_is_what_changes() -> None:
    frames = torch.zeros(1, 3, 1, 5, 9)
    frames[0, 1:] = 0.2
    points = torch.tensor([[[[0.0, 0.0]], [[0.5, 0.0]], [[0.5, 0.5]]]])
    moved = movement(batch(frames, points))
    assert moved.pixels == pytest.approx(0.2 * 127.5 / 2)
    assert moved.per_second == pytest.approx(10 * moved.pixels, rel=1e-4)
    assert moved.joints == pytest.approx((0.5 * 4 + 0.5 * 2) / 2)
    still = movement(batch(torch.zeros(1, 3, 1, 5, 9), torch.zeros(1, 3, 1, 2)))
    assert still == (0, 0, 0)


def test_what_has_no_pictures_is_refused(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert run("bouncing_balls", "--clips=0") == 2
    assert "--clips and --frames must be at least 1" in capsys.readouterr().err


def test_augmented_as_in_training() -> None:
    from benchmarks.commands.inspect import first_batch
    from datamodules.augmentation import Augmentation

    rule = Regular(num_frames=4)
    plain = first_batch(BouncingBalls(sampling=rule, train_clips=8), "train", 4)
    turned = first_batch(
        BouncingBalls(sampling=rule, train_clips=8, augmentation=Augmentation(rotate_degrees=0.0)), "train", 4
    )
    assert torch.equal(plain.ids, turned.ids)
    changed = (plain.clip.frames != turned.clip.frames).flatten(1).any(1)
    assert 0 < int(changed.sum()) <= 4
