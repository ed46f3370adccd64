"""`benchmarks compare`: the law of the paired test, its coverage, and records of the real command line's making."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from lightning import Trainer
from scipy import stats

from baselines.mean_frame import MeanFrame
from baselines.repeat_last import RepeatLast
from benchmarks.cli import benchmarks
from benchmarks.evaluation.callback import Evaluation
from benchmarks.evaluation.tasks import Predict
from benchmarks.metrics.paired_test import paired_difference, pooled_decibels
from benchmarks.metrics.reference import MSE, PooledPSNR, decibel
from benchmarks.records.clip_scores import PerClip, beside, read_per_clip, write_per_clip
from benchmarks.records.parts import Measurement, Protocol
from benchmarks.records.record import Record, read_record
from benchmarks.utils.arrays import PerClipError, read_arrays, write_arrays
from benchmarks.utils.by_source import mean_interval
from datamodules.bouncing_balls import BouncingBalls
from datamodules.clip import sample_id
from datamodules.sampling import Regular
from support.record_maker import make_record

IDS = np.array([sample_id(source, start) for source in range(12) for start in (0, 5)])


def draw(seed: int, count: int = 24) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=count)


def compare(*paths: Path) -> int:
    with pytest.raises(SystemExit) as end:
        benchmarks(["compare", *map(str, paths)])
    return int(end.value.code or 0)


def filed(path: Path, values: np.ndarray, ids: np.ndarray = IDS, *, per_source: int = 1, **changes: object) -> Path:
    """A record of `mse` and, pooled, of the PSNR, with its clips' values beside it."""
    origins, decibels = (ids >> 24) // per_source, pooled_decibels(values[:, None])
    pooled = float(pooled_decibels(values.mean()[None, None])[0])
    metrics = {
        "mse": Measurement(float(values.mean()), len(ids), higher_is_better=False),
        "psnr_pooled": Measurement(pooled, len(ids), higher_is_better=True),
        "fvd": Measurement(10.0, len(ids), higher_is_better=False),
    }
    record: Record = replace(make_record(metrics=metrics), **changes)  # type: ignore[arg-type]
    record.write(path)
    write_per_clip(path, {"mse": PerClip(ids, origins, values), "psnr_pooled": PerClip(ids, origins, decibels)})
    return path


def test_equal_values_differ_by_nothing_and_swapping_changes_the_sign() -> None:
    a, b, sources = draw(0), draw(1) + 0.3, IDS >> 24
    same = paired_difference(a, a, sources)
    assert same.interval is not None
    assert (same.value, same.interval[:2], same.p) == (0, (0, 0), 1)
    there, back = paired_difference(a, b, sources), paired_difference(b, a, sources)
    assert there.value == pytest.approx(-back.value)
    assert there.p == pytest.approx(back.p)
    assert there.interval is not None
    assert back.interval is not None
    assert there.interval[:2] == pytest.approx((-back.interval.high, -back.interval.low))


def test_the_difference_of_means_agrees_with_the_mean_of_differences() -> None:
    a, b, sources = draw(0, 40), draw(1, 40), np.arange(40) // 2
    ours = paired_difference(a, b, sources)
    assert ours.value == pytest.approx(float((a - b).mean()))
    theirs = mean_interval((a - b)[:, None], sources)
    assert theirs is not None
    assert ours.interval is not None
    assert ours.interval[:2] == pytest.approx(theirs[:2])


def test_p_agrees_with_scipys_permutation_test() -> None:
    a, b = draw(2, 15), draw(3, 15) + 0.5
    ours = paired_difference(a, b, np.arange(15))
    theirs = stats.permutation_test((a, b), lambda x, y: (x - y).mean(), permutation_type="samples", n_resamples=40_000)
    assert ours.p == pytest.approx(theirs.pvalue, abs=0.02)


def test_a_pooled_value_is_finished_after_the_mean() -> None:
    a, b = draw(4) ** 2 + 0.1, draw(5) ** 2 + 0.1
    result = paired_difference(a, b, IDS >> 24, pooled_decibels)
    theirs = [float(decibel(torch.tensor(values.mean()))) for values in (a, b)]
    assert result.value == pytest.approx(theirs[0] - theirs[1])


def test_the_interval_holds_the_truth_and_p_is_uniform_where_there_is_no_difference() -> None:
    """Windows share their video's difficulty: of 300 pairs of equal systems, 95 % hold 0, 5 % look unequal."""
    held, called, sources = 0, 0, np.arange(30).repeat(3)
    random = np.random.default_rng(0)

    def of_videos() -> np.ndarray:
        return random.normal(size=30)[sources]

    for trial in range(300):
        difficulty = 5 * of_videos()
        a, b = (difficulty + of_videos() + draw(2 * trial + system, 90) for system in (0, 1))
        result = paired_difference(a, b, sources)
        assert result.interval is not None
        assert result.p is not None
        held += result.interval[0] <= 0 <= result.interval[1]
        called += result.p <= 0.05
    assert 0.91 <= held / 300 <= 0.99
    assert 0.02 <= called / 300 <= 0.08


@pytest.mark.parametrize("count", [1, 9])
def test_few_sources_have_neither_interval_nor_p(count: int) -> None:
    assert paired_difference(draw(0), draw(1), np.arange(24) % count)[1:] == (None, None, count)
    with pytest.raises(ValueError, match="at least one clip"):
        paired_difference(draw(0, 0), draw(1, 0), np.zeros(0, dtype=np.int64))


def test_pieces_of_four_people_prove_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Twelve films of four people, of whom each is better under one system in all pieces: p by film would be tiny."""
    values = draw(0) ** 2 + 0.1
    first = filed(tmp_path / "a.json", values, per_source=3)
    second = filed(tmp_path / "b.json", values * 1.2, per_source=3)
    assert compare(first, second) == 0
    out = capsys.readouterr().out
    assert out.count("(n = 24 clips, 4 sources)  interval and p: n/a, they need 10 sources") == 2
    assert "is better" not in out


def test_a_file_without_sources_says_what_to_do(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    first = filed(tmp_path / "a.json", draw(0) ** 2)
    arrays, metadata = read_arrays(beside(first))
    write_arrays(beside(first), {name: array for name, array in arrays.items() if "/origins" not in name}, metadata)
    assert compare(first, first) == 2
    assert "does not say which clips share a source" in capsys.readouterr().err


def test_the_command_finds_the_better_record(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    values = draw(0) ** 2 + 0.1
    worse = filed(tmp_path / "worse.json", values * 1.1)
    better = filed(tmp_path / "better.json", values)
    assert compare(worse, better) == 0
    lines = {line.partition(":")[0]: line for line in capsys.readouterr().out.splitlines()}
    assert "n = 24 clips, 12 sources)  B is better" in lines["mse"]
    assert "B is better" in lines["psnr_pooled"]
    assert f"A - B {float(decibel(torch.tensor(1.1))):+.4g}" in lines["psnr_pooled"]
    assert lines["fvd"] == "fvd: n/a (it has no score per clip; A 10, B 10, compare their intervals)"
    assert compare(better, better) == 0
    assert (
        capsys.readouterr().out.count(
            "A - B +0 [+0, +0]  p = 1.0000  (n = 24 clips, 12 sources)  no significant difference"
        )
        == 2
    )


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"data": "elsewhere-00000000"}, "Only records of one data can be compared"),
        ({"protocol": Protocol.create("predict-5to5", {"n": 7})}, "Only records of one protocol can be compared"),
    ],
)
def test_other_evaluations_are_refused(
    changes: dict[str, object], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first, second = filed(tmp_path / "a.json", draw(0)), filed(tmp_path / "b.json", draw(0), **changes)
    assert compare(first, second) == 2
    assert message in capsys.readouterr().err


def test_other_clips_and_lost_or_changed_values_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    first = filed(tmp_path / "a.json", draw(0) ** 2)
    assert compare(first, filed(tmp_path / "b.json", draw(0) ** 2, IDS + 1)) == 2
    assert "48 are in one record only" in capsys.readouterr().err
    bare = tmp_path / "c.json"
    bare.write_text(first.read_text())
    assert compare(first, bare) == 2
    assert "c.clips.safetensors is not beside it" in capsys.readouterr().err
    content = json.loads(first.read_text())
    bare.write_text(json.dumps({**content, "seed": 5}))
    beside(bare).write_bytes(beside(first).read_bytes())
    with pytest.raises(PerClipError, match="belongs to another record"):
        read_per_clip(bare)
    damaged = bytearray(beside(first).read_bytes())
    damaged[-1] ^= 1
    beside(first).write_bytes(damaged)
    with pytest.raises(PerClipError, match="does not match its digest"):
        read_per_clip(first)
    assert compare(tmp_path / "none.json", first) == 2


def test_values_survive_the_file_exactly(tmp_path: Path) -> None:
    path = filed(tmp_path / "a.json", draw(0) ** 2)
    found = read_per_clip(path)["mse"]
    assert found.values.tolist() == (draw(0) ** 2).tolist()
    assert found.ids.tolist() == IDS.tolist()
    assert found.origins.tolist() == (IDS >> 24).tolist()
    assert not list(tmp_path.glob("*.tmp"))
    write_per_clip(path, {})
    assert not beside(path).exists()


@pytest.mark.parametrize("processes", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_a_test_run_leaves_the_values_of_its_clips_beside_its_record(
    processes: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    paths = []
    for system in (RepeatLast(), MeanFrame()):
        folder = tmp_path / type(system).__name__
        sampling = Regular(num_frames=7)
        counts = {"train_clips": 2, "val_clips": 2, "test_clips": 11}
        data = BouncingBalls(**counts, length=8, size=16, batch_size=2, sampling=sampling)
        Trainer(
            accelerator="cpu",
            devices=processes,
            strategy="ddp_fork" if processes > 1 else "auto",
            logger=False,
            callbacks=[Evaluation([Predict(context=3)], [MSE(), PooledPSNR()], gallery=0, folder=str(folder))],
            use_distributed_sampler=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            enable_checkpointing=False,
        ).test(system, datamodule=data, verbose=False)
        paths.append(folder / "record.json")
    record, values = read_record(paths[0]), read_per_clip(paths[0])
    assert list(values) == ["mse", "psnr_pooled"]
    assert len(values["mse"].ids) == 11
    assert len(set(values["mse"].origins.tolist())) == record.metrics["mse"].sources == 11
    assert record.metrics["mse"].value == pytest.approx(float(values["mse"].values.mean()), rel=1e-12)
    pooled = float(decibel(torch.tensor(values["mse"].values.mean())))
    assert record.metrics["psnr_pooled"].value == pytest.approx(pooled, rel=1e-12)
    capsys.readouterr()
    assert compare(*paths) == 0
    out = capsys.readouterr().out
    assert record.metrics["mse"].value is not None
    gap = record.metrics["mse"].value - (read_record(paths[1]).metrics["mse"].value or 0)
    assert f"A - B {gap:+.4g} [" in out
    assert "n = 11 clips, 11 sources" in out
