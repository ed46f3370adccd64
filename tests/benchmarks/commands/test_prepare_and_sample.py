"""`benchmarks prepare` and `benchmarks sample`: the real commands on tiny clips and a tiny network."""

import argparse
from pathlib import Path

import numpy as np
import pytest
import torch

from benchmarks.cli import benchmarks
from benchmarks.commands.sample.common import seconds, signed_seconds
from datamodules.storage.video import read_video
from datamodules.storage.video_writer import write_video
from lightning_modules.checkpoints.build import build, save


def run(*words: str) -> int:
    with pytest.raises(SystemExit) as end:
        benchmarks(list(words))
    return int(end.value.code or 0)


def moving_square(length: int, size: int = 32) -> np.ndarray:
    frames = np.zeros((length, 3, size, size), dtype=np.uint8)
    for index in range(length):
        frames[index, :, 8:16, 4 + index : 12 + index] = 255
    return frames


def tiny(training: str, channels: int = 3) -> dict:
    field = {"class_path": "lightning_modules.dynamics.ConvField", "init_args": {"channels": 8, "hidden": 4}}
    parts = "lightning_modules.networks.vid_ode_parts"
    encoder = {"class_path": f"{parts}.ODEConvGRU", "init_args": {"channels": 8, "field": field}}
    dynamics = {"class_path": "lightning_modules.dynamics.LatentODE", "init_args": {"field": field}}
    network = {"channels": channels, "width": 2, "encoder": encoder, "dynamics": dynamics}
    generator = {"class_path": "lightning_modules.networks.vid_ode.VidODENetwork", "init_args": network}
    arguments = {"generator": generator, "training": training, "observe": 4, "decode_interval": 0.1}
    return {"class_path": "lightning_modules.vid_ode.VidODE", "init_args": arguments}


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    path = tmp_path / "mine.mp4"
    write_video(path, moving_square(9), 10)
    return path


def checkpoint(folder: Path, training: str, channels: int = 3) -> Path:
    torch.manual_seed(0)
    path = folder / f"{training}-{channels}.safetensors"
    save(build(tiny(training, channels)), path)
    return path


def test_a_clip_is_shown_at_four_times_its_rate_and_keeps_its_own_frames(tmp_path: Path, clip: Path) -> None:
    out = tmp_path / "out.mp4"
    network = checkpoint(tmp_path, "interpolate")
    assert run("sample", f"--checkpoint={network}", f"--input={clip}", "--fps=40", f"--out={out}") == 0
    video = read_video(out)
    assert len(video.times) == 33  # 0.8 s at 40 a second, both ends
    assert video.times[-1] == pytest.approx(0.8, abs=1e-3)
    given = read_video(clip).frames[::2].astype(float)  # the codec blurs a little, the network a lot
    assert np.abs(video.frames[::8].astype(float) - given).mean() < 6


def test_a_clip_is_continued_for_as_long_as_asked(tmp_path: Path, clip: Path) -> None:
    out = tmp_path / "out.gif"
    network = checkpoint(tmp_path, "extrapolate")
    words = ["sample", f"--checkpoint={network}", f"--input={clip}", "--predict=500ms", f"--out={out}", "--scale=2"]
    assert run(*words) == 0
    video = read_video(out)
    assert len(video.times) == 4 + 5
    assert video.frames.shape[-2:] == (64, 64)


def test_slow_motion_plays_slower(tmp_path: Path, clip: Path) -> None:
    out = tmp_path / "out.mp4"
    network = checkpoint(tmp_path, "interpolate")
    assert (
        run("sample", f"--checkpoint={network}", f"--input={clip}", "--fps=20", "--playback-speed=0.5", f"--out={out}")
        == 0
    )
    assert read_video(out).times[-1] == pytest.approx(1.6, abs=1e-3)


def test_a_data_set_gives_the_clip(tmp_path: Path) -> None:
    out = tmp_path / "out.gif"
    network = checkpoint(tmp_path, "extrapolate", channels=1)
    data = tmp_path / "balls.yaml"
    data.write_text(
        "class_path: datamodules.bouncing_balls.BouncingBalls\n"
        "init_args: {train_clips: 1, val_clips: 1, test_clips: 2, batch_size: 1,\n"
        "  sampling: {class_path: datamodules.sampling.Regular, init_args: {num_frames: 20, start: first}}}\n"
    )
    words = ["sample", f"--checkpoint={network}", f"--input={data}", "--clip=1", "--predict=0.2s", f"--out={out}"]
    assert run(*words) == 0
    assert len(read_video(out).times) == 4 + 4


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--input=nothing.mp4"], "nothing.mp4"),
        (["--fps=-3"], "--fps must be positive"),
        (["--predict=soon"], "a time is written 2s"),
        (["--start=99s"], "has no frame from 99 s on"),
        (["--predict=1s", "--context=20"], "the clip has 9"),
        (["--out=out.avi"], "must be a file that ends in .mp4 or .gif"),
        (["--out=/dev/null/x.mp4"], "--out cannot be written"),
        (["--trust=no_such_package"], "'no_such_package' is none"),
        (["--device=abacus"], "--device abacus is not available; available: cpu"),
        (["--fps=1e9"], "at most 100,000"),
        (["--seed=99999999999999999999"], "must fit into 64 bits"),
        (["--input=configs/model/vid_ode.yaml"], "lightning_modules.vid_ode.VidODE is no ClipDataModule"),
        (["--input=configs/trainer/cpu.yaml"], "describes no data"),
    ],
)
def test_mistakes_are_one_line(
    tmp_path: Path, clip: Path, words: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    network = checkpoint(tmp_path, "extrapolate")
    defaults = {"--checkpoint": network, "--input": clip, "--out": tmp_path / "out.mp4", "--predict": "1s"}
    named = {word.partition("=")[0] for word in words}
    asked = [f"{option}={value}" for option, value in defaults.items() if option not in named]
    assert run("sample", *asked, *words) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1


def test_a_checkpoint_that_is_none_is_refused(tmp_path: Path, clip: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--fps=40", f"--input={clip}", f"--out={tmp_path / 'o.gif'}"]
    assert run("sample", f"--checkpoint={tmp_path / 'no.ckpt'}", *words) == 2
    assert "There is no checkpoint at" in capsys.readouterr().err


def test_times_are_read_with_their_units() -> None:
    assert [seconds(text) for text in ("2s", "500ms", "1.5", ".5s")] == [2.0, 0.5, 1.5, 0.5]
    assert [signed_seconds(text) for text in ("-0.5s", "-200ms", "2")] == [-0.5, -0.2, 2.0]
    with pytest.raises(argparse.ArgumentTypeError, match="negative"):
        seconds("-1s")


def test_a_folder_is_prepared_and_its_splits_are_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for split in ("train", "val", "test"):
        (tmp_path / "videos" / split).mkdir(parents=True)
        for index in range(2):
            picture = np.roll(moving_square(12), 3 * index + len(split), axis=-2)
            write_video(tmp_path / "videos" / split / f"{index}.mp4", picture, 25)
    assert run("prepare", str(tmp_path / "videos"), "--size=16", f"--set=root={tmp_path / 'data'}") == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[:4] for line in lines[-3:]] == [[s, "2", "clips", "24"] for s in ("train", "val", "test")]
    assert list((tmp_path / "data").iterdir())


def test_a_mistyped_setting_is_answered_with_the_nearest(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("prepare", "moving_shapes", "--set=sice=32") == 2
    assert "Did you mean 'size'?" in capsys.readouterr().err


def test_a_refused_setting_is_answered_with_the_rule_alone(capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("bouncing_balls", "weizmann"):
        assert run("prepare", name, "--size=0") == 2
        error = capsys.readouterr().err
        assert "at least" in error
        assert error.rstrip().endswith("got 0.")
        assert len(error) < 200
    assert run("prepare", "weizmann", "--set=size=wide") == 2
    assert "wide" in (error := capsys.readouterr().err)
    assert len(error) < 400


def test_the_task_must_be_given(tmp_path: Path, clip: Path, capsys: pytest.CaptureFixture[str]) -> None:
    network, out = checkpoint(tmp_path, "interpolate"), tmp_path / "out.mp4"
    assert run("sample", f"--checkpoint={network}", f"--input={clip}", f"--out={out}") == 2
    assert "--fps 120" in capsys.readouterr().err
    folder = tmp_path / "folder.gif"
    folder.mkdir()
    assert run("sample", f"--checkpoint={network}", f"--input={clip}", "--fps=40", f"--out={folder}") == 2
    assert "must be a file" in capsys.readouterr().err


def test_simulated_pendulums_are_prepared_by_name(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("prepare", "pendulum", "--set=train_clips=70", "--set=test_clips=9") == 0
    assert "70 clips" in capsys.readouterr().out
    assert run("inspect", "pendulum") == 2
    assert "pendulum has no pictures to show" in capsys.readouterr().err


def test_a_folder_whose_name_is_a_data_sets_is_meant_with_a_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "configs").symlink_to(Path.cwd() / "configs")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "kth").mkdir()
    assert run("prepare", "kth", "--set=download=false", f"--set=root={tmp_path}") == 2
    assert "00sequences" in capsys.readouterr().err
    assert run("prepare", "./kth", f"--set=root={tmp_path}") == 2
    assert "have no videos" in capsys.readouterr().err
    assert run("inspect", "./films") == 2
    assert "There is no folder ./films. Name one with videos" in capsys.readouterr().err


def test_a_misspelt_option_is_named_before_a_missing_one(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("sample", "--chekpoint=x.ckpt") == 2
    assert "--chekpoint" in capsys.readouterr().err
    assert run("sample", "--checkpoint=x.ckpt", "--input=a.mp4", "--fps=40") == 2
    assert "--out is missing" in capsys.readouterr().err
