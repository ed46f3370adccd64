"""The rows that give a table its scale: named once, made for every group, run once, and there in every table."""

from pathlib import Path

import pytest

from benchmarks.evaluation.tasks import (
    Generates,
    Inbetweens,
    Interpolates,
    Predicts,
)
from benchmarks.runs.job import Job
from benchmarks.runs.scale import scale_rows
from benchmarks.runs.spec import Row, read_benchmark
from benchmarks.utils.errors import UserError
from lightning_modules.checkpoints.build import build
from support.tiny_project import BENCHMARK, Run, calls, write_files

ROOT = Path(__file__).parents[3]
BENCHMARKS = sorted((ROOT / "configs" / "benchmark").glob("*.yaml"))
CAPABILITIES = {
    "Generate": (Generates,), "Predict": (Predicts,), "Interpolate": (Interpolates,),
    "Inbetween": (Inbetweens, Interpolates),
}  # fmt: skip


@pytest.mark.parametrize("path", BENCHMARKS, ids=lambda path: path.stem)
def test_every_table_has_rows_that_say_what_its_numbers_mean(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In every group that is run; they learn nothing, are asked what the others are asked, on the same data."""
    monkeypatch.chdir(ROOT)
    spec = read_benchmark(path)
    if not spec.metrics or not any(row.experiment and not row.scale for row in spec.rows):
        assert spec.kind == "gallery"  # pictures only, of models or of the data
        return
    for group in dict.fromkeys(row.group for row in spec.rows if row.experiment):
        rows = [row for row in spec.rows if row.group == group and row.experiment]
        trivial, real = ([row for row in rows if row.scale == kind] for kind in ("trivial", "real"))
        competitors = [row for row in rows if not row.scale]
        assert len(trivial) >= 2
        like, *jobs = [Job(spec, row, 0, Path("runs"), Path("results")) for row in (competitors[0], *trivial, *real)]
        for job in jobs:
            own = job.settings
            if job.experiment == like.experiment:
                assert (own["data"], own["evaluation"]) == (like.settings["data"], like.settings["evaluation"])
                assert not job.trains
            system = build(own["model"])
            assert sum(one.numel() for one in system.parameters()) == 0
            names = [task["class_path"].rpartition(".")[2] for task in spec.tasks or own["evaluation"]["tasks"]]
            assert any(isinstance(system, CAPABILITIES[name]) for name in names)


def test_rows_are_made_of_a_group_that_is_run() -> None:
    rows = [
        Row("printed", group="a"),
        Row("first", "one", ["model.init_args.x=1", "data=d.yaml", "trainer.max_epochs=2"], group="a"),
        Row("later", "two", group="a"),
        Row("alone", group="b"),
    ]
    frozen, real = scale_rows(rows, ["frozen_clips", "other_real_clips"])
    assert (frozen.label, frozen.scale, real.label, real.scale) == (
        "frozen clips",
        "trivial",
        "other real clips",
        "real",
    )
    assert (frozen.experiment, frozen.group) == ("one", "a")
    assert frozen.overrides == ["data=d.yaml", "model=configs/model/scale/frozen_clips.yaml"]
    assert scale_rows(rows, {"b": ["frozen_clips"]}) == []


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("rows:", "scale: [repeat_lost]\nrows:", "Did you mean 'repeat_last'"),
        ("rows:", "scale: repeat_last\nrows:", "list of names"),
        ("rows:", "scale: {shape: [repeat_last]}\nrows:", "group"),
        ("label: Repeats", "label: Repeats, scale: floor", "trivial or real"),
    ],
)
def test_wrong_rows_are_refused(run: Run, old: str, new: str, message: str) -> None:
    write_files({"configs/model/scale/repeat_last.yaml": "class_path: RepeatLast"})
    write_files({"configs/benchmark/tiny.yaml": BENCHMARK.replace(old, new)})
    with pytest.raises(UserError, match=message):
        read_benchmark(Path("configs/benchmark/tiny.yaml"))


def test_a_row_that_learns_nothing_is_run_once(run: Run) -> None:
    text = BENCHMARK.replace("rows:", "scale: [repeat_last]\nrows:")
    text = text.replace("label: Repeats", "label: Repeats, scale: trivial")
    write_files({"configs/benchmark/tiny.yaml": text})
    write_files({"configs/model/scale/repeat_last.yaml": "class_path: baselines.repeat_last.RepeatLast"})
    assert run() == 0
    tested = [call for call in calls() if call.startswith("test")]
    assert [call.split()[2] for call in tested] == ["0", "0", "0", "1"]
    assert [call.endswith(" -") for call in tested] == [False, True, True, False]  # without weights
