"""`benchmarks run --launcher local` fills a table as `benchmarks run` does, several rows at a time."""

import sys
from pathlib import Path

import pytest

from benchmarks.cli import benchmarks
from benchmarks.records.record import read_records
from benchmarks.runs.job import Job
from benchmarks.runs.launchers.backends import backend
from benchmarks.runs.launchers.submit import trainings_of
from benchmarks.runs.spec import BenchmarkSpec, Row, Stage
from support.tiny_project import enter_project, stub_command

CHILD = f"""
import sys
from benchmarks.runs import runner
from benchmarks.cli import child
runner.LIGHTNING = {stub_command()!r}
child()
"""
BENCHMARK = """
title: Tiny
seeds: [0, 1]
tasks: [{class_path: benchmarks.evaluation.tasks.Predict}]
rows:
  - {label: Learns, experiment: shapes/learns}
  - {label: Learns too, experiment: shapes/learns}
  - {label: Repeats, experiment: shapes/repeats}
"""
FILES = {
    "configs/benchmark/tiny.yaml": BENCHMARK,
    "configs/experiment/shapes/learns.yaml": "model: {class_path: baselines.constant.Constant}",
    "configs/experiment/shapes/repeats.yaml": "model: {class_path: baselines.repeat_last.RepeatLast}",
}


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    enter_project(tmp_path, monkeypatch, FILES)
    command = (sys.executable, "-c", CHILD)
    monkeypatch.setattr("benchmarks.runs.launchers.submit.backend", lambda *words: backend(*words, command=command))
    return tmp_path


def run(*options: str) -> int:
    with pytest.raises(SystemExit) as caught:
        benchmarks(["run", "tiny", "--launcher", "local", "--launcher-option", "workers=3", *options])
    return int(str(caught.value.code))


def test_every_row_and_seed_has_its_record_and_trainings_are_shared(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run() == 0
    records = read_records(Path("benchmarks/results")).values()
    assert sorted((record.row, record.seed) for record in records) == [
        (row, seed) for row in ("Learns", "Learns too", "Repeats") for seed in (0, 1)
    ]
    fits = [line for line in Path("calls.txt").read_text().splitlines() if line.startswith("fit")]
    assert sorted(fits) == ["fit learns 0 -", "fit learns 1 -"]
    said = capsys.readouterr().out
    assert "Repeats, seed 1: running" in said
    assert "tiny: 6 done." in said


def test_the_table_looks_at_the_trainings_of_a_joined_row() -> None:
    stages = {name: Stage(f"generate_shapes/{name}_gan") for name in ("motion", "video")}
    spec = BenchmarkSpec(
        "tiny", "Tiny", [Row("Joined", "generate_shapes/joined", join=stages), Row("Alone", "generate/alone")]
    )
    jobs = [Job(spec, row, 3, Path("runs"), Path("results")) for row in spec.rows]
    assert [trainings_of(job) for job in jobs] == [
        [Path("runs/generate_shapes/motion_gan/3"), Path("runs/generate_shapes/video_gan/3")],
        [Path("runs/generate/alone/3")],
    ]


def test_a_row_that_fails_is_named_with_its_reason(
    here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("STUB_FAIL", "learns/1")
    assert run("--only", "Learns", "--only", "Repeats") == 1
    said = capsys.readouterr()
    assert "tiny: 3 done, 1 failed." in said.out
    assert "the fields do not fit" in said.err
    assert "Failed: Learns, seed 1." in said.err


def test_a_mistake_is_said_before_anything_runs(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("--launcher-option", "worker=3") == 2
    assert "Did you mean 'workers'?" in capsys.readouterr().err
    assert not Path("calls.txt").exists()
