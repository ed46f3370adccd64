"""`benchmarks run` does what has no valid record, once, and goes on where it was interrupted."""

import dataclasses
import hashlib
import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from benchmarks.cli import benchmarks
from benchmarks.records.record import read_record, read_records
from benchmarks.runs import runner
from benchmarks.runs.job import Job
from benchmarks.runs.spec import read_benchmark
from benchmarks.utils.errors import UserError
from benchmarks.utils.locks import NAME, locked
from support.tiny_project import BENCHMARK, Run, calls


def steps() -> list[int]:
    return [int(line) for line in Path("steps.txt").read_text().split()]


LAST = "runs/shapes/learns/{}/checkpoints/last.ckpt"
ALL = [
    "fit learns 0 -",
    f"test evaluation 0 {LAST.format(0)}",
    "test evaluation 0 -",  # there is nothing to train in RepeatLast
    "fit learns 1 -",
    f"test evaluation 1 {LAST.format(1)}",
    "test evaluation 1 -",
]


def test_every_row_and_seed_is_run_once(run: Run, capfd: pytest.CaptureFixture[str]) -> None:
    assert run() == 0
    assert calls() == ALL
    records = read_records(Path("benchmarks/results"))
    assert len(records) == 2 * 2 * 2
    assert {(record.table, record.row) for record in records.values()} == {("tiny", "Learns"), ("tiny", "Repeats")}
    assert all(path.name == record.file_name for path, record in records.items())
    before = {path: path.stat().st_mtime_ns for path in records}
    assert run() == 0
    assert calls() == []
    assert {path: path.stat().st_mtime_ns for path in records} == before
    assert "tiny: 4 skipped." in capfd.readouterr().out


def test_rows_may_be_evaluated_on_other_data_than_they_were_trained_on(run: Run) -> None:
    spec = Path("configs/benchmark/tiny.yaml")
    plain = [Job(read_benchmark(spec), row, 0, Path("runs"), Path("results")) for row in read_benchmark(spec).rows]
    spec.write_text(BENCHMARK + "test_overrides: [data.init_args.frame_rate=25]\n")
    other = [Job(read_benchmark(spec), row, 0, Path("runs"), Path("results")) for row in read_benchmark(spec).rows]
    for before, after in zip(plain, other, strict=True):
        assert "--data.init_args.frame_rate=25" in after.test_command()
        assert "--data.init_args.frame_rate=25" not in [*after.fit_command(), *before.test_command()]
        assert before.request != after.request
        assert before.training_request == after.training_request
    spec.write_text(BENCHMARK + "test_overrides: [model.init_args.value=black]\n")
    with pytest.raises(UserError, match="test_overrides"):
        read_benchmark(spec)


def test_committed_records_are_enough_without_the_runs(run: Run) -> None:
    run("--only=Learns", "--seeds=0")
    calls()
    Path("runs").rename("elsewhere")
    assert run("--only=Learns", "--seeds=0") == 0
    assert calls() == []


def test_only_and_seeds_choose(run: Run, capfd: pytest.CaptureFixture[str]) -> None:
    assert run("--only=Repeats", "--seeds=3,4") == 0
    assert calls() == ["test evaluation 3 -", "test evaluation 4 -"]
    assert run("--only=Repeat") == 2
    assert "Unknown row in tiny: 'Repeat'. Did you mean 'Repeats'?" in capfd.readouterr().err
    assert run("--seeds=one") == 2
    assert "--seeds must be whole numbers" in capfd.readouterr().err


def test_a_row_that_the_plan_has_without_a_model_is_said_to_be_one(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        benchmarks(["run", "vid_ode_table9", "--only=SVG-FP", "--dry-run"])
    assert stop.value.code == 2
    assert "SVG-FP of vid_ode_table9 names no experiment" in capfd.readouterr().err


def test_dry_run_says_and_does_nothing(run: Run, capfd: pytest.CaptureFixture[str]) -> None:
    assert run("--dry-run") == 0
    assert calls() == []
    assert not Path("runs").exists()
    out = capfd.readouterr().out
    assert "Learns, seed 0: lightning fit --config=configs/experiment/shapes/learns.yaml --seed_everything=0" in out
    assert "Repeats, seed 1: test on test" in out


def test_a_killed_training_goes_on_from_its_checkpoint(
    run: Run, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("STUB_KILL", "5")
    assert run("--seeds=0") == 1
    heard = capfd.readouterr()
    assert "Learns, seed 0 failed: `lightning fit` was killed by signal 9" in heard.err
    assert "Failed: Learns, seed 0." in heard.err
    assert calls() == ["fit learns 0 -", "test evaluation 0 -"]  # the other row went on
    monkeypatch.delenv("STUB_KILL")
    assert run("--seeds=0") == 0
    assert calls() == [f"fit learns 0 {LAST.format(0)}", f"test evaluation 0 {LAST.format(0)}"]
    assert steps() == [1, 2, 3, 4, 5, 5, 6, 7, 8, 9, 10]  # one checkpoint interval lost, at most


def test_a_training_that_stops_before_its_end_is_not_filed_and_goes_on(
    run: Run, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("STUB_STOP", "4")
    assert run("--seeds=0", "--only=Learns") == 1  # though `lightning fit` ended with 0
    assert "stopped before its epochs, updates or seconds were reached" in capfd.readouterr().err
    assert calls() == ["fit learns 0 -"]
    assert not Path("benchmarks/results").exists()
    assert not json.loads(Path("runs/shapes/learns/0/training.json").read_text())["finished"]
    monkeypatch.delenv("STUB_STOP")
    assert run("--seeds=0", "--only=Learns") == 0
    assert calls() == [f"fit learns 0 {LAST.format(0)}", f"test evaluation 0 {LAST.format(0)}"]
    assert steps() == list(range(1, 11))


@pytest.mark.parametrize(
    "change",
    [{"training_finished": False}, {"training_finished": None}, {"trained": False}],
    ids=["unfinished", "unknown end", "untrained"],
)
def test_a_record_that_is_no_result_is_made_again(run: Run, change: dict[str, bool | None]) -> None:
    run("--seeds=0", "--only=Learns")
    calls()
    for folder in ("benchmarks/results", "runs"):
        for path in Path(folder).rglob("*.json"):
            if path.name != "training.json":
                dataclasses.replace(read_record(path), **change).write(path)  # type: ignore[arg-type]
    assert run("--seeds=0", "--only=Learns") == 0
    assert calls() == [f"test evaluation 0 {LAST.format(0)}"]
    assert all(record.training_finished for record in read_records(Path("benchmarks/results")).values())


def test_a_folder_in_which_a_training_runs_is_not_moved(run: Run, capfd: pytest.CaptureFixture[str]) -> None:
    run("--seeds=0", "--only=Learns")
    Path("configs/smoke/learns.yaml").write_text("trainer: {max_epochs: 1}")
    Path("configs/model/learns.yaml").write_text("{class_path: baselines.constant.Constant, init_args: {value: black}}")
    with locked(Path("runs/shapes/learns/0") / NAME):
        assert run("--seeds=0", "--only=Learns") == 1
    assert "`lightning fit` runs in runs/shapes/learns/0 (process " in capfd.readouterr().err
    assert not Path("runs/shapes/learns/0.old-1").exists()


def test_a_failed_row_shows_the_end_of_its_log(
    run: Run, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("STUB_FAIL", "learns")
    assert run("--seeds=0") == 1
    error = capfd.readouterr().err
    assert "ended with code 7. The log is runs/shapes/learns/0/fit.log; its last lines:\nTraceback: the fields" in error
    assert "the fields do not fit" in Path("runs/shapes/learns/0/fit.log").read_text()


def test_an_examination_cut_short_is_made_again(run: Run) -> None:
    run("--seeds=0", "--only=Learns")
    calls()
    Path("runs/shapes/learns/0/tiny/learns/done").unlink()
    for path in read_records(Path("benchmarks/results")):
        path.unlink()
    assert run("--seeds=0", "--only=Learns") == 0
    assert calls() == [f"test evaluation 0 {LAST.format(0)}"]  # what was trained is not trained again


def test_a_copy_cut_short_is_finished(run: Run) -> None:
    run("--seeds=0", "--only=Learns")
    calls()
    paths = list(read_records(Path("benchmarks/results")))
    paths[0].unlink()
    assert run("--seeds=0", "--only=Learns") == 0
    assert calls() == []
    assert list(read_records(Path("benchmarks/results"))) == paths


def test_changed_settings_train_anew_and_keep_the_old_run(run: Run, capfd: pytest.CaptureFixture[str]) -> None:
    run("--seeds=0", "--only=Learns")
    calls()
    Path("configs/model/learns.yaml").write_text(
        "{class_path: baselines.constant.Constant, init_args: {value: mean, x: 1}}"
    )
    assert run("--seeds=0", "--only=Learns") == 0
    assert calls() == ["fit learns 0 -", f"test evaluation 0 {LAST.format(0)}"]
    assert "because its settings have changed" in capfd.readouterr().out
    assert Path("runs/shapes/learns/0.old-1/checkpoints/last.ckpt").is_file()
    assert len(read_records(Path("benchmarks/results"))) == 2  # the old records are superseded


def test_a_changed_exam_is_sat_again_without_training(run: Run) -> None:
    run("--seeds=0", "--only=Learns")
    calls()
    spec, experiment = Path("configs/benchmark/tiny.yaml"), Path("configs/experiment/shapes/learns.yaml")
    spec.write_text(spec.read_text().replace(", {class_path: benchmarks.evaluation.tasks.Interpolate}", ""))
    assert run("--seeds=0", "--only=Learns") == 0
    assert calls() == [f"test evaluation 0 {LAST.format(0)}"]
    experiment.write_text(experiment.read_text() + "\nevaluation: {seed: 1}")
    assert run("--seeds=0", "--only=Learns") == 0
    assert calls() == [f"test evaluation 0 {LAST.format(0)}"]
    assert [record.task["name"] for record in read_records(Path("benchmarks/results")).values()] == ["predict"]


def test_changed_code_is_run_again_unless_accepted(run: Run, capfd: pytest.CaptureFixture[str]) -> None:
    run("--seeds=0")
    calls()
    for folder in ("benchmarks/results", "runs"):
        for path in Path(folder).rglob("*.json"):
            if path.name != "training.json":
                record = next(iter(read_records(path.parent).values()))
                dataclasses.replace(record, code_sha256="0" * 64).write(path)
    training = Path("runs/shapes/learns/0/training.json")
    state = json.loads(training.read_text())
    assert "datamodules.clip" in state["code"]["modules"]
    state["code"] = {"sha256": "0" * 64, "modules": {**state["code"]["modules"], "datamodules.clip": "0" * 8}}
    training.write_text(json.dumps(state))
    assert run("--seeds=0", "--accept-stale") == 0
    assert calls() == []
    assert run("--seeds=0") == 0
    assert calls() == ALL[:3]
    assert "its code has changed (datamodules.clip); --accept-stale would keep it" in capfd.readouterr().out
    assert not any(record.stale for record in read_records(Path("benchmarks/results")).values())


def test_a_checkpoint_is_tested_not_trained_and_once(run: Run, capfd: pytest.CaptureFixture[str]) -> None:
    spec = Path("configs/benchmark/tiny.yaml")
    spec.write_text(BENCHMARK + "  - {label: Ready, experiment: shapes/learns, checkpoint: ready.safetensors}\n")
    assert run("--only=Ready") == 2
    assert "The checkpoint of the row 'Ready', ready.safetensors, does not exist." in capfd.readouterr().err
    for weights in (b"weights", b"other weights"):
        Path("ready.safetensors").write_bytes(weights)
        assert run("--only=Ready") == 0
        assert calls() == ["test evaluation 0 ready.safetensors"]
        (record,) = [one for one in read_records(Path("benchmarks/results")).values() if one.task["name"] == "predict"]
        assert record.checkpoint_sha256 == hashlib.sha256(weights).hexdigest()


def test_overrides_are_part_of_the_experiment(run: Run, tmp_path: Path) -> None:
    override = (
        "  - {label: Small, experiment: shapes/learns, overrides: [configs/smoke/learns.yaml, trainer.max_steps=3]}\n"
    )
    Path("configs/benchmark/tiny.yaml").write_text(BENCHMARK + override)
    spec = read_benchmark(Path("configs/benchmark/tiny.yaml"))
    small, plain = (Job(spec, row, 0, Path("runs"), Path("results")) for row in (spec.rows[2], spec.rows[0]))
    assert small.folder != plain.folder
    assert small.training_request != plain.training_request
    assert small.fit_command()[1:4] == [
        "--config=configs/experiment/shapes/learns.yaml", "--config=configs/smoke/learns.yaml", "--trainer.max_steps=3",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("{label: A, experiment: shapes/lerns}", "'shapes/lerns'. Did you mean 'shapes/learns'?"),
        (
            "{label: A, experiment: shapes/learns, overrides: [configs/smoke/lerns.yaml]}",
            "'configs/smoke/learns.yaml'?",
        ),
    ],
)
def test_a_mistyped_file_is_found_before_anything_runs(
    run: Run, capfd: pytest.CaptureFixture[str], row: str, message: str
) -> None:
    Path("configs/benchmark/tiny.yaml").write_text(f"{BENCHMARK}  - {row}\n")
    assert run() == 2
    assert message in capfd.readouterr().err
    assert calls() == []


@pytest.fixture
def started(run: Run, monkeypatch: pytest.MonkeyPatch) -> subprocess.Popen[bytes]:
    """`benchmarks run` in a process of its own, in the middle of a training."""
    monkeypatch.setenv("STUB_SECONDS", "0.3")
    code = "from benchmarks import cli; from benchmarks.runs import runner; "
    code += f"runner.LIGHTNING = {runner.LIGHTNING!r}; cli.benchmarks()"
    process = subprocess.Popen(
        [sys.executable, "-c", code, "run", "tiny", "--seeds=0"],
        stderr=subprocess.PIPE,
        preexec_fn=lambda: signal.signal(
            signal.SIGINT, signal.default_int_handler
        ),  # a job in the background ignores it
    )
    deadline = time.monotonic() + 20
    while not Path("steps.txt").is_file():
        assert time.monotonic() < deadline
        time.sleep(0.02)
    return process


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_run_ends_with_its_child(started: subprocess.Popen[bytes], number: int) -> None:
    started.send_signal(number)
    _, error = started.communicate(timeout=10)
    assert started.returncode == 130
    assert error.decode().strip().endswith("benchmarks: stopped.")
    count = len(steps())
    time.sleep(0.7)
    assert len(steps()) == count


def test_a_second_run_keeps_off_what_a_killed_one_left_working(
    run: Run, started: subprocess.Popen[bytes], monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    started.kill()  # kill -9: the training itself lives on
    started.wait()
    assert run("--seeds=0", "--only=Learns") == 1
    assert "Another process uses runs/shapes/learns/0" in capfd.readouterr().err
    deadline = time.monotonic() + 20
    while len(steps()) < 10:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    time.sleep(0.3)
    assert run("--seeds=0", "--only=Learns") == 0
    assert steps() == list(range(1, 11))
