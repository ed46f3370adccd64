"""Clips of the page show what was simulated and predicted, frame by frame at every rate."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from baselines.linear_blend import LinearBlend
from benchmarks.cli import benchmarks
from benchmarks.leaderboard.clips import render
from benchmarks.utils.errors import UserError
from datamodules.bouncing_balls import BouncingBallsSource
from datamodules.clip import VideoClip

SPEC = """
galleries:
  - title: t
    data: DATA
    finer_data: [frame_rate=40, length=9]
    task: {class_path: benchmarks.evaluation.tasks.Interpolate, init_args: {stride: 2}}
    frames: 5
    finer: 2
    clips: [1]
    rows:
      - {label: linear blend, model: {class_path: baselines.linear_blend.LinearBlend}}
"""
DATA = """
class_path: datamodules.bouncing_balls.BouncingBalls
init_args:
  {length: 5, train_clips: 1, val_clips: 1, test_clips: 2,
   sampling: {class_path: datamodules.sampling.Regular, init_args: {num_frames: 5}}}
"""


@pytest.fixture
def spec(tmp_path: Path) -> Path:
    (tmp_path / "data.yaml").write_text(DATA)
    path = tmp_path / "spec.yaml"
    path.write_text(SPEC.replace("DATA", str(tmp_path / "data.yaml")))
    return path


def test_sheets_hold_target_and_prediction_at_the_fine_times(spec: Path, tmp_path: Path) -> None:
    written = render(spec, tmp_path / "clips")
    assert [path.name for path in written] == ["0-1-target.webp", "0-1-linear_blend.webp"]
    index = json.loads((tmp_path / "clips" / "clips.json").read_text())["galleries"][0]
    assert (index["rate"], index["finer"], index["observed"]) == (20.0, 2, [1, 0, 1, 0, 1])
    target = BouncingBallsSource(range(2_000_000, 2_000_002), 9, 40.0).read(np.array([1]), np.arange(9)[None])[0]
    assert (frames(written[0], index) == target).all()
    context = torch.from_numpy(target[::4].astype(np.float32))[None] / 127.5 - 1
    times = torch.arange(9)[None] / 40
    blend = LinearBlend().interpolate(VideoClip(context, times[:, ::4]), times)
    theirs = blend.frames[0].add(1).mul(127.5).round().byte()
    assert (frames(written[1], index) == theirs.numpy()).all()


def test_a_second_rendering_leaves_no_old_sheet(spec: Path, tmp_path: Path) -> None:
    folder = tmp_path / "clips"
    render(spec, folder)
    spec.write_text(spec.read_text().replace("clips: [1]", "clips: [0]"))
    assert {path.name for path in render(spec, folder)} == {path.name for path in folder.glob("*.webp")}


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("finer: 2", "fine: 2", "Unknown key of a gallery 'fine'. Did you mean 'finer'"),
        ("length=9", "length=8", "9 times"),
        (
            "Interpolate, init_args: {stride: 2}",
            "Predict, init_args: {context: 2}",
            "does not answer the task 'predict'",
        ),
        ("model: {class_path: baselines.linear_blend.LinearBlend}", "checkpoint: nowhere.ckpt", "nowhere.ckpt"),
        ("{label: linear blend, model", "{label: linear blend, modle", "and either a `checkpoint` or a `model`"),
        ("    frames: 5\n", "", "lacks the key 'frames'"),
        ("frames: 5", "frames: five", "must be a whole number; got 'five'"),
        ("frames: 5", "frames: 1", "at least 2 `frames`"),
        (
            "tasks.Interpolate",
            "tasks.Interpolat",
            "tasks.Interpolat'. Did you mean 'benchmarks.evaluation.tasks.Interpolate'",
        ),
        ("stride: 2", "strid: 2", "strid"),
        ("clips: [1]", "clips: [2]", "no clip 2 in the test split: it has 2"),
        ("galleries:\n  - title: t", "galleries: 3\nrest:\n  - title: t", "must be a list of galleries"),
    ],
)
def test_a_wrong_file_is_explained(spec: Path, tmp_path: Path, old: str, new: str, message: str) -> None:
    spec.write_text(spec.read_text().replace(old, new))
    with pytest.raises(UserError) as caught:
        render(spec, tmp_path / "clips")
    assert message in str(caught.value)


def test_rendering_and_checking_exclude_each_other(spec: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        benchmarks(["leaderboard", f"--render={spec}", "--check"])
    assert "--render writes and --check writes nothing" in capsys.readouterr().err


def frames(sheet: Path, index: dict[str, int]) -> np.ndarray:
    height, width = 32, 32
    pixels = np.asarray(Image.open(sheet).convert("L"))
    columns = index["columns"]
    cut = pixels.reshape(-1, height, columns, width).transpose(0, 2, 1, 3).reshape(-1, 1, height, width)
    return cut[: (index["frames"] - 1) * index["finer"] + 1]
