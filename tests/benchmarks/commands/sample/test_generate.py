"""Videos by a checkpoint alone: `benchmarks sample --checkpoint C --out x.mp4`, at any times that its motion knows."""

from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.testing import assert_close

from benchmarks.cli import benchmarks
from benchmarks.commands.sample.generate import TrainingClip, generate_frames, of_training, pixel_generator, way_out
from benchmarks.commands.sample.motion_appearance import TimeWarp, frame_times
from benchmarks.utils.errors import UserError
from datamodules.storage.video import read_video
from lightning_modules.checkpoints.build import build, save
from lightning_modules.dynamics.base import OffGridError
from lightning_modules.latent_dynamics import LatentDynamicsGAN

torch.set_num_threads(1)

DYNAMICS = "lightning_modules.dynamics"
NETWORKS = "lightning_modules.networks"
STEP = 0.0666667


def dynamics(name: str, **arguments: Any) -> dict[str, Any]:
    return {"class_path": f"{DYNAMICS}.{name}", "init_args": arguments}


GRU = dynamics("NoisyGRU", size=4, interval=STEP)
MEMBERS = {
    "ode": dynamics("parameter_matched_ode", size=4, parameters=200, order=2),
    "sde": dynamics("parameter_matched_sde", size=4, parameters=120),
    "gru": GRU,
    "blend": dynamics("Interpolated", interval=STEP, dynamics=GRU),
}


@cache
def member(name: str) -> LatentDynamicsGAN:
    """A system with this temporal generator, not to be changed."""
    return tgan() if name == "tgan" else mocogan(MEMBERS[name])


def mocogan(dynamics: dict[str, Any], categories: int = 0, seconds: float = 0.9375) -> LatentDynamicsGAN:
    parts = {"content": 6, "motion": 4, "categories": categories, "size": 32, "width": 4, "dynamics": dynamics}
    return _built(
        {"class_path": f"{NETWORKS}.mocogan.MoCoGANGenerator", "init_args": parts},
        {
            "class_path": f"{NETWORKS}.mocogan.MoCoGANVideoCritic",
            "init_args": {"size": 32, "width": 2, "categories": categories},
        },
        seconds,
    )


def tgan() -> LatentDynamicsGAN:
    deconvolution = dynamics("Deconvolution1d", code=8, size=8, width=4, interval=STEP)
    return _built(
        {
            "class_path": f"{NETWORKS}.tgan.TGANGenerator",
            "init_args": {"dynamics": deconvolution, "code": 8, "size": 32, "width": 4},
        },
        {"class_path": f"{NETWORKS}.tgan.TGANCritic", "init_args": {"size": 32, "width": 2}},
        0.9375,
    )


def _built(generator: dict[str, Any], critic: dict[str, Any], seconds: float) -> LatentDynamicsGAN:
    torch.manual_seed(0)
    arguments = {"seconds_per_unit": seconds, "generator": generator, "video_critic": critic}
    system = build({"class_path": "lightning_modules.latent_dynamics.LatentDynamicsGAN", "init_args": arguments}).eval()
    assert isinstance(system, LatentDynamicsGAN)
    *_, last = [part for part in system.network.modules() if isinstance(part, torch.nn.ConvTranspose2d)]
    with torch.no_grad():  # untrained networks draw grey
        last.weight.mul_(0.5 / generate_frames(system, [0.0], 0).std())
    return system


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """A checkpoint of each member."""
    folder = tmp_path_factory.mktemp("noise")
    places = {name: folder / f"{name}.safetensors" for name in (*MEMBERS, "tgan")}
    for name, place in places.items():
        save(member(name), place)
    return {name: str(place) for name, place in places.items()}


def run(*words: str) -> int:
    with pytest.raises(SystemExit) as stop:
        benchmarks(["sample", "--device=cpu", *words])
    assert isinstance(stop.value.code, int)
    return stop.value.code


def test_a_clip_is_as_long_and_as_fast_as_those_of_the_training() -> None:
    assert of_training(member("ode")) == of_training(member("gru")) == TrainingClip(16.0, 1.0)
    assert of_training(mocogan(MEMBERS["sde"], seconds=0.6)) == TrainingClip(25.0, 0.64)
    assert of_training(mocogan(dynamics("NoisyGRU", size=4, interval=0.125), seconds=2.0)) == TrainingClip(4.0, 4.0)


def test_four_times_the_frame_rate_shows_the_same_frames_at_the_old_moments() -> None:
    for name in ("ode", "sde", "blend"):
        system = member(name)
        coarse, fine = (generate_frames(system, frame_times(1.0, fps), 3) for fps in (16.0, 64.0))
        assert (len(coarse), len(fine)) == (16, 64)
        assert_close(fine[::4], coarse, atol=2e-4, rtol=1e-3)
        assert not torch.equal(fine[1], fine[0])
        assert_close(generate_frames(system, frame_times(2.0, 16.0), 3)[:16], coarse, atol=1e-5, rtol=1e-4)
        slow = generate_frames(system, frame_times(1.0, 16.0, [TimeWarp(0.25, 0.375, 4.0)]), 3)
        assert_close(torch.cat([slow[:4], slow[12:]]), torch.cat([coarse[:4], coarse[6:]]), atol=2e-4, rtol=1e-3)
        assert not torch.allclose(generate_frames(system, frame_times(1.0, 16.0), 4), coarse, atol=0.1)


def test_an_ode_starts_before_0_and_later_frames_do_not_change() -> None:
    system = member("ode")
    long, short = (generate_frames(system, frame_times(0.5, 16.0, start=start), 3) for start in (-0.25, 0.0))
    assert len(long) == 4 + len(short)
    assert_close(long[4:], short, atol=1e-5, rtol=1e-4)
    assert not torch.allclose(long[:4], long[5:9].flip(0), atol=0.01)  # no mirror of what follows


def test_a_category_is_drawn_by_the_seed() -> None:
    system = mocogan(MEMBERS["ode"], categories=3)
    ours = generate_frames(system, frame_times(0.25, 16.0), 3)
    theirs = [
        system.generate(torch.arange(4)[None] / 16, seeds=torch.tensor([3]), labels=torch.tensor([label])).frames[0]
        for label in range(3)
    ]
    assert sum(torch.allclose(ours, their, atol=1e-5) for their in theirs) == 1


def test_the_front_door(files: dict[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`benchmarks sample --checkpoint C --out x.mp4`, at another rate, longer, another seed, and backwards."""

    def clip(name: str, *words: str) -> np.ndarray:
        out = tmp_path / "clip.gif"
        assert run(f"--checkpoint={files[name]}", f"--out={out}", *words) == 0
        return read_video(out, channels=3).frames

    plain = clip("ode")
    assert plain.shape == (16, 3, 32, 32)
    assert "clip.gif: 16 frames, from 0.00 s to 0.94 s at 16 frames per second" in capsys.readouterr().out
    np.testing.assert_array_equal(clip("ode"), plain)
    np.testing.assert_array_equal(clip("ode", "--reverse"), plain[::-1])
    assert not np.array_equal(clip("ode", "--seed=1"), plain)
    assert len(clip("ode", "--fps=32", "--length=1500ms", "--start", "-0.5s")) == 64
    assert "from -0.50 s to 1.47 s" in capsys.readouterr().out
    assert clip("gru", "--length=2s", "--scale=2").shape == (32, 3, 64, 64)
    assert len(clip("sde", "--fps=40")) == 40
    assert len(clip("tgan")) == 16
    assert len(clip("ode", "--time-warp=0.25-0.5*3", "--playback-speed=0.5")) == 16 + 2 * 4
    said = capsys.readouterr().out
    assert "From 0.25 s to 0.5 s the motion is 3 times slower." in said
    assert "It plays at 0.5 times the speed, 8 frames per second." in said


@pytest.mark.parametrize(
    ("name", "words", "lines"),
    [
        ("gru", ["--fps=64"], ["NoisyGRU generates 16 frames per second", "Use --fps 16;"]),
        ("gru", ["--time-warp=0.1-0.5*2"], ["--time-warp asks for. Leave it out"]),
        ("gru", ["--start=-1s"], ["NoisyGRU does not support times before 0", "--start is -1 s"]),
        ("sde", ["--start=-0.5s"], ["LatentSDE does not support times before 0", "--start is -0.5 s", "only ODEs do"]),
        ("blend", ["--start=-0.5s"], ["Interpolated does not support times before 0"]),
        ("tgan", ["--length=2s"], ["Deconvolution1d generates nothing after 0.9375 s", "Use --length 1s at most"]),
        ("ode", ["--predict=2s"], ["--predict needs a clip: give one as --input"]),
        ("ode", ["--context=3"], ["--context needs a clip"]),
        ("ode", ["--size=64"], ["--size cannot be set"]),
        ("ode", ["--motion-seed=3"], ["--motion-seed goes with --motion-from"]),
        ("ode", ["--length=0s"], ["--length must be above 0s"]),
        ("ode", ["--trust=no_such_package"], ["'no_such_package' is none"]),
        ("ode", ["--device=abacus"], ["--device abacus is not available"]),
        ("ode", ["--input=clip.mp4", "--fps=20", "--reverse"], ["--reverse is for unconditional generation"]),
        ("ode", ["--input=clip.mp4", "--fps=20", "--start=-1s"], ["--start must be at least 0s"]),
        ("none", [], ["There is no checkpoint at"]),
    ],
)
def test_what_cannot_be_drawn_is_said_in_a_line(
    files: dict[str, str],
    tmp_path: Path,
    name: str,
    words: list[str],
    lines: list[str],
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert run(f"--checkpoint={files.get(name, name)}", f"--out={tmp_path / 'x.gif'}", *words) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    for line in lines:
        assert line in error
    assert not (tmp_path / "x.gif").exists()


def test_the_suggested_length_can_be_generated() -> None:
    system = member("tgan")
    for fps in (16.0, 8.0, 16 / 3):
        with pytest.raises(OffGridError) as refusal:
            generate_frames(system, frame_times(3.0, fps), 0)
        line = way_out(refusal.value, system, frame_times(3.0, fps), fps)
        length = float(line.partition("Use --length ")[2].partition("s at most")[0])
        times = frame_times(length, fps)
        assert generate_frames(system, times, 0).isfinite().all()
        assert 15 / 16 - 1 / fps < times[-1] <= 15 / 16


def test_a_model_that_needs_a_clip_says_so() -> None:
    from baselines.linear_blend import LinearBlend

    with pytest.raises(UserError, match=r"required: --input. x.ckpt is a LinearBlend, which cannot generate"):
        pixel_generator(LinearBlend(), "x.ckpt")


def test_frames_that_are_not_finite_make_no_video(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    system = mocogan(MEMBERS["ode"])
    with torch.no_grad():
        for parameter in system.network.dynamics.parameters():
            parameter.fill_(float("inf"))
    save(system, tmp_path / "lost.safetensors")
    assert run(f"--checkpoint={tmp_path / 'lost.safetensors'}", f"--out={tmp_path / 'x.mp4'}") == 2
    assert "frame at 0.00 s has pixels that are not finite" in capsys.readouterr().err
    assert not (tmp_path / "x.mp4").exists()
