import json
import os
import re
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

import mutations
from mutants import Mutation, carried, choose, find

SOURCE = '''
"""Limits: 7."""
from typing import TYPE_CHECKING
if TYPE_CHECKING:
    LIMIT = 3
class Range:
    def __init__(self, low: "float[7]" = 0.0, high: int = 4) -> None:
        self.low, self.high = low, high
    def limited(self, x):
        """At least 7."""
        if not x == x:
            raise ValueError(f"{x + 7} is not {7 + 7}")
        return max(x, self.low)
    def untested(self, x):
        return x + 1
'''
TEST = """
from datamodules.limits import Range
def test_limited():
    assert [Range().limited(x) for x in (-1, 2)] == [0, 2]
"""


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A project of one module and one test."""
    return write(tmp_path / "project", SOURCE)


def write(tree: Path, source: str, module: str = "limits") -> Path:
    (tree / "datamodules").mkdir(parents=True)
    (tree / "tests").mkdir()
    (tree / "datamodules" / "__init__.py").touch()
    (tree / "datamodules" / f"{module}.py").write_text(source)
    (tree / "tests" / "test_limits.py").write_text(TEST)
    return tree


def run(tree: Path, out: Path, *options: str) -> tuple[dict[str, dict[str, Any]], str]:
    words = [sys.executable, mutations.__file__, f"--tree={tree}", f"--out={out}", "--preload=pytest", *options]
    env = os.environ | {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    ended = subprocess.run(words, check=True, capture_output=True, text=True, env=env)
    return {entry["name"]: entry for entry in json.loads(out.read_text())["mutants"]}, ended.stdout


def test_a_mutant_is_caught_when_a_test_fails_and_survives_when_none_does(tree: Path, tmp_path: Path) -> None:
    before = (tree / "datamodules" / "limits.py").read_text()
    mutants, output = run(tree, tmp_path / "out.json", "--count=60")
    assert mutants["datamodules.limits:Range.limited:minmax:0"]["outcome"] == "caught"
    assert mutants["datamodules.limits:Range.limited:minmax:0"]["test"] == "tests/test_limits.py::test_limited"
    assert mutants["datamodules.limits:Range.untested:operator:0"]["outcome"] == "survived"
    assert "survived: datamodules/limits.py:15 x + 1 -> (x - 1)" in output
    assert (tree / "datamodules" / "limits.py").read_text() == before


def test_a_second_run_resumes(tree: Path, tmp_path: Path) -> None:
    run(tree, tmp_path / "out.json", "--count=1")
    held = json.loads((tmp_path / "out.json").read_text())
    held["mutants"][0]["outcome"] = "held"
    (tmp_path / "out.json").write_text(json.dumps(held))
    mutants, _ = run(tree, tmp_path / "out.json", "--count=60")
    assert [entry["outcome"] for entry in mutants.values()].count("held") == 1
    assert len(mutants) > 1


def test_tests_that_fail_without_a_mutant_say_nothing(tree: Path, tmp_path: Path) -> None:
    wrong = TEST.replace("test_limited", "test_wrong").replace("[0, 2]", "[2, 0]")
    (tree / "tests" / "test_limits.py").write_text(wrong + TEST)
    (tree / "tests" / "test_broken.py").write_text("import datamodules.limits\nimport no_such_module\n")
    mutants, _ = run(tree, tmp_path / "out.json", "--count=60")
    assert mutants["datamodules.limits:Range.untested:operator:0"]["outcome"] == "survived"
    assert mutants["datamodules.limits:Range.limited:minmax:0"]["test"] == "tests/test_limits.py::test_limited"


def test_a_mutant_without_end_is_a_timeout(tree: Path, tmp_path: Path) -> None:
    endless = "from datamodules.limits import Range\ndef test_end():\n    while Range().untested(0) < 0: pass\n"
    (tree / "tests" / "test_limits.py").write_text(endless)
    mutants, _ = run(tree, tmp_path / "out.json", "--count=60", "--seconds=4")
    assert mutants["datamodules.limits:Range.untested:operator:0"]["outcome"] == "timeout"


def test_what_is_caught_no_longer_is_said(tree: Path, tmp_path: Path) -> None:
    run(tree, tmp_path / "before.json", "--count=60")
    (tree / "tests" / "test_limits.py").write_text(TEST.replace("[0, 2]", "[0, 2] or True"))
    _, output = run(tree, tmp_path / "after.json", f"--carry={tmp_path / 'before.json'}")
    assert "7 decided in both trees: 4 caught before, 2 now" in output
    assert "survived (caught before): datamodules/limits.py:13 max(x, self.low) -> (min(x, self.low))" in output


def test_texts_errors_annotations_and_code_for_checkers_are_left_alone(tree: Path) -> None:
    found = find(tree)
    assert not [mutation for mutation in found if "7" in mutation.before or mutation.definition == "LIMIT"]
    assert {mutation.kind for mutation in found} == {"default", "operator", "comparison", "constant", "not", "minmax"}


def test_every_mutation_of_this_project_is_other_code_that_can_be_read() -> None:
    tree = Path(__file__).parents[1]
    chosen = choose(find(tree), 100, 0, mutations.AREAS)
    for mutation in chosen:
        source = (tree / mutation.file).read_text()
        assert compile(mutation.applied(source), mutation.file, "exec").co_code
        assert mutation.applied(source) != source


def test_the_choice_depends_on_the_seed_alone_and_covers_every_area() -> None:
    found = find(Path(__file__).parents[1])
    chosen = choose(found, 100, 0, mutations.AREAS)
    assert chosen == choose(found[::-1], 100, 0, mutations.AREAS)
    assert chosen != choose(found, 100, 1, mutations.AREAS)
    assert len(set(chosen)) == 100
    for paths in mutations.AREAS.values():
        assert sum(mutation.file.startswith(tuple(paths)) for mutation in chosen) >= 5


def old(tree: Path, kind: str, definition: str) -> dict[str, Any]:
    return next(asdict(m) for m in find(tree) if (m.kind, m.definition) == (kind, definition))


def test_a_mutation_is_carried_over_a_move_and_names_that_change(tree: Path, tmp_path: Path) -> None:
    moved = re.sub(r"\bx\b", "value", SOURCE).replace("Range", "Interval").replace("def limited", "def clamp")
    moved = moved.replace("return max(", "value = max(max(value, -9), value)\n        return max(")
    renamed: dict[str, str | list[str]] = {"Range": ["Interval", "Bounds"], "Range:limited": "clamp"}
    became = carried(old(tree, "minmax", "Range.limited"), find(write(tmp_path / "moved", moved, "bounds")), renamed)
    assert isinstance(became, Mutation)
    assert became.name == "datamodules.bounds:Interval.clamp:minmax:2"
    assert became.after == "(min(value, self.low))"


def test_a_mutation_is_carried_into_a_function_of_another_name_by_a_long_statement(tree: Path, tmp_path: Path) -> None:
    wordy = SOURCE.replace("return x + 1", "return self.limited(x) + self.limited(x) + 1")
    (tree / "datamodules" / "limits.py").write_text(wordy)
    found = find(write(tmp_path / "other", wordy.replace("untested", "twice")))
    became = carried(old(tree, "constant", "Range.untested"), found, {})
    assert isinstance(became, Mutation)
    assert became.definition == "Range.twice"


def test_a_mutation_that_is_gone_says_why(tree: Path, tmp_path: Path) -> None:
    found = find(write(tmp_path / "changed", SOURCE.replace("x + 1", "[x, 1][0]")))
    assert "statement is gone" in str(carried(old(tree, "operator", "Range.untested"), found, {}))
    assert "definition of its name" in str(carried(old(tree, "operator", "Range.untested"), [], {}))
