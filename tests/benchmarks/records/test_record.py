"""Records survive the disk, refuse what is not a record, and know when their code has changed."""

import dataclasses
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from benchmarks.records import provenance
from benchmarks.records.parts import Measurement, Protocol, RecordError, Throughput
from benchmarks.records.record import Record, read_record, read_records
from benchmarks.utils import hashing
from benchmarks.utils.hashing import content_hash, plain, slug
from datamodules.files import write_text
from support.record_maker import make_record


def test_record_survives_the_disk(tmp_path: Path) -> None:
    record = make_record()
    record.write(tmp_path / record.file_name)
    assert read_records(tmp_path) == {tmp_path / record.file_name: record}
    assert read_record(tmp_path / record.file_name).metrics["mse"].value == 0.1 + 0.2  # not a digit is lost


def test_an_older_record_has_no_throughput(tmp_path: Path) -> None:
    record = make_record(throughput=Throughput(12.5, 4, "cpu"))
    assert Record.from_json(record.to_json()) == record
    older = record.to_json()
    del older["throughput"]
    assert Record.from_json(older) == dataclasses.replace(record, throughput=None)
    with pytest.raises(RecordError, match="samples_per_second"):
        Record.from_json({**older, "throughput": {"samples_per_second": 0, "batch": 4, "device": "cpu"}})


def test_create_collects_provenance_and_no_place_of_this_machine(tmp_path: Path) -> None:
    record = make_record()
    assert record.versions["python"].startswith("3.")
    assert record.config["data"]["root"] == "data"
    assert str(Path.home()) not in json.dumps(record.to_json())
    assert not record.stale
    elsewhere = make_record(config={"data": {"root": str(tmp_path / "films")}, "seed_everything": 1})
    assert elsewhere.config["data"]["root"] == ".../films"


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("seed", -1, "seed"),
        ("table", "Not A Stem", "table"),
        ("split", "holdout", "split"),
        ("date", "yesterday", "date"),
        ("task", {"given": 5}, "task"),
    ],
)
def test_writing_refuses_what_breaks_the_schema(tmp_path: Path, field: str, value: Any, message: str) -> None:
    with pytest.raises(RecordError, match=message):
        dataclasses.replace(make_record(), **{field: value}).write(tmp_path / "record.json")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("number", [float("nan"), float("inf"), -float("inf")])
def test_numbers_that_are_not_finite_are_refused_with_the_way_out(number: float) -> None:
    for arguments in [(number, 5), (1.0, 5, (0.0, number)), (1.0, 5, None, [0.0, number])]:
        with pytest.raises(RecordError, match=r"finite numbers only; got .*reason"):
            Measurement(*arguments, higher_is_better=True)
    with pytest.raises(RecordError, match="either a value or the reason"):
        Measurement(None, 5, higher_is_better=True)
    with pytest.raises(ValueError, match="finite"):
        Protocol.create("predict", {"fps": number})


def _newer(content: dict[str, Any]) -> str:
    return json.dumps({**content, "version": 3, "surprise": True})


def _with_nan(content: dict[str, Any]) -> str:
    content["metrics"]["mse"]["value"] = float("nan")
    return json.dumps(content)


def _other_protocol(content: dict[str, Any]) -> str:
    content["protocol"]["settings"]["n"] = 1000
    return json.dumps(content)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (_newer, r"version 3; this ChronoReel reads up to version 2. Update"),
        (_with_nan, "NaN"),
        (_other_protocol, "changed by hand"),
        (lambda content: json.dumps({**content, "surprise": True}), "surprise"),
        (lambda content: json.dumps([content]), "object"),
        (lambda content: json.dumps(content)[:-20], "line 1"),
        (lambda content: "", "line 1"),
    ],
)
def test_reading_names_the_file_and_the_fault(
    tmp_path: Path, spoil: Callable[[dict[str, Any]], str], message: str
) -> None:
    (tmp_path / "spoilt.json").write_text(spoil(make_record().to_json()))
    with pytest.raises(RecordError, match=r"spoilt\.json is not a record") as caught:
        read_records(tmp_path)
    assert caught.match(message)


def test_protocol_hash_is_of_the_content_alone() -> None:
    settings = {"n": 50, "task": {"name": "predict", "given": 5}, "fps": 25}
    shuffled = {"task": {"given": 5, "name": "predict"}, "fps": 25.0, "n": 50}
    ours = Protocol.create("predict-5to5", settings)
    assert ours == Protocol.create("predict-5to5", shuffled)
    assert ours.id == "predict-5to5-478d86a3"  # frozen: a change here orphans every committed record
    for key, value in [("n", 51), ("fps", 25.5), ("fps", True), ("n", "50")]:
        assert Protocol.create("predict-5to5", {**settings, key: value}).id != ours.id


def test_plain_refuses_objects() -> None:
    assert plain({"a": (1, {2.0}), 3: Path("x")}) == {"a": [1, [2]], "3": "x"}
    with pytest.raises(ValueError, match="object"):
        plain({"a": object()})
    assert content_hash({"a": 1, "b": 2}) == content_hash({"b": 2.0, "a": 1})


def test_file_name_is_the_place_in_the_table() -> None:
    record = make_record()
    assert record.file_name.startswith("vid_ode-s0-")
    again = dataclasses.replace(record, date="2030-01-01T00:00:00+00:00", metrics={})
    assert again.file_name == record.file_name
    other_tasks = make_record(protocol=Protocol.create("interpolate", {"n": 50}))
    assert len({record.file_name, other_tasks.file_name, make_record(seed=1).file_name}) == 3
    assert slug("Naïve Vid-ODE (A), 2.5 µs/é") == "naive_vid_ode_a_2.5_s_e"


def test_a_crash_while_writing_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "record.json"
    write_text(path, "old")

    def crash(*_: object) -> None:
        raise KeyboardInterrupt

    for step in ("fsync", "replace"):
        with monkeypatch.context() as patch:
            patch.setattr(hashing.os, step, crash)
            with pytest.raises(KeyboardInterrupt):
                write_text(path, "new")
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]
    write_text(path, "new")
    assert path.read_text() == "new"


def test_a_record_is_stale_when_its_code_changed() -> None:
    record = make_record()
    assert dataclasses.replace(record, code_sha256="0" * 64).stale
    assert not record.stale
    assert dataclasses.replace(record, stale_because="it is not proven").stale_reason == "it is not proven"
    elsewhere = {**record.code, "lightning_modules.vid_ode": "0" * 8}
    changed = dataclasses.replace(record, code_sha256="0" * 64, code=elsewhere)
    assert changed.stale_reason == "its code has changed (lightning_modules.vid_ode)"


def test_git_state_sees_code_but_not_results(tmp_path: Path) -> None:
    def git(*arguments: str) -> None:
        identity = ["-c", "user.name=x", "-c", "user.email=x@example.org"]
        subprocess.run(["git", "-C", str(tmp_path), *identity, *arguments], check=True, capture_output=True)

    assert provenance.git_state(tmp_path) == (None, False)
    for folder in (*provenance.PACKAGES, "configs", "benchmarks/results"):
        (tmp_path / folder).mkdir(parents=True)
        (tmp_path / folder / "file.py").touch()
    (tmp_path / "pyproject.toml").touch()
    git("init", "-q")
    git("add", ".")
    git("commit", "-qm", "x")
    commit, dirty = provenance.git_state(tmp_path)
    assert commit is not None
    assert not dirty
    (tmp_path / "benchmarks/results/new.json").touch()
    assert provenance.git_state(tmp_path) == (commit, False)
    (tmp_path / "baselines/new.py").touch()
    assert provenance.git_state(tmp_path) == (commit, True)
    assert provenance.git_state(tmp_path / "baselines") == (None, False)


def test_records_import_no_torch() -> None:
    code = (
        "import sys, benchmarks.records.record\nassert 'torch' not in sys.modules and 'jsonschema' not in sys.modules"
    )
    environment = {**os.environ, "PYTHONPATH": str(provenance.ROOT)}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
