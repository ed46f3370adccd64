"""The numbers that docs/vid_ode.md takes from files are the files' numbers."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from benchmarks.records.record import Record, read_record

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "vid_ode.md").read_text()
ROWS = re.findall(r"^\| (\S.*?) \| ([\d,]+) \| (\d+) \| (\d+) \|$", PAGE, re.MULTILINE)


def record(row: str, seed: int) -> Record | None:
    """The first record of a row's training; all tests of one training tell what it cost."""
    records = map(read_record, sorted((ROOT / "benchmarks" / "results" / "vid_ode_fig4").glob("*.json")))
    return next((found for found in records if (found.row, found.seed) == (row, seed)), None)


@pytest.mark.parametrize(("row", "weights", "first", "second"), ROWS, ids=[row[0] for row in ROWS])
def test_a_trainings_cost_is_its_records(row: str, weights: str, first: str, second: str) -> None:
    found = {seed: record(row, seed) for seed in (0, 1)}
    assert found[0] is not None
    for seed, printed in ((0, first), (1, second)):
        if (one := found[seed]) is not None:
            assert one.parameters == int(weights.replace(",", ""))
            assert one.budget.updates == 800
            assert round(one.budget.seconds) == int(printed)


def test_every_row_of_figure_4_has_its_cost() -> None:
    spec = yaml.safe_load((ROOT / "configs" / "benchmark" / "vid_ode_fig4.yaml").read_text())
    assert {row[0] for row in ROWS} == {row["label"] for row in spec["rows"]}
    weights = [int(row[1].replace(",", "")) for row in ROWS]
    assert f"({round(min(weights), -3):,} to {round(max(weights), -3):,} weights)" in PAGE


def test_a_steps_cost_is_the_measured_one() -> None:
    measured: dict[str, Any] = json.loads((ROOT / "docs" / "vid_ode_speed.json").read_text())
    ours, theirs = measured["train"], measured["against"]["train"]
    walls = sorted(ours["wall"][name] / theirs["wall"][name] for name in ("min", "median"))
    said = " ".join(PAGE.split())
    assert f"wall time {walls[0]:.2f} to {walls[1]:.2f} of theirs" in said
    assert f"({ours['wall']['min']:.1f} s against {theirs['wall']['min']:.1f} s at best)" in said
    memory = f"({ours['memory'] / 2**30:.1f} GiB against {theirs['memory'] / 2**30:.1f} GiB)"
    assert f"peak memory {ours['memory'] / theirs['memory']:.2f} {memory}" in said
    assert f"operations {ours['flop'] / theirs['flop']:.2f}" in said
