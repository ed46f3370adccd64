"""Videos from two noises: motion and appearance by their seeds, slow motion, negative times, reversal."""

import argparse
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.testing import assert_close

from benchmarks.cli import benchmarks
from benchmarks.commands.sample.cli import add_arguments, main
from benchmarks.commands.sample.motion_appearance import TimeWarp, frame_times, generate_frames, mode_gan, time_warp
from benchmarks.utils.errors import UserError
from datamodules.storage.video import read_video
from lightning_modules.checkpoints.build import build, save
from lightning_modules.mode_gan import ModeGAN, join
from support.mode_gan_maker import RNN, motion, video


@pytest.fixture
def files(tmp_path: Path) -> dict[str, str]:
    """A motion, an appearance, and another pair joined."""
    torch.manual_seed(0)
    systems = {
        "motion": build(motion()),
        "video": build(video(channels=3)),
        "joined": join(build(motion()), build(video(channels=3))),
    }
    for name, system in systems.items():
        save(system, tmp_path / f"{name}.safetensors")
    return {name: str(tmp_path / f"{name}.safetensors") for name in systems}


def ask(words: list[str]) -> int:
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    parser.set_defaults(device="cpu")
    return main(parser.parse_args(words))


def test_moments_are_closer_where_the_motion_is_slowed() -> None:
    assert_close(frame_times(1.0, 4.0), [0.0, 0.25, 0.5, 0.75])
    assert_close(frame_times(1.0, 4.0, [TimeWarp(0.25, 0.75, 2.0)]), [0.0, 0.25, 0.375, 0.5, 0.625, 0.75])
    assert_close(frame_times(0.25, 4.0, start=-0.5), [-0.5, -0.25, 0.0])
    assert len(frame_times(10.0, 60.0)) == 600
    with pytest.raises(UserError, match="outside of the clip"):
        frame_times(1.0, 4.0, [TimeWarp(2.0, 3.0, 2.0)])
    with pytest.raises(UserError, match=r"No frame begins within --time-warp 0.3-0.4: .* 0.25 s apart"):
        frame_times(1.0, 4.0, [TimeWarp(0.3, 0.4, 2.0)])
    with pytest.raises(UserError, match="more than 100,000 frames"):
        frame_times(10.0, 1e5)


def test_slow_motion_is_read_from_the_command() -> None:
    assert time_warp("0.4-0.6*4") == time_warp(".4s - .6s * 4") == TimeWarp(0.4, 0.6, 4)
    for wrong in ("0.6-0.4*4", "0.4*4", "0.4-0.6*0.5", "x"):
        with pytest.raises(argparse.ArgumentTypeError, match="FROM-TO"):
            time_warp(wrong)


def test_the_stages_of_any_two_files_are_joined(files: dict[str, str]) -> None:
    """The motion of one with the appearance of another, and each the one it was, whatever file it came from."""
    pure, mixed = mode_gan(files["joined"], files["joined"]), mode_gan(files["motion"], files["joined"])
    one, other = mode_gan(files["motion"], files["video"]), mode_gan(files["joined"], files["video"])
    times, seeds = (torch.arange(5) / 16)[None], torch.tensor([3])
    with torch.no_grad():
        moves = [system.move(times, seeds=seeds).keypoints for system in (pure, mixed, one, other)]
        drawings = [
            system.video.render(one.move(times, seeds=seeds), seeds=seeds) for system in (pure, mixed, one, other)
        ]
    assert torch.equal(moves[0], moves[3])
    assert torch.equal(moves[1], moves[2])
    assert not torch.equal(moves[0], moves[1])
    assert torch.equal(drawings[0].frames, drawings[1].frames)
    assert torch.equal(drawings[2].frames, drawings[3].frames)
    assert not torch.equal(drawings[0].frames, drawings[2].frames)
    assert isinstance(one, ModeGAN)


def test_shared_moments_agree_whatever_lies_between(files: dict[str, str]) -> None:
    system = mode_gan(files["motion"], files["video"])
    plain = generate_frames(system, frame_times(0.5, 16.0), 1, 2)
    slow = generate_frames(system, frame_times(0.5, 16.0, [TimeWarp(0.125, 0.25, 4.0)], start=-0.25), 1, 2)
    assert (len(plain), len(slow)) == (8, 8 + 6 + 4)
    assert_close(slow[4:7], plain[:3], atol=1e-4, rtol=0)
    assert_close(slow[-4:], plain[-4:], atol=1e-4, rtol=0)
    assert not torch.equal(plain, generate_frames(system, frame_times(0.5, 16.0), 1, 3))


def test_the_command_writes_the_clip_and_the_clip_backwards(files: dict[str, str], tmp_path: Path) -> None:
    words = ["--motion-from", files["motion"], "--appearance-from", files["video"], "--fps", "20", "--length", "0.5"]
    assert ask([*words, "--out", str(tmp_path / "a.gif"), "--time-warp", "0.1-0.2*2", "--scale", "2"]) == 0
    assert ask([*words, "--out", str(tmp_path / "b.gif"), "--time-warp", "0.1-0.2*2", "--scale", "2", "--reverse"]) == 0
    there, back = (read_video(tmp_path / name, channels=3).frames for name in ("a.gif", "b.gif"))
    assert there.shape == (12, 3, 32, 32)
    np.testing.assert_array_equal(there, back[::-1])


def test_what_cannot_be_drawn_is_said_in_a_line(files: dict[str, str], tmp_path: Path) -> None:
    out = ["--out", str(tmp_path / "x.mp4")]
    for words, line in (
        ([files["video"], files["video"]], "--motion-from must be a trained motion_gan"),
        ([files["motion"], files["motion"]], "--appearance-from must be a trained motion_to_video_gan"),
        ([files["motion"], str(tmp_path / "none.ckpt")], "no checkpoint"),
    ):
        with pytest.raises(UserError, match=line):
            ask([*out, "--motion-from", words[0], "--appearance-from", words[1]])
    broken = tmp_path / "broken.ckpt"
    torch.save({"state_dict": torch.zeros(9999)}, broken)
    broken.write_bytes(broken.read_bytes()[:20_000])
    for words, line in (
        (["--input", "clip.mp4"], "--input needs an input clip"),
        (["--context", "3"], "--context needs an input clip"),
        (["--checkpoint", "x.ckpt"], "--checkpoint has no effect"),
        (["--inbetween", "a.png"], "--inbetween needs key frames"),
        (["--length", "0s"], "must be above 0s"),
        (["--motion-seed", "9" * 30], "--motion-seed must fit into 64 bits"),
        (["--appearance-from", str(broken)], "broken.ckpt is not a checkpoint that can be read"),
    ):
        with pytest.raises(UserError, match=line):
            ask([*out, "--motion-from", files["joined"], *words])
    for name, config, line in (
        ("five", motion(joints=5), "3 keypoints, the motion has 5"),
        ("rnn", motion(dynamics=RNN, width=4), "times on its grid"),
    ):
        save(build(config), tmp_path / f"{name}.safetensors")
        with pytest.raises(UserError, match=line):
            ask([*out, "--motion-from", str(tmp_path / f"{name}.safetensors"), "--appearance-from", files["video"]])


def test_the_front_door(files: dict[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`benchmarks sample --motion-from A --appearance-from B --fps 60 --out x.mp4`."""
    out = tmp_path / "x.mp4"
    words = ["sample", "--motion-from", files["motion"], "--appearance-from", files["joined"], "--fps", "60"]
    with pytest.raises(SystemExit) as stop:
        benchmarks([*words, "--length", "500ms", "--motion-seed", "3", "--out", str(out), "--device", "cpu"])
    assert stop.value.code == 0
    assert len(read_video(out, channels=3).frames) == 30
    assert "30 frames, from 0.00 s to 0.48 s of the motion" in capsys.readouterr().out
    for name, line in (
        ("motion", "use it as --motion-from"),
        ("video", "use it as --appearance-from"),
    ):
        with pytest.raises(SystemExit) as stop:
            benchmarks(["sample", "--checkpoint", files[name], "--out", str(out)])
        assert stop.value.code == 2
        assert line in capsys.readouterr().err


def test_a_joined_checkpoint_alone_draws_what_it_draws_as_a_motion(files: dict[str, str], tmp_path: Path) -> None:
    words = ["--fps", "20", "--length", "0.3", "--start", "-0.1", "--seed", "3"]
    assert ask([*words, "--checkpoint", files["joined"], "--out", str(tmp_path / "a.gif")]) == 0
    assert ask([*words, "--motion-from", files["joined"], "--out", str(tmp_path / "b.gif")]) == 0
    ours, theirs = (read_video(tmp_path / name, channels=3).frames for name in ("a.gif", "b.gif"))
    assert len(ours) == 8
    np.testing.assert_array_equal(ours, theirs)
