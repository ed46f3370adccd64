"""Records reach W&B as runs, and a workspace and report are laid out for them; all without a network."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import wandb

from benchmarks.cli import benchmarks
from benchmarks.commands.dashboard import comparable, text
from benchmarks.commands.sync import run_id
from benchmarks.records.parts import Measurement
from support.offline_wandb import Offline
from support.record_maker import make_record

# wandb-workspaces is written for pydantic 1
pytestmark = pytest.mark.filterwarnings("ignore::pydantic.warnings.PydanticDeprecatedSince20")


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("WANDB_API_KEY", "WANDB_RUN_ID", "WANDB_PROJECT", "WANDB_ENTITY"):
        monkeypatch.delenv(name, raising=False)
    for name in ("WANDB_SILENT", "WANDB__DISABLE_STATS", "WANDB_DISABLE_GIT", "WANDB_DISABLE_CODE"):
        monkeypatch.setenv(name, "true")
    monkeypatch.setenv("WANDB_CONSOLE", "off")
    monkeypatch.setenv("WANDB_MODE", "offline")
    RECORD.write(Path("benchmarks/results/demo/vid_ode-s0.json"))
    yield tmp_path
    wandb.teardown()


RECORD = make_record()
OTHER = make_record(row="Linear blend", seed=1, metrics={"mse": Measurement(0.5, 50, higher_is_better=False)})


def call(*words: str) -> int:
    with pytest.raises(SystemExit) as caught:
        benchmarks(list(words))
    return int(str(caught.value.code))


def test_a_record_becomes_a_run_with_its_numbers_curve_and_file(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert call("sync", "--folder", "sent") == 0
    assert "wandb sync sent/wandb" in capsys.readouterr().out
    found = Offline(Path("sent"))
    assert found.ids == [run_id(RECORD)]
    assert found.names == ["demo/Vid-ODE/s0/predict"]
    assert found.config["model"] == {"lr": 0.001}
    assert (found.config["table"], found.config["row"], found.config["protocol"]) == (
        "demo",
        "Vid-ODE",
        RECORD.protocol.id,
    )
    mse = RECORD.metrics["mse"]
    numbers = {key.rpartition("/")[2]: value for key, value in found.summary.items() if key.startswith("record/")}
    assert (numbers["mse"], numbers["mse_low"], numbers["mse_high"], numbers["mse_n"]) == (0.1 + 0.2, 0.25, 0.35, 50)
    assert numbers["lpips_missing"] == RECORD.metrics["lpips"].reason
    assert list(found.artifacts.values()) == [["vid_ode-s0.json"]]
    (table,) = Path("sent").glob("wandb/offline-run-*/files/media/table/test/predict/mse_per_frame*")
    assert [value for _, value in json.loads(table.read_text())["data"]] == mse.per_frame


def test_a_run_is_a_place_in_the_table() -> None:
    assert run_id(RECORD) == run_id(replace(RECORD, metrics=OTHER.metrics, commit="0" * 40))
    assert len({run_id(RECORD), run_id(OTHER), run_id(replace(RECORD, group="KTH"))}) == 3


def test_a_dry_run_sends_nothing(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert call("sync", "--dry-run", "--folder", "sent") == 0
    assert run_id(RECORD) in capsys.readouterr().out
    assert not Path("sent").exists()


def test_mistakes_are_one_line(here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    Path("empty").mkdir()
    assert call("sync", "empty") == 2
    assert "There is no record in empty" in capsys.readouterr().err

    def refuse(**_: Any) -> None:
        raise wandb.errors.AuthenticationError("no API key")

    monkeypatch.setattr(wandb, "init", refuse)
    assert call("sync") == 2
    assert "W&B cannot be used: no API key. Log in with `wandb login`" in capsys.readouterr().err.replace(
        "key L", "key. L"
    )
    pytest.importorskip("wandb_workspaces")
    monkeypatch.setattr(wandb, "Api", refuse_api)
    assert call("dashboard") == 2
    assert "upload to W&B failed: no API key" in capsys.readouterr().err


def refuse_api() -> None:
    raise wandb.errors.AuthenticationError("no API key")


def test_workspace_and_report_show_every_evaluation_and_metric(here: Path) -> None:
    reports = pytest.importorskip("wandb_workspaces.reports.v2")
    from wandb_workspaces.reports.v2.internal import ReportViewspec
    from wandb_workspaces.workspaces.internal import View

    OTHER.write(Path("benchmarks/results/demo/linear_blend-s1.json"))
    assert call("dashboard", "--out", "views", "--entity", "us", "--project", "ours") == 0
    seen = {name: json.loads(Path(f"views/{name}.json").read_text()) for name in ("workspace", "report")}
    View.model_validate(seen["workspace"])
    view = ReportViewspec.model_validate(seen["report"])
    shown = reports.Report._from_model(view)
    assert (shown.entity, shown.project) == ("us", "ours")
    (grid,) = [block for block in shown.blocks if isinstance(block, reports.PanelGrid)]
    exam = RECORD.protocol.id.rpartition("-")[0]
    assert [panel.title for panel in grid.panels] == ["lpips ↓", "mse ↓"]
    assert f"record/{exam}/mse" in str(grid.panels[1])
    assert RECORD.protocol.id in str(grid.runsets[0].filters)
    (table,) = [block.text for block in shown.blocks if isinstance(block, reports.MarkdownBlock)]
    assert "| Vid-ODE | 0 | n/a | 0.3 |" in table
    assert "| Linear blend | 1 | n/a | 0.5 |" in table
    panels = json.dumps(seen["workspace"])
    for part in (
        "generator_updates",
        "train/generator",
        "val/predict/mse",
        "test/predict/gallery",
        f"record/{exam}/mse",
    ):
        assert part in panels


def test_only_what_may_be_compared_stands_together() -> None:
    elsewhere = replace(RECORD, data="kth-64px")
    found = comparable([RECORD, OTHER, elsewhere, replace(RECORD, group="KTH")])
    assert [len(members) for members in found.values()] == [2, 1, 1]
    assert text([OTHER]).splitlines()[0] == "| row | seed | mse ↓ |"
