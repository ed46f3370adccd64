"""The demo says whether its short training beats the trivial baselines, with the numbers."""

import dataclasses
from typing import Any

import pytest

from benchmarks.commands.demo import FRAMES, OURS, verdict
from benchmarks.records.parts import Measurement
from benchmarks.records.record import Record
from support.record_maker import make_record


def record(row: str, error: float, ssim: float) -> Record:
    metrics: dict[str, Any] = {
        "ball_position_error": Measurement(error, 50, higher_is_better=False),
        "ssim": Measurement(ssim, 50, None, [ssim] * max(FRAMES), higher_is_better=True),
    }
    return dataclasses.replace(make_record(row=row), metrics=metrics)


@pytest.mark.parametrize(("error", "word"), [(2.5, "better"), (4.5, "NOT better")])
def test_the_verdict_compares_with_the_best_trivial_baseline(error: float, word: str) -> None:
    said = verdict([record(OURS, error, 0.9), record("repeat last", 3.856, 0.8), record("mean frame", 5.9, 0.3)])
    assert f"{error:.3f} px" in said
    assert "3.856 px" in said
    assert f"(repeat last): {word}" in said


def test_without_our_row_nothing_is_compared() -> None:
    assert OURS in verdict([record("repeat last", 3.856, 0.8)])
