"""What tests of several packages share."""

import sys
from collections.abc import Sequence

import pytest

from benchmarks.lightning_cli import main
from datamodules.storage import checking


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--reverse", action="store_true", help="run the tests in reverse order")


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if config.getoption("reverse"):
        items.reverse()


@pytest.fixture(autouse=True)
def no_seed_of_an_earlier_test(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lightning keeps the seed of a run in the environment, where the data of the next test would find it."""
    monkeypatch.delenv("PL_GLOBAL_SEED", raising=False)


@pytest.fixture(autouse=True)
def own_notes(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Which stores were found whole is noted among the tests' files, not among the user's."""
    notes = tmp_path_factory.getbasetemp() / "checked"
    monkeypatch.setattr(checking, "_note", lambda key: notes / f"{key}.json")


class InProcess:
    """What the runner needs of `subprocess.Popen`, for a `lightning` command that has already run in this process."""

    stderr = ()

    def __init__(self, words: Sequence[str]) -> None:
        self.code = main(list(words))

    def __enter__(self) -> "InProcess":
        return self

    def __exit__(self, *error: object) -> None: ...

    def wait(self) -> int:
        return self.code


@pytest.fixture
def rows_in_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """`benchmarks run` trains and tests its rows here, without a process and ten seconds of imports for each."""

    def start(words: Sequence[str], lock: int | None) -> InProcess:
        monkeypatch.setattr(sys, "argv", ["lightning", *words])
        return InProcess(words)

    monkeypatch.setattr("benchmarks.runs.runner.start_lightning", start)
