"""`benchmarks evaluate` against another number of reference clips, and against what was saved of them."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file, save_file

from benchmarks.cli import benchmarks
from benchmarks.commands.evaluate_metrics import build_metric, metric_config
from benchmarks.evaluation.extent import Extent
from benchmarks.evaluation.feature_stream import Reading
from benchmarks.evaluation.saved_reference import SavedReference
from benchmarks.metrics.features.extractor import UntrainedFeatures
from benchmarks.metrics.frechet import frechet_distance
from benchmarks.metrics.mmd import polynomial_mmd
from benchmarks.metrics.names import SETS
from benchmarks.metrics.naming import metric_name
from support.tiny_videos import unit, videos

GENERATED, REFERENCE = 24, 30
UNTRAINED = "{class_path: benchmarks.metrics.features.extractor.UntrainedFeatures}"
MMD = f"{{class_path: benchmarks.metrics.mmd.MaximumMeanDiscrepancy, init_args: {{network: {UNTRAINED}}}}}"
FEW = ("FrechetVideoDistance", "FrechetInceptionDistance")


def capped(kind: str, cap: int = 8) -> str:
    """A Fréchet distance that keeps few rows."""
    return f"{{class_path: {kind}, init_args: {{cap: {cap}, network: {UNTRAINED}}}}}"


def run(*words: object) -> int:
    with pytest.raises(SystemExit) as end:
        benchmarks([str(word) for word in words])
    return int(end.value.code or 0)


@pytest.fixture(autouse=True)
def places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with generated and more real clips, in which the command runs."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    np.save("generated.npy", videos(0, count=GENERATED))
    np.save("real.npy", videos(1, count=REFERENCE))
    return tmp_path


def evaluated(reference: str, *words: object) -> dict[str, Any]:
    out = Path("out.json")
    out.unlink(missing_ok=True)
    assert run("evaluate", "--generated", "generated.npy", "--reference", reference, "--frames", 5,
               "--json", out, *words) == 0  # fmt: skip
    content: dict[str, Any] = json.loads(out.read_text())
    return content


def refused(capsys: pytest.CaptureFixture[str], reference: str, *words: object) -> str:
    """The one line that a refusal says."""
    capsys.readouterr()
    assert run("evaluate", "--generated", "generated.npy", "--reference", reference, *words) == 2
    heard = capsys.readouterr()
    assert heard.err.count("\n") == 1
    return heard.err


def test_other_numbers_are_an_error_that_names_the_flag(capsys: pytest.CaptureFixture[str]) -> None:
    said = refused(capsys, "real.npy", "--metrics", "no_fvd", "--frames", 5)
    assert "generated.npy has 24 clips, real.npy 30 clips: give --reference-clips all" in said
    assert "--clips 24 for as many of either" in said
    assert "no_fvd24_5f_untrained_seed0" in evaluated("real.npy", "--metrics", "no_fvd", "--clips", 24)["metrics"]
    said = refused(capsys, "real.npy", "--metrics", "no_fvd", "--frames", 5, "--clips", 25)
    assert "--clips is 25, generated.npy has 24" in said


@pytest.mark.parametrize("asked", ["all", "20"])
def test_the_number_is_that_of_all_clips_of_either_side_and_the_name_says_it(asked: str) -> None:
    content = evaluated("real.npy", "--metrics", "no_fvd", MMD, "no_is", "no_is_real", "--reference-clips", asked)
    network, count = UntrainedFeatures(), REFERENCE if asked == "all" else int(asked)
    spread = [index * REFERENCE // count for index in range(count)]
    mine, real = network(unit(videos(0, count=GENERATED)[:, :5])), network(unit(videos(1, count=REFERENCE)[spread, :5]))
    found = content["metrics"]
    fvd = found[f"no_fvd24vs{asked}_5f_untrained_seed0"]
    assert fvd["value"] == pytest.approx(frechet_distance(mine, real), rel=1e-5)
    assert (fvd["n"], fvd["sources"]) == (24, min(24, count))
    mmd = found[f"no_mmd24vs{asked}_5f_untrained_seed0"]["value"]
    assert mmd == pytest.approx(polynomial_mmd(mine, real), rel=1e-4)
    assert "no_is24_5f_untrained_seed0" in found
    assert f"no_is_real{count}_5f_untrained_seed0" in found
    protocol = content["protocol"]
    assert protocol["id"].startswith(f"evaluate-unpaired-24vs{count}x5f-")
    assert (protocol["settings"]["n"], protocol["settings"]["n_reference"]) == (24, count)


def test_generated_clips_are_chosen_too_and_names_are_those_of_training_tests() -> None:
    found = evaluated("real.npy", "--metrics", "no_fvd", "--clips", 12, "--reference-clips", 25)["metrics"]
    given = {**SETS["no_fvd"]["init_args"], "frames": 5, "clips": 12, "reference_clips": 25}
    assert list(found) == [metric_name({**SETS["no_fvd"], "init_args": given})]


@pytest.mark.parametrize("config", SETS.values(), ids=SETS)
def test_every_metric_of_sets_takes_another_number_of_reference_clips(config: dict[str, Any]) -> None:
    name = build_metric(config, 16, 40, 60, "all").name
    sides = build_metric(config, 16, 40).sides
    assert ("40vsall" if len(sides) > 1 else "60" if sides == ("target",) else "40") in name


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--reference-clips", "some"], "--reference-clips must be all or a positive number; got 'some'"),
        (["--reference-clips", "0"], "--reference-clips must be all or a positive number; got '0'"),
        (["--reference-clips", "31"], "--reference-clips is 31, real.npy has 30"),
        (["--reference-clips", "9"], "needs at least 10 clips per side"),
        (["--reference-clips", "all", "--paired"], "--reference-clips compares sets of other numbers, --paired"),
        (["--save-reference", "file.pt"], "--save-reference must name a file that ends in .safetensors"),
        (["--metrics", "no_is", "--clips", "20", "--save-reference", "x.safetensors"], "no_is need none"),
        (["--metrics", capped("FrechetVideoDistance").replace("cap: 8", "start: 1"), "--clips", "20"], "start=1"),
    ],
)
def test_what_does_not_go_together_is_refused(
    words: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert message in refused(
        capsys, "real.npy", *(["--metrics", "no_fvd"] if "--metrics" not in words else []), *words
    )


def test_without_generated_clips_only_a_reference_is_saved(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("evaluate", "--reference", "real.npy", "--metrics", "no_fvd") == 2
    assert "Give --generated" in capsys.readouterr().err
    words = "evaluate", "--reference", "real.npy", "--frames", 5, "--metrics", "no_fvd", "no_fid"
    assert run(*words, "--save-reference", "kept.safetensors") == 0
    said = capsys.readouterr().out
    assert "for 30 clips: --reference kept.safetensors" in said
    assert len(load_file("kept.safetensors")["0/features"]) == 30
    assert run(*words, "--save-reference", "kept.safetensors", "--reference-clips", 12) == 0
    assert "for 12 clips" in capsys.readouterr().out


ALL = ("no_fvd", MMD, "no_fid", "no_precision", "no_is", "no_is_real", "temporal", "motion_course")


@pytest.mark.parametrize(
    "counts",
    [("--reference-clips", "all"), ("--reference-clips", "22"), ("--clips", "24")],
    ids=lambda words: " ".join(words),
)
@pytest.mark.parametrize("sources", [(), ("--sources", r"^(\d*)\d$")], ids=["clips", "films"])
def test_saved_statistics_give_the_numbers_of_the_clips(counts: tuple[str, str], sources: tuple[str, ...]) -> None:
    words = ["--metrics", *ALL, *capped_names()]
    clips = evaluated("real.npy", *words, *counts, *sources, "--save-reference", "kept.safetensors")
    Path("real.npy").unlink()
    asked = () if counts[0] == "--clips" else counts
    saved = evaluated("kept.safetensors", *words, *asked)
    assert saved["metrics"].keys() == clips["metrics"].keys()
    for name, one in clips["metrics"].items():
        other = saved["metrics"][name]
        assert one["value"] is not None, one["reason"]
        assert other["value"] == pytest.approx(one["value"], rel=1e-6), name
        assert (other["n"], other["sources"]) == (one["n"], one["sources"])
        assert (other["interval"] is None) == (one["interval"] is None)
        assert other["interval"] == (one["interval"] and pytest.approx(one["interval"], rel=1e-6))
    assert (saved["protocol"], saved["data"]) == (clips["protocol"], clips["data"])


def capped_names() -> list[str]:
    """Distances of the same names but through other networks, so that they are saved apart."""
    return [capped(kind).replace("}}}", ", init_args: {seed: 1}}}}") for kind in FEW]


@pytest.fixture
def many(monkeypatch: pytest.MonkeyPatch) -> None:
    """More clips than a part of the cache, and enough for ten groups of sources."""
    monkeypatch.setattr("benchmarks.evaluation.feature_stream.PART", 16)
    np.save("generated.npy", videos(0, count=110))
    np.save("real.npy", videos(1, count=120))


@pytest.mark.usefixtures("many")
@pytest.mark.parametrize("kind", FEW)
@pytest.mark.parametrize("counts", [("--reference-clips", "all"), ("--clips", "110")], ids=" ".join)
def test_moments_are_saved_where_features_were_discarded(kind: str, counts: tuple[str, str]) -> None:
    small = capped(kind)
    clips = evaluated("real.npy", "--metrics", small, *counts, "--save-reference", "kept.safetensors")
    (whole,) = evaluated("real.npy", "--metrics", capped(kind, 50_000), *counts)["metrics"].values()
    arrays = load_file("kept.safetensors")
    assert set(arrays) == {"origins", "0/moments"}
    assert arrays["0/moments"].shape == (10, 2 + 16 + 16 * 16)
    asked = () if counts[0] == "--clips" else counts
    for cap in (8, 50_000):  # the generated features are kept or discarded
        (one,), (other,) = (
            content["metrics"].values()
            for content in (clips, evaluated("kept.safetensors", "--metrics", capped(kind, cap), *asked))
        )
        assert other["value"] == pytest.approx(one["value"], rel=1e-6)
        assert other["value"] == pytest.approx(whole["value"], rel=1e-6)
        assert (other["n"], other["sources"]) == (one["n"], one["sources"]) == (whole["n"], whole["sources"])
        assert other["interval"] == pytest.approx(one["interval"], rel=1e-6)


@pytest.fixture
def kept(places: Path) -> Path:
    words = "--metrics", "no_fvd", "--reference-clips", "all", "--save-reference", "kept.safetensors"
    evaluated("real.npy", *words)
    return places / "kept.safetensors"


def with_protocol(saved: SavedReference, **changed: str) -> SavedReference:
    first = saved.seen[0]
    return replace(saved, seen=(replace(first, protocol={**first.protocol, **changed}),))


Change = Callable[[SavedReference], SavedReference]
CHANGES: dict[str, tuple[Change, str]] = {
    "frames": (
        lambda one: replace(one, reading=Reading(9)), "its --frames is 9, here it is 5. Give --frames 9, or save the"
    ),
    "size": (
        lambda one: replace(one, reading=Reading(5, size=64)), "its --size is 64, here it is none. Give --size 64, or"
    ),
    "rate": (lambda one: replace(one, reading=Reading(5, fps=12.5)), "its --fps is 12.5, here it is none. Give --fps"),
    "range": (lambda one: replace(one, value_range="0 to 1"), "value range is 0 to 1, here it is uint8 from 0 to 255"),
    "weights": (lambda one: with_protocol(one, sha256="abc"), "its sha256 of untrained_seed0 is abc, here it is"),
    "resize": (lambda one: with_protocol(one, resize="64x64"), "its resize of untrained_seed0 is 64x64, here it is"),
    "extractor": (lambda one: with_protocol(one, extractor="x"), "its extractor of untrained_seed0 is x, here it is"),
    "code": (
        lambda one: replace(one, seen=(replace(one.seen[0], code="0123456789abcdef"),)),
        "its code version for untrained_seed0 is 0123456789ab, here it is",
    ),
    "frame sizes": (
        lambda one: replace(one, extent=Extent(((64, 104),), 255)),
        "the generated frames are 16 x 16, those of the reference 104 x 64. Give --size",
    ),
    "brightest": (
        lambda one: replace(one, extent=Extent(((16, 16),), 1)), "the brightest pixel of the reference clips is 1"
    ),
}  # fmt: skip


@pytest.mark.parametrize(("change", "message"), CHANGES.values(), ids=CHANGES)
def test_a_file_that_does_not_fit_is_refused_with_field_values_and_way_out(
    change: Change, message: str, kept: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    change(SavedReference.read(kept)).save(kept)
    said = refused(capsys, str(kept), "--metrics", "no_fvd", "--frames", 5, "--reference-clips", "all")
    assert message in said


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["no_fvd"], "generated.npy has 24 clips, "),
        (["no_fvd", "--reference-clips", "20"], "its clip count is 30, here it is 20. All of a saved reference"),
        (["no_fvd", "--clips", "20"], "its clip count is 30, here it is 20. All of a saved reference"),
        (["no_fid", "--reference-clips", "all"], "is untrained_seed0 of clips, here it is untrained_seed0 of single f"),
        (
            ["temporal", "--reference-clips", "all"],
            "is untrained_seed0 of clips, here it is motion_histograms of clips",
        ),
        (["no_fvd", "--reference-clips", "all", "--gates"], "--gates needs the reference clips"),
        (["no_fvd", "--reference-clips", "all", "--sources", "."], "--sources needs the reference clips"),
        (["mse", "--paired"], "--paired needs the reference clips"),
    ],
    ids=lambda value: value if isinstance(value, str) else " ".join(value),
)
def test_what_a_saved_reference_cannot_do_is_refused(
    words: list[str], message: str, kept: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert message in refused(capsys, str(kept), "--frames", 5, "--metrics", *words)


@pytest.mark.usefixtures("many")
def test_moments_do_not_serve_a_metric_of_features(capsys: pytest.CaptureFixture[str]) -> None:
    evaluated(
        "real.npy", "--reference-clips", "all", "--metrics", capped(FEW[0]), "--save-reference", "kept.safetensors"
    )
    words = "--frames", 5, "--reference-clips", "all", "--metrics", "no_precision"
    said = refused(capsys, "kept.safetensors", *words)
    assert "its content for the metric no_precision110vsall_5f_untrained_seed0 is moments, here it is features" in said


def _other(path: Path) -> None:
    save_file({"weight": np.zeros(3, np.float32)}, path)


def _edited(path: Path) -> None:
    """A reference whose protocol says something else; the arrays are as they were."""
    from safetensors import safe_open

    with safe_open(path, framework="numpy") as file:
        metadata = dict(file.metadata())
    metadata["reference"] = metadata["reference"].replace('"frames": 5', '"frames": 6')
    save_file(load_file(path), path, metadata=metadata)


DAMAGES: dict[str, tuple[Callable[[Path], object], str]] = {
    "truncated": (lambda path: path.write_bytes(path.read_bytes()[:-3]), "cannot be read"),
    "half": (lambda path: path.write_bytes(path.read_bytes()[: path.stat().st_size // 2]), "cannot be read"),
    "empty": (lambda path: path.write_bytes(b""), "cannot be read"),
    "a flipped bit": (
        lambda path: path.write_bytes(path.read_bytes()[:-1] + bytes([path.read_bytes()[-1] ^ 1])),
        "does not match its digest",
    ),
    "a pickle": (lambda path: torch.save([1], path), "cannot be read"),
    "other arrays": (_other, "does not match its digest"),
    "an edited protocol": (_edited, "was changed after it was saved"),
    "missing": (lambda path: path.unlink(), "There is no file"),
}


@pytest.mark.parametrize(("damage", "message"), DAMAGES.values(), ids=DAMAGES)
def test_a_damaged_file_is_one_line(
    damage: Callable[[Path], object], message: str, kept: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    damage(kept)
    said = refused(capsys, str(kept), "--metrics", "no_fvd", "--frames", 5, "--reference-clips", "all")
    assert message in said
    assert "--save-reference" in said


def test_a_network_that_fails_leaves_the_file_as_it_was(
    kept: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    before, call = kept.read_bytes(), UntrainedFeatures.__call__
    np.save("real.npy", videos(2, count=REFERENCE))
    monkeypatch.setattr(UntrainedFeatures, "__call__", lambda self, x: 1 / 0)
    words = "--frames", 5, "--reference-clips", "all", "--save-reference", str(kept), "--metrics"
    said = refused(capsys, "real.npy", *words, "no_fvd")
    assert "Nothing of the reference could be saved" in said
    assert "ZeroDivisionError" in said
    assert kept.read_bytes() == before
    evaluated("real.npy", *words, "no_fvd", "temporal")
    assert "without no_fvd24vsall_5f_untrained_seed0 (it failed" in capsys.readouterr().out
    assert [one.network for one in SavedReference.read(kept).seen] == ["motion_histograms"]
    monkeypatch.setattr(UntrainedFeatures, "__call__", call)
    assert "here it is untrained_seed0 of clips" in refused(
        capsys, str(kept), "--frames", 5, "--reference-clips", "all", "--metrics", "no_fvd"
    )


def test_a_short_name_is_a_metric_of_its_name() -> None:
    assert metric_config("no_fvd") is SETS["no_fvd"]
