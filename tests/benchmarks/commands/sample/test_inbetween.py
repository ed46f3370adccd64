"""Pictures to one video: `benchmarks sample --inbetween`, its key frames, its frame count and its mistakes."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch.testing import assert_close

from baselines.linear_blend import LinearBlend
from baselines.repeat_last import RepeatLast
from benchmarks.cli import benchmarks
from benchmarks.commands.sample.inbetween import fill_between, read_pictures
from benchmarks.utils.errors import UserError
from datamodules.storage.video import read_video
from lightning_modules.checkpoints.build import build, save
from lightning_modules.inbetweening import Inbetweening

torch.set_num_threads(1)

PARTS = "lightning_modules.networks"


def config(channels: int = 3, size: int = 16, frames: int = 8) -> dict[str, Any]:
    small: dict[str, Any] = {"channels": channels, "size": size, "width": 4}
    generator = small | {"frames": frames, "latent": 4, "noise": 4, "blocks": 2}
    return {
        "class_path": "lightning_modules.inbetweening.Inbetweening",
        "init_args": {
            "generator": {"class_path": f"{PARTS}.inbetweening.InbetweeningNetwork", "init_args": generator},
            "video_critic": {
                "class_path": f"{PARTS}.inbetweening_critics.VideoCritic",
                "init_args": small | {"frames": frames},
            },
            "image_critic": {"class_path": f"{PARTS}.inbetweening_critics.ImageCritic", "init_args": small},
        },
    }


def network(**arguments: int) -> Inbetweening:
    torch.manual_seed(0)
    system = build(config(**arguments)).eval()
    assert isinstance(system, Inbetweening)
    return system


@pytest.fixture
def strip(tmp_path: Path) -> list[str]:
    """Three pictures of different shapes: red, green, blue, a white bar on the left of each."""
    paths = []
    for number, (height, width) in enumerate([(40, 40), (30, 50), (64, 48)]):
        pixels = np.zeros((height, width, 3), dtype=np.uint8)
        pixels[..., number] = 200
        path = tmp_path / f"{number}.png"
        Image.fromarray(pixels).save(path)
        paths.append(str(path))
    return paths


def asked(**changes: Any) -> dict[str, Any]:
    return {"fps": 25.0, "gap": None, "size": None, "seed": 0, "device": "cpu"} | changes


def test_a_strip_of_pictures_becomes_one_video_with_each_picture_in_its_place(strip: list[str]) -> None:
    system = network()
    with torch.inference_mode():
        frames = fill_between(system, strip, **asked())
        again = fill_between(system, strip, **asked(fps=10.0))
        other = fill_between(system, strip, **asked(seed=1))
    assert frames.shape == (15, 3, 16, 16)  # 3 key frames and twice 6 between
    keys = read_pictures(system, strip)[0]
    assert torch.equal(frames[::7], keys)
    for number in range(3):
        assert_close(keys[number].mean((1, 2)), torch.eye(3)[number] * 400 / 255 - 1, atol=0.02, rtol=0)
    assert_close(frames, again)  # the rate is how fast it plays
    assert not torch.equal(frames[1:7], other[1:7])
    assert not torch.equal(frames[1:7], frames[8:14])


def test_a_grey_model_sees_grey_pictures(strip: list[str]) -> None:
    assert read_pictures(network(channels=1), strip).shape == (1, 3, 1, 16, 16)


def test_a_system_that_interpolates_fills_any_gap_at_the_pictures_own_shape(strip: list[str]) -> None:
    with torch.inference_mode():
        frames = fill_between(LinearBlend(), strip[1:], **asked(gap=0.4, fps=10.0))
    keys = read_pictures(LinearBlend(), strip[1:])[0]
    assert keys.shape == (2, 3, 32, 48)
    weights = torch.linspace(0, 1, 5)[:, None, None, None]
    assert_close(frames, keys[0] * (1 - weights) + keys[1] * weights)


def test_a_size_is_the_shorter_side(strip: list[str]) -> None:
    assert read_pictures(LinearBlend(), strip, size=64).shape == (1, 3, 3, 64, 64)


@pytest.mark.parametrize(("count", "changes", "message"), [
    (1, {}, "two pictures or more; got 1"),
    (2, {"size": 32}, "--size must be 16"),
    (2, {"gap": 0.6}, "generates 6 frames .* 0.6 s at 25 .* 15 steps instead of 7. Ask for --fps 11.6667, or leave"),
    (2, {"gap": 0.0}, "above 0 s; got 0s"),
])  # fmt: skip
def test_what_cannot_be_drawn_is_refused(strip: list[str], count: int, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        fill_between(network(), strip[:count], **asked(**changes))


def test_a_system_of_any_time_is_asked_for_whole_frames(strip: list[str]) -> None:
    with pytest.raises(UserError, match=r"a whole number of frames; 0.59 s at 25 .* are 14.75. Ask for --gap 0.6s"):
        fill_between(LinearBlend(), strip, **asked(gap=0.59))


def test_the_rate_that_a_refusal_names_is_drawn(strip: list[str]) -> None:
    with torch.inference_mode():
        assert len(fill_between(network(), strip[:2], **asked(gap=0.6, fps=11.6667))) == 8


def test_files_that_are_no_pictures_are_refused(strip: list[str], tmp_path: Path) -> None:
    text = tmp_path / "text.png"
    text.write_text("no picture")
    moving = tmp_path / "moving.gif"
    pages = [Image.new("RGB", (16, 16), (shade, 0, 0)) for shade in (0, 100, 200)]
    pages[0].save(moving, save_all=True, append_images=pages[1:], duration=100)
    for path, message in ((str(text), "text.png"), (str(moving), "has 3 frames"), ("none.png", "none.png")):
        with pytest.raises(UserError, match=message):
            fill_between(network(), [strip[0], path], **asked())


def test_a_system_without_a_verb_is_refused(strip: list[str]) -> None:
    with pytest.raises(UserError, match="implements neither"):
        fill_between(RepeatLast(), strip, **asked())


def run(*words: str) -> int:
    with pytest.raises(SystemExit) as end:
        benchmarks(["sample", *words])
    return int(end.value.code or 0)


def test_the_command_makes_one_video_of_a_strip(
    strip: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    checkpoint, out = tmp_path / "net.safetensors", tmp_path / "story.mp4"
    save(network(), checkpoint)
    words = [f"--checkpoint={checkpoint}", f"--out={out}", "--device=cpu"]
    assert run(*words, "--inbetween", *strip) == 0
    assert "15 frames, 3 given and 6 between each two" in capsys.readouterr().out
    video = read_video(out)
    assert len(video.times) == 15
    assert video.times[-1] == pytest.approx(14 / 25, abs=1e-3)
    for mistake, message in (
        (["--inbetween", strip[0]], "two pictures or more; got 1"),
        (["--gap=1s"], "--inbetween is missing"),
        (["--inbetween", *strip, "--predict=1s"], "--predict needs an input clip"),
        (["--inbetween", *strip, "--start=1s"], "--start needs an input clip"),
        (["--inbetween", *strip, "--reverse"], "--reverse needs unconditional generation"),
        (["--inbetween", *strip, "--motion-seed=0"], "--motion-seed needs unconditional generation"),
        (["--inbetween", *strip, "--gap=soon"], "a time is written 2s"),
    ):
        assert run(*words, *mistake) == 2
        error = capsys.readouterr().err
        assert message in error
        assert error.count("\n") == 1
