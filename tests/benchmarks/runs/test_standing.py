"""Which records are results: those of finished trainings, of the row's own checkpoint, by the present code."""

import dataclasses
import hashlib
from pathlib import Path
from typing import Any

import pytest

from benchmarks.leaderboard.csv_latex import as_csv, as_latex
from benchmarks.leaderboard.html import page
from benchmarks.leaderboard.markdown import markdown, with_tables
from benchmarks.leaderboard.sections import section
from benchmarks.records.parts import Measurement
from benchmarks.records.record import Record
from benchmarks.runs import standing
from benchmarks.runs.spec import BenchmarkSpec, Row
from benchmarks.runs.standing import results_and_retired, retired_because
from support.record_maker import make_record

OURS = Row("Vid-ODE", "x")


def record(row: str = "Vid-ODE", seed: int = 0, value: float = 1.0, **changes: Any) -> Record:
    made = make_record(row=row, seed=seed, metrics={"mse": Measurement(value, 50, higher_is_better=False, sources=50)})
    return dataclasses.replace(made, **changes)


RETIRED = {
    standing.STALE: {"code_sha256": "0" * 64},
    standing.UNFINISHED: {"training_finished": False},
    standing.UNKNOWN_END: {"training_finished": None},
    standing.UNTRAINED: {"trained": False, "training_finished": None, "checkpoint_sha256": None},
}


def test_a_finished_training_by_the_present_code_is_a_result() -> None:
    assert retired_because(record(), OURS) is None
    rule = record(training_finished=None, model={"class_path": "baselines.repeat_last.RepeatLast", "label": "x"})
    assert retired_because(rule, OURS) != standing.UNKNOWN_END  # it has nothing to learn


@pytest.mark.parametrize("why", RETIRED)
def test_what_is_no_result_is_retired_with_the_reason(why: str) -> None:
    assert retired_because(record(**RETIRED[why]), OURS) == why


def test_a_record_of_another_checkpoint_than_the_rows_is_retired(tmp_path: Path) -> None:
    file = tmp_path / "weights-0.safetensors"
    row = Row("Vid-ODE", "x", checkpoint=str(tmp_path / "weights-{seed}.safetensors"))
    assert retired_because(record(), row) is None  # it is not shipped
    file.write_bytes(b"weights")
    assert retired_because(record(), row) == f"it was measured on another checkpoint than {file}"
    assert retired_because(record(checkpoint_sha256=None), row) == f"it does not say that it was measured on {file}"
    right = record(checkpoint_sha256=hashlib.sha256(b"weights").hexdigest(), training_finished=None)
    assert retired_because(right, row) is None


@pytest.mark.parametrize("why", RETIRED)
def test_no_output_shows_a_number_of_a_retired_row(why: str, tmp_path: Path) -> None:
    """Not even of its other seeds: a mean over those that are left would be over chosen seeds."""
    spec = BenchmarkSpec("demo", "Demo", [OURS, Row("other", "x")], seeds=[0, 1])
    records = [record(value=0.1234), record(seed=1, value=0.1256, **RETIRED[why]), record("other", value=0.777)]
    part = section(spec, records)
    (ranking,) = part.rankings
    assert [(row.label, row.cell("mse").value) for row in ranking.rows] == [("other", 0.777), ("Vid-ODE", None)]
    texts = {
        "md": markdown([part]),
        "csv": as_csv([part]),
        "tex": as_latex([part]),
        "html": page([part], tmp_path),
        "readme": with_tables("<!-- table of demo -->\n<!-- end of demo -->", [part]),
    }
    for name, text in texts.items():
        assert "0.777" in text, name
        assert not any(number in text for number in ("0.1234", "0.1256", "0.124")), name
        if name != "readme":
            assert (part.retired[0].reasons[0] if name == "csv" else why) in text, name
            assert text.lower().count("retired until trained again") >= 1, name
            assert records[1].date[:10] in text, name
    assert f"| Vid-ODE | {why} | {records[1].date[:10]} |" in texts["md"]
    assert "**0.7770**" in texts["md"]  # what is bold is the best of what is there


def test_a_section_of_retired_rows_only_has_no_ranking(tmp_path: Path) -> None:
    part = section(BenchmarkSpec("demo", "Demo", [OURS]), [record(value=0.1234, training_finished=False)])
    assert part.rankings == []
    assert "No row has results: `benchmarks run configs/benchmark/demo.yaml`." in markdown([part])
    assert "No row has results" in page([part], tmp_path)
    short = with_tables("<!-- table of demo -->\n<!-- end of demo -->", [part])
    assert "No row has results now" in short
    assert "0.1234" not in short + markdown([part]) + page([part], tmp_path) + as_csv([part]) + as_latex([part])


def test_the_reason_in_full_is_kept() -> None:
    changed = record(stale_because="baselines.conv_gru differs")
    _, (retired,) = results_and_retired([changed], {"demo": BenchmarkSpec("demo", "Demo", [OURS])})
    assert (retired.why, retired.reasons) == (standing.STALE, ["baselines.conv_gru differs"])
