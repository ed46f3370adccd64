"""`benchmarks export` makes a folder that loads anywhere, with a card that Hugging Face can read."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
import yaml

from benchmarks.cli import benchmarks
from benchmarks.commands.export_card import card
from benchmarks.records.parts import Measurement
from datamodules.files import sha256_of
from lightning_modules.checkpoints.build import build
from lightning_modules.checkpoints.hub import from_pretrained
from support.record_maker import make_record

SYSTEM = {"class_path": "baselines.constant.Constant", "init_args": {"value": "mean"}}
RECORD = replace(make_record(row="Constant"), model={"class_path": SYSTEM["class_path"], "label": "Constant"})


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A run's folder with a checkpoint and a record of an exam."""
    monkeypatch.chdir(tmp_path)
    system = build(SYSTEM)
    checkpoint = Path("run/checkpoints/last.ckpt")
    checkpoint.parent.mkdir(parents=True)
    torch.save({"config": system.config, "state_dict": system.state_dict()}, checkpoint)
    replace(RECORD, checkpoint_sha256=sha256_of(checkpoint)).write(Path("run/demo/constant/record-predict.json"))
    return checkpoint


def export(*words: str) -> int:
    with pytest.raises(SystemExit) as caught:
        benchmarks(["export", *words])
    return int(str(caught.value.code))


def test_a_checkpoint_becomes_a_folder_that_loads(run: Path) -> None:
    assert export(str(run), "--out", "shared/balls-mean") == 0
    assert sorted(path.name for path in Path("shared/balls-mean").iterdir()) == [
        "README.md",
        "config.json",
        "model.safetensors",
    ]
    loaded = from_pretrained("shared/balls-mean")
    assert loaded.config == SYSTEM
    assert loaded.trained is not None
    assert loaded.trained.updates == RECORD.budget.updates
    again = Path("shared/balls-mean/README.md").read_text()
    assert export(str(run), "--out", "shared/balls-mean") == 0  # over itself
    assert Path("shared/balls-mean/README.md").read_text() == again


def test_the_card_says_what_the_record_says(run: Path) -> None:
    hubs = pytest.importorskip("huggingface_hub")
    assert export(str(run), "--out", "balls-mean") == 0
    theirs = hubs.ModelCard.load("balls-mean/README.md")
    assert theirs.data.license == "apache-2.0"
    assert theirs.data.library_name == "chronoreel"
    (result,) = theirs.data.eval_results  # the missing metric is none
    assert (result.metric_type, result.metric_value) == ("mse", 0.1 + 0.2)
    assert (result.dataset_name, result.dataset_split) == (RECORD.data, "test")
    for part in (
        "| mse ↓ | 0.3 | 0.25 to 0.35 | 50 |",
        "| lpips ↓ | n/a | n/a | n/a |",
        "weights are not on this machine",
    ):
        assert part in theirs.text
    assert "1,234" in theirs.text
    assert RECORD.code_sha256 in theirs.text


def test_a_card_without_records_promises_nothing() -> None:
    text = card("x", SYSTEM, [], "mit")
    assert "Numbers" not in text
    assert yaml.safe_load(text.split("---")[1])["license"] == "mit"


def test_the_numbers_of_another_checkpoint_are_refused(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    beside = run.parents[1] / "record.json"
    for change, reason in (
        ({"checkpoint_sha256": "0" * 64}, "was measured on another checkpoint (sha256 000000000000...)"),
        ({"checkpoint_sha256": None}, "does not say which checkpoint it was measured on"),
        ({"checkpoint_sha256": None, "trained": False}, "was measured on weights that were never trained"),
    ):
        metrics = {"mse": Measurement(0.98765, 50, higher_is_better=False)}
        replace(RECORD, metrics=metrics, **change).write(beside)
        assert export(str(run), "--out", "shared") == 0  # what lies beside the run is left out, and that is said
        assert f"{beside} is left out: it {reason}." in capsys.readouterr().out.replace(f"{Path.cwd()}/", "")
        text = Path("shared/README.md").read_text()
        assert "0.9876" not in text
        assert "| mse ↓ | 0.3 |" in text
        assert export(str(run), "--out", "named", "--record", str(beside)) == 2
        assert reason in capsys.readouterr().err
        assert not Path("named").exists()


def test_an_exported_file_keeps_the_record_of_what_it_was_exported_from(run: Path) -> None:
    assert export(str(run), "--out", "first") == 0
    record = "run/demo/constant/record-predict.json"
    assert export("first/model.safetensors", "--out", "second", "--record", record) == 0
    assert export("second/model.safetensors", "--out", "third", "--record", record) == 0
    assert "| mse ↓ | 0.3 |" in Path("third/README.md").read_text()


def test_mistakes_are_one_line(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    make_record().write(Path("other.json"))
    assert export(str(run), "--out", "out", "--record", "other.json") == 2
    assert "is of lightning_modules.vid_ode.VidODE, the checkpoint holds baselines" in capsys.readouterr().err
    assert export("none.ckpt", "--out", "out") == 2
    assert "There is no checkpoint at none.ckpt." in capsys.readouterr().err
    assert export(str(run), "--out", "run") == 2
    assert "run already holds other files" in capsys.readouterr().err
    assert not Path("out").exists()
