"""`benchmarks evaluate` through the front door, on tiny generated videos and arrays."""

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from benchmarks.cli import benchmarks
from benchmarks.commands.evaluate_metrics import build_metric
from benchmarks.evaluation import feature_cache
from benchmarks.metrics.features.extractor import UntrainedFeatures
from benchmarks.metrics.frechet import frechet_distance
from benchmarks.metrics.names import SETS
from benchmarks.metrics.reference import squared_error
from benchmarks.pretrained.registry import WeightsUnavailable
from benchmarks.records.provenance import Code
from datamodules.clip import VideoClip
from datamodules.storage.video import read_video
from datamodules.storage.video_writer import write_video
from support.tiny_videos import unit, videos


def run(*words: object) -> int:
    with pytest.raises(SystemExit) as end:
        benchmarks([str(word) for word in words])
    return int(end.value.code or 0)


def evaluate(generated: Path, reference: Path, *words: object) -> int:
    return run("evaluate", "--generated", generated, "--reference", reference, *words)


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "chronoreel" / "features"


@pytest.fixture
def arrays(tmp_path: Path) -> tuple[Path, Path]:
    """Generated clips with their channels last, real ones with their channels third."""
    generated, reference = tmp_path / "generated.npy", tmp_path / "reference.npz"
    np.save(generated, videos(0).transpose(0, 1, 3, 4, 2))
    np.savez(reference, videos=videos(1))
    return generated, reference


def test_fvd_of_arrays_is_the_frechet_distance_of_their_features(
    arrays: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out.json"
    assert evaluate(*arrays, "--metrics", "no_fvd", "--frames", 5, "--json", out) == 0
    network = UntrainedFeatures()
    theirs = frechet_distance(network(unit(videos(0)[:, :5])), network(unit(videos(1)[:, :5])))
    content = json.loads(out.read_text())
    entry = content["metrics"]["no_fvd12_5f_untrained_seed0"]
    assert entry["value"] == pytest.approx(theirs, rel=1e-5)
    assert entry["n"] == 12
    assert (entry["sources"], entry["interval"]) == (12, None)  # an interval of a distance of sets needs 20
    assert content["protocol"]["id"].startswith("evaluate-unpaired-12x5f-")
    shown = capsys.readouterr().out
    assert f"no_fvd12_5f_untrained_seed0: {theirs:.5g} [n/a]  n = 12 of 12 sources  (lower is better)" in shown
    assert content["protocol"]["id"] in shown
    assert str(tmp_path) not in out.read_text()


def test_clips_of_few_films_have_no_interval(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for side, seed in (("mine", 0), ("real", 1)):
        (tmp_path / side).mkdir()
        for number, one in enumerate(videos(seed)):
            np.save(tmp_path / side / f"film{number % 4}_{number}.npy", one[None])
    paths = tmp_path / "mine", tmp_path / "real", "--paired", "--metrics", "mse", "--frames", 5
    out = tmp_path / "out.json"
    assert evaluate(*paths, "--json", out) == 0
    every = json.loads(out.read_text())["metrics"]["mse"]
    assert every["sources"] == 12
    assert every["interval"][0] < every["value"] < every["interval"][1]
    assert every["interval_method"].startswith("studentised bootstrap over sources")
    assert evaluate(*paths, "--sources", r"^(film\d)", "--json", out) == 0
    few = json.loads(out.read_text())["metrics"]["mse"]
    assert (few["value"], few["sources"], few["interval"]) == (every["value"], 4, None)
    assert "[n/a]  n = 12 of 4 sources" in capsys.readouterr().out
    assert evaluate(*paths, "--sources", "^person") == 2
    assert "does not match 'film0_0" in capsys.readouterr().err
    assert evaluate(*paths, "--sources", "(") == 2
    assert "must be a regular expression" in capsys.readouterr().err


def test_real_against_real_is_near_its_floor_and_noise_is_far(arrays: tuple[Path, Path], tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (12, 6, 16, 16, 3), dtype=np.uint8)
    np.save(tmp_path / "noise.npy", noise)
    values = []
    for name, generated in (("same", arrays[1]), ("other", arrays[0]), ("noise", tmp_path / "noise.npy")):
        out = tmp_path / f"{name}.json"
        assert evaluate(generated, arrays[1], "--metrics", "no_fvd", "--frames", 6, "--json", out) == 0
        values.append(next(iter(json.loads(out.read_text())["metrics"].values()))["value"])
    assert values[0] < 1e-6 * values[1]
    assert values[1] < values[2] / 2


def test_reference_features_are_cached_and_recomputed_when_damaged_or_read_otherwise(
    arrays: tuple[Path, Path], cache: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    seen: list[int] = []
    call = UntrainedFeatures.__call__
    monkeypatch.setattr(UntrainedFeatures, "__call__", lambda self, x: (seen.append(len(x)), call(self, x))[1])

    def once(*words: object) -> tuple[str, int]:
        seen.clear()
        assert evaluate(*arrays, "--metrics", "no_fvd", *(words or ("--frames", 5))) == 0
        return capsys.readouterr().out, sum(seen)

    first, clips = once()
    assert "computed and kept" in first
    assert clips == 24
    (file,) = cache.glob("*.safetensors")
    second, clips = once()
    assert "from the cache" in second
    assert clips == 12
    assert second.splitlines()[0] == first.splitlines()[0]
    content = bytearray(file.read_bytes())
    for damage in (content[:-3], content[:-1] + bytes([content[-1] ^ 1]), b""):
        file.write_bytes(damage)
        third, clips = once()
        assert "the cached file was damaged" in third
        assert clips == 24
        assert third.splitlines()[0] == first.splitlines()[0]
        assert file.read_bytes()[-200:] == content[-200:]
    assert once("--frames", 4)[1] == once("--frames", 5, "--clips", 10)[1] + 4 == 24
    np.savez(arrays[1], videos=videos(2))
    assert once()[1] == 24
    assert not list(cache.glob(".*"))


def test_another_network_or_code_has_another_key(monkeypatch: pytest.MonkeyPatch) -> None:
    keys = {feature_cache.key_of(["x"], {"frames": 16}, UntrainedFeatures(seed)) for seed in (0, 1, 1)}
    monkeypatch.setattr(feature_cache, "code_of_paths", lambda paths: Code("changed", {}))
    keys.add(feature_cache.key_of(["x"], {"frames": 16}, UntrainedFeatures(0)))
    assert len(keys) == 3


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path, Path]:
    """Real clips as mp4, and two models' versions of them: a gif of each, and one array of each."""
    real, near, far = (tmp_path / name for name in ("real", "near", "far"))
    for index, clip in enumerate(videos(0, count=4, length=5, channels=1, size=32)):
        write_video(real / "walk" / f"{index}.mp4", clip, 10)
        write_video(near / "walk" / f"{index}.gif", np.clip(clip.astype(int) + 4, 0, 255).astype(np.uint8), 10)
        (far / "walk").mkdir(parents=True, exist_ok=True)
        np.save(far / "walk" / f"{index}.npy", 255 - clip)
    return real, near, far


def test_paired_clips_are_compared_by_name_and_two_models_with_each_other(
    folders: tuple[Path, Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    real, *models = folders
    outs = [tmp_path / "near.json", tmp_path / "far.json"]
    for place, out in zip(models, outs, strict=True):
        words = ["--paired", "--frames", 5, "--metrics", "mse", "psnr_pooled", "ssim", "--json", out]
        assert evaluate(place, real, *words) == 0
    ours = json.loads(outs[0].read_text())["metrics"]["mse"]
    errors = []
    for index in range(4):
        pair = (
            read_video(folder / "walk" / f"{index}{ending}").frames
            for folder, ending in ((models[0], ".gif"), (real, ".mp4"))
        )
        errors.append(squared_error(*(VideoClip(unit(frames)[None], torch.arange(5.0)[None]) for frames in pair)))
    assert ours["value"] == pytest.approx(float(torch.cat(errors).mean()), rel=1e-9)
    assert ours["n"] == 4
    assert len(ours["per_frame"]) == 5
    capsys.readouterr()
    assert run("compare", *outs) == 0
    lines = capsys.readouterr().out.splitlines()
    assert sum("4 sources)  interval and p: n/a" in line for line in lines) == 3
    assert lines[0].startswith("A  near-")


def test_a_metric_without_weights_is_not_available_with_its_reason(
    folders: tuple[Path, Path, Path], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def unavailable(name: str) -> None:
        raise WeightsUnavailable(f"{name} is on Mars")

    monkeypatch.setattr("benchmarks.metrics.lpips.network_of", unavailable)
    words = ["--paired", "--frames", 5, "--metrics"]
    assert evaluate(folders[1], folders[0], *words, "lpips_alex", "mse") == 0
    assert "lpips_alex: n/a (alex is on Mars)" in capsys.readouterr().out
    assert evaluate(folders[1], folders[0], *words, "lpips_alex") == 1  # nothing was measured


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--metrics", "no_fvd", "--device", "gpu"], "--device must be"),
        (["--metrics", "no_fdv"], "Unknown metric 'no_fdv'. Did you mean 'no_fvd'?"),
        (["--metrics", "ssim"], "'ssim' compares each clip with its target"),
        (["--metrics", "no_fvd", "--clips", "13"], "--clips is 13, "),
        (["--metrics", "no_fvd", "--clips", "9"], "needs at least 10 clips per side"),
        (["--metrics", "no_fvd", "--frames", "7"], "has 6 frames, fewer than the 7"),
        (["--metrics", "fvd", "--frames", "6"], "i3d_logits needs at least 9 frames"),
        (["--metrics", "no_fvd", "--fps", "5"], "without a frame rate"),
        (["--size", "0"], "--size must be positive; got 0."),
        (["--json", "x.txt"], "--json must name a file that ends in .json"),
    ],
)
def test_what_cannot_be_measured_is_refused_in_one_line(
    words: list[str], message: str, arrays: tuple[Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    assert evaluate(*arrays, *words) == 2
    heard = capsys.readouterr()
    assert message in heard.err
    assert heard.err.count("\n") == 1


def test_places_that_do_not_fit_are_refused(
    folders: tuple[Path, Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    real, near, far = folders
    (near / "walk" / "3.gif").rename(near / "walk" / "4.gif")
    assert evaluate(near, real, "--paired") == 2
    assert "lacks 1: walk/3." in capsys.readouterr().err
    np.save(far / "walk" / "0.npy", np.zeros((5, 8, 8, 3), np.uint8))
    assert evaluate(far, real, "--paired", "--frames", 5, "--metrics", "mse") == 2
    assert "'walk/0' is 8 x 8 as generated and 32 x 32 in the reference" in capsys.readouterr().err
    (real / "walk" / "0.gif").write_bytes((near / "walk" / "0.gif").read_bytes())
    assert evaluate(near, real) == 2
    assert "Two files of" in capsys.readouterr().err
    (tmp_path / "empty").mkdir()
    assert evaluate(tmp_path / "empty", real) == 2
    assert "There are no videos in" in capsys.readouterr().err
    assert evaluate(tmp_path / "nowhere", real) == 2


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda clips: clips[..., :8, :8], "the generated frames are 8 x 8, those of the reference 16 x 16"),
        (lambda clips: clips.repeat(2, axis=-1), "the generated frames are 32 x 16, those of the reference 16 x 16"),
        (lambda clips: (clips / 255).round().astype(np.uint8), "the brightest pixel of the generated clips is 1"),
        (lambda clips: (clips / 255).astype(np.float32), "must hold uint8 videos"),
    ],
    ids=["size", "shape", "cut off", "floats"],
)
@pytest.mark.parametrize("swapped", [False, True])
def test_sets_of_other_sizes_or_ranges_are_refused(
    change: Any, message: str, swapped: bool, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    np.save(tmp_path / "a.npy", change(videos(0)))
    np.save(tmp_path / "b.npy", videos(1))
    sides = [tmp_path / "a.npy", tmp_path / "b.npy"][:: -1 if swapped else 1]
    assert evaluate(*sides, "--metrics", "no_fvd", "--frames", "6") == 2
    heard = capsys.readouterr().err
    assert swapped or message in heard
    assert heard.count("\n") == 1


@pytest.mark.parametrize("words", [["--paired", "--metrics", "mse"], ["--metrics", "no_fvd"]], ids=["paired", "sets"])
@pytest.mark.parametrize("both", [False, True])
def test_frames_that_were_cut_off_are_refused_in_pairs_and_on_both_sides(
    words: list[str], both: bool, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cut = (videos(0) / 255).round().astype(np.uint8)
    np.save(tmp_path / "a.npy", videos(0)[:, ::-1] if not both else cut)
    np.save(tmp_path / "b.npy", cut)
    assert evaluate(tmp_path / "a.npy", tmp_path / "b.npy", *words, "--frames", "6") == 2
    assert "clips is 1: they seem to be floats in [0, 1], cut off" in capsys.readouterr().err


def test_black_frames_and_cropped_ones_are_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    np.save(tmp_path / "cast.npy", (videos(0) / 256).astype(np.uint8))
    np.save(tmp_path / "tall.npy", videos(0, size=26)[..., :16])
    np.save(tmp_path / "real.npy", videos(1))
    words = "--metrics", "no_fvd", "--frames", 6
    assert evaluate(tmp_path / "cast.npy", tmp_path / "real.npy", *words) == 0
    assert "The first frames of all generated clips are black: if they were floats in [0, 1]" in capsys.readouterr().out
    assert evaluate(tmp_path / "tall.npy", tmp_path / "real.npy", *words) == 2
    assert "the generated frames are 16 x 26, those of the reference 16 x 16. Give --size" in capsys.readouterr().err
    out = tmp_path / "out.json"
    assert evaluate(tmp_path / "tall.npy", tmp_path / "real.npy", *words, "--size", 16, "--json", out) == 0
    said = capsys.readouterr().out
    assert "Cropped to squares and resized to 16 x 16: generated frames of 16 x 26, those of the reference of" in said
    assert json.loads(out.read_text())["frame_sizes"] == {"generated": "16 x 26", "reference": "16 x 16"}


def test_a_metric_that_needs_more_clips_or_frames_is_not_available(
    arrays: tuple[Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    words = "--frames", 6, "--metrics"
    assert evaluate(*arrays, *words, "no_fvd", "no_is", "fvd", "no_is_real") == 0
    said = capsys.readouterr().out
    assert re.search(r"no_fvd12_6f_untrained_seed0: [0-9.]+ ", said)
    assert "no_is12_6f_untrained_seed0: n/a (InceptionScore: 'is' needs at least 20 clips; got clips=12.)" in said
    assert "fvd12_6f_i3d_logits: n/a (FrechetVideoDistance: i3d_logits needs at least 9 frames per clip" in said
    assert evaluate(*arrays, *words, "no_is") == 2
    assert "needs at least 20 clips" in capsys.readouterr().err
    assert evaluate(*arrays, *words, "no_fvd", "{class_path: FVDInfinity, init_args: {x: 1}}") == 2
    assert "'x'" in capsys.readouterr().err


def test_a_gate_that_cannot_be_had_is_no_failure(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for index, name in enumerate(("made", "real")):
        np.save(tmp_path / f"{name}.npy", videos(index, count=40))
    wide = "{class_path: benchmarks.metrics.features.extractor.UntrainedFeatures, init_args: {width: 3}}"
    infinity = f"{{class_path: FVDInfinity, init_args: {{network: {wide}}}}}"
    words = "--metrics", "no_fvd", infinity, "--frames", 5, "--gates"
    assert evaluate(tmp_path / "made.npy", tmp_path / "real.npy", *words, "--clips", 24) == 0  # 12 a half, of 16
    said = capsys.readouterr().out
    assert "gate no_fvd_infinity12_5f_untrained_seed0: n/a (FVDInfinity: 'fvd_infinity' needs at least 16" in said
    assert "gate no_fvd12_5f_untrained_seed0: real against real" in said
    many = infinity.replace("width: 3", "width: 6")
    assert (
        evaluate(tmp_path / "made.npy", tmp_path / "real.npy", "--metrics", "no_fvd", many, "--frames", 5, "--gates")
        == 0
    )
    assert "gate no_fvd_infinity20_5f_untrained_seed0: n/a (the extrapolation's smallest" in capsys.readouterr().out


@pytest.mark.parametrize("option", ["--json", "--save-reference"])
def test_a_file_that_cannot_be_written_is_said_before_anything_is_computed(
    option: str, arrays: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ending = {"--json": ".json", "--save-reference": ".safetensors"}[option]
    (tmp_path / f"folder{ending}").mkdir()
    words = "--metrics", "no_fvd", "--frames", 6, option
    for place, reason in ((tmp_path / f"folder{ending}", "Is a directory"), (arrays[0] / f"x{ending}", "Not a dir")):
        assert evaluate(*arrays, *words, place) == 2
        heard = capsys.readouterr()
        assert f"{option} {place} cannot be written: {reason}" in heard.err
        assert heard.err.count("\n") == 1
        assert not heard.out.strip()


def test_a_metric_that_fails_is_not_available_and_the_others_are_measured(
    arrays: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(self: UntrainedFeatures, frames: torch.Tensor) -> torch.Tensor:
        raise RuntimeError("out of memory")

    monkeypatch.setattr(UntrainedFeatures, "__call__", broken)
    assert evaluate(*arrays, "--metrics", "no_fvd", "temporal", "--frames", "6") == 0
    said = capsys.readouterr().out
    assert "no_fvd12_6f_untrained_seed0: n/a (it failed with RuntimeError: out of memory" in said
    assert re.search(r"temporal12_6f_motion_histograms: [0-9.]+", said)


def test_every_distribution_metric_has_a_short_name() -> None:
    names = {name: build_metric(config, 16, 20).name for name, config in SETS.items()}
    assert len(set(names.values())) == len(names)
    assert names["video_fid"] == "fvd20_16f_resnext101_kinetics"
    assert names["fid"] == "fid20_16f_inception2015_pool3"
    assert names["is_tgan"] == "is20_16f_c3d_ucf101_logits_tgan"
    assert names["is_i3d_real"] == "is_real20_16f_i3d_logits"
    assert names["temporal"] == "temporal20_16f_motion_histograms"


THEIRS = """
from benchmarks.metrics.reference import MSE


class HalfError(MSE):
    name = "half_error"

    def measure(self, sample, target):
        return super().measure(sample, target) / 2
"""


def test_any_metric_can_be_chosen_by_its_class_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "half_errors.py").write_text(THEIRS)
    monkeypatch.syspath_prepend(tmp_path)
    for index, side in enumerate(("a", "b")):
        np.save(tmp_path / f"{side}.npy", videos(index, count=2))
    sides, theirs, out = (tmp_path / "a.npy", tmp_path / "b.npy"), "half_errors.HalfError", tmp_path / "out.json"
    for words in (["mse", theirs], ["MSE", f"{{class_path: {theirs}}}"]):
        assert evaluate(*sides, "--paired", "--frames", 6, "--metrics", *words, "--json", out) == 0
        found = {name: entry["value"] for name, entry in json.loads(out.read_text())["metrics"].items()}
        assert found["half_error"] == pytest.approx(found["mse"] / 2)
    assert evaluate(*sides, "--metrics", theirs) == 2
    assert "--paired" in capsys.readouterr().err
    mistakes = {"benchmarks.metrics.reference.PSNRR": "reference.PSNR", "{class_path: MSE, init_args: {x: 1}}": "'x'"}
    for wrong, told in mistakes.items():
        assert evaluate(*sides, "--paired", "--frames", 6, "--metrics", wrong) == 2
        assert told in capsys.readouterr().err


def test_the_gates_tell_real_clips_from_noise_and_say_when_they_do_not(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (24, 5, 3, 16, 16), dtype=np.uint8)
    for name, clips in (("real", videos(0, count=24)), ("made", videos(1, count=24)), ("noise", noise)):
        np.save(tmp_path / f"{name}.npy", clips)
    names = ("no_fvd", "no_fid", "no_precision", "no_is")
    words = ["--metrics", *names, "--frames", 5, "--gates", "--json", tmp_path / "out.json"]
    assert evaluate(tmp_path / "made.npy", tmp_path / "real.npy", *words) == 0
    gates = json.loads((tmp_path / "out.json").read_text())["gates"]
    assert set(gates) == {f"no_{name}12_5f_untrained_seed0" for name in ("fvd", "fid", "precision")}
    network, real = UntrainedFeatures(), unit(videos(0, count=24)[:, :5])
    fvd = gates["no_fvd12_5f_untrained_seed0"]
    assert fvd["real"] == pytest.approx(frechet_distance(network(real[::2]), network(real[1::2])), rel=1e-5)
    assert 2 * fvd["real"] < fvd["noise"]
    assert gates["no_precision12_5f_untrained_seed0"]["real"] > 0.5
    assert "gate no_fvd12_5f_untrained_seed0: real against real" in capsys.readouterr().out
    words = ["--metrics", "no_fvd", "--frames", 5, "--gates"]
    assert evaluate(tmp_path / "made.npy", tmp_path / "noise.npy", *words) == 2  # noise for a reference
    heard = capsys.readouterr()
    assert "NOT DISTINGUISHED" in heard.out
    assert "cannot separate the reference from noise" in heard.err
    assert evaluate(tmp_path / "made.npy", tmp_path / "real.npy", *words, "--clips", 19) == 2
    assert "needs at least 20 clips" in capsys.readouterr().err
