"""Records from anywhere: what no evaluation writes is refused by name, and what a page shows of a record is text."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from jsonschema import Draft202012Validator

from benchmarks.commands.export_card import card
from benchmarks.leaderboard.markdown import as_text
from benchmarks.records.clip_scores import PerClip, beside, read_per_clip, write_per_clip
from benchmarks.records.parts import Measurement, RecordError
from benchmarks.records.record import SCHEMAS, Record, read_record
from benchmarks.utils.arrays import PerClipError, write_arrays
from support.record_maker import make_record


def changed(path: str, value: Any) -> Callable[[dict[str, Any]], None]:
    """Sets the value at a dotted place of a record."""
    *above, last = path.split(".")

    def change(content: dict[str, Any]) -> None:
        for key in above:
            content = content[key]
        content[last] = value

    return change


DAMAGES = {
    "a value of no clip": changed("metrics.mse.n", 0),
    "a reversed interval": changed("metrics.mse.interval", [0.35, 0.25]),
    "a value below its interval": changed("metrics.mse.value", 0.2),
    "a value above its interval": changed("metrics.mse.value", 0.4),
    "an interval of no value": changed("metrics.lpips.interval", [0.1, 0.2]),
    "a value with a reason": changed("metrics.mse.reason", "none"),
    "no value and no reason": changed("metrics.lpips.reason", None),
    "more sources than clips": changed("metrics.mse.sources", 51),
    "a network of width -1": changed("config.model.width", -1),
    "frames of no size": changed("config.data.size", [0, 32]),
    "a protocol of no frames": changed("protocol.settings.frames", 0),
    "a number of 400 digits": changed("parameters", 10**400),
    "updates of 400 digits": changed("budget.updates", 10**400),
    "evaluations without end": changed("function_evaluations", float("inf")),
    "seconds that are none": changed("budget.seconds", float("nan")),
    "a value of 400 digits": changed("metrics.mse.value", 10**400),
    "a configuration 100 deep": changed("config.model", json.loads('{"a": ' * 100 + "1" + "}" * 100)),
}
TEXTS = {
    "nested 100,000 deep": "[" * 100_000,
    "nested 100,000 deep and closed": '{"a": ' * 100_000 + "1" + "}" * 100_000,
    "a number beyond floats": '{"version": 2, "parameters": 1e400}',
    "a number of 10,000 digits": '{"version": 2, "parameters": ' + "1" * 10_000 + "}",
    "nothing": "",
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES.keys())
def test_what_no_evaluation_writes_is_refused_by_name(damage: Callable[[dict[str, Any]], None], tmp_path: Path) -> None:
    content = make_record().to_json()
    damage(content)
    (tmp_path / "r.json").write_text(json.dumps(content))
    with pytest.raises(RecordError, match=r"r\.json is not a record") as said:
        read_record(tmp_path / "r.json")
    assert len(str(said.value).splitlines()) == 1
    assert len(str(said.value)) < 600


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS.keys())
def test_texts_that_are_no_record_are_one_line(text: str, tmp_path: Path) -> None:
    (tmp_path / "r.json").write_text(text)
    with pytest.raises(RecordError, match=r"r\.json is not a record") as said:
        read_record(tmp_path / "r.json")
    assert len(str(said.value)) < 600


@pytest.mark.parametrize("damage", ["a value of no clip", "an interval of no value", "a value with a reason"])
def test_the_schema_says_it_too(damage: str) -> None:
    schema = Draft202012Validator(json.loads(SCHEMAS[2].read_text(encoding="utf-8")))
    content = make_record().to_json()
    assert schema.is_valid(content)
    DAMAGES[damage](content)
    assert not schema.is_valid(content)


def per_clip(**parts: Any) -> dict[str, Any]:
    whole = {"ids": np.arange(3), "origins": np.array([0, 0, 1]), "values": np.array([0.1, 0.2, 0.3])}
    return {f"mse/{part}": array for part, array in (whole | parts).items() if array is not None}


CLIPS = {
    "values missing": per_clip(values=None),
    "ids missing": per_clip(ids=None),
    "fewer values": per_clip(values=np.array([0.1])),
    "values of two numbers each": per_clip(values=np.ones((3, 2))),
    "a value that is no number": per_clip(values=np.array([0.1, np.nan, 0.3])),
    "an id twice": per_clip(ids=np.array([0, 1, 1])),
    "ids that are broken numbers": per_clip(ids=np.array([0.0, 0.5, 1.0])),
    "values that are words of bits": per_clip(values=np.array([True, False, True])),
    "no clip": per_clip(ids=np.arange(0), origins=np.arange(0), values=np.zeros(0)),
}


@pytest.mark.parametrize("arrays", CLIPS.values(), ids=CLIPS.keys())
def test_damaged_values_of_clips_are_refused_by_name(arrays: dict[str, Any], tmp_path: Path) -> None:
    record = tmp_path / "r.json"
    make_record().write(record)
    write_per_clip(record, {"mse": PerClip(np.arange(3), np.array([0, 0, 1]), np.array([0.1, 0.2, 0.3]))})
    assert set(read_per_clip(record)) == {"mse"}
    from benchmarks.records.clip_scores import _hash_of

    write_arrays(beside(record), arrays, {"record": _hash_of(record)})  # a digest of its own: not by chance
    with pytest.raises(PerClipError, match=r"r\.clips\.safetensors is damaged"):
        read_per_clip(record)


@pytest.mark.parametrize("content", [b"", b"x" * 100, b"\xff" * 8 + b"{}", b"\x02\0\0\0\0\0\0\0[]"])
def test_files_of_another_kind_beside_a_record_are_refused_by_name(content: bytes, tmp_path: Path) -> None:
    record = tmp_path / "r.json"
    make_record().write(record)
    beside(record).write_bytes(content)
    with pytest.raises(PerClipError, match=r"r\.clips\.safetensors"):
        read_per_clip(record)


HOSTILE = '<script>alert(1)</script>|\n# x <img src=x onerror="alert(1)"> </sup><!-- -->'


def test_what_a_card_shows_of_a_record_is_text() -> None:
    record = make_record(
        metrics={"mse": Measurement.missing(HOSTILE, higher_is_better=False)}, mode=HOSTILE, data=HOSTILE
    )
    shown = card("Model", {"class_path": "baselines.constant.Constant"}, [record], "mit")
    body = shown.partition("\n---\n")[2]
    assert "<script" not in body
    assert "<img" not in body
    assert "\n# x" not in body


def test_tags_are_shown_and_footnotes_stay() -> None:
    assert as_text("a <sup>1</sup> < b <script> <!-- x") == "a <sup>1</sup> &lt; b &lt;script> &lt;!-- x"


def test_a_record_that_is_right_stays_right() -> None:
    record = make_record()
    assert Record.from_json(record.to_json()) == record
