"""What is tested are trained weights, of a file that the record names, on all clips; nothing else replaces a record."""

import hashlib
import json
from pathlib import Path

import pytest
import torch

from benchmarks.lightning_cli import main
from benchmarks.records.record import read_record
from benchmarks.runs.standing import UNTRAINED, retired_because
from lightning_modules.checkpoints.build import load, save
from support.training_folder import EXPERIMENT, RUN, here

__all__ = ["here"]

LAST = RUN / "checkpoints" / "last.ckpt"


def contents(folder: Path) -> dict[str, bytes]:
    """Every file below a folder, but the lock."""
    files = [path for path in folder.rglob("*") if path.is_file() and not path.name.startswith(".")]
    return {str(path): path.read_bytes() for path in files}


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.fixture
def trained(here: Path) -> Path:
    """The folder of a finished and tested run."""
    monitor = ["--checkpoints.monitor=val/predict/mse", "--trainer.max_epochs=1"]
    assert main(["fit", EXPERIMENT, *monitor]) == 0
    assert main(["test", EXPERIMENT, "--ckpt_path=last"]) == 0
    return RUN


@pytest.mark.parametrize("verb", ["test", "validate", "predict"])
def test_what_learns_is_tested_with_weights_only(trained: Path, verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    before = contents(trained)
    capsys.readouterr()
    assert main([verb, EXPERIMENT]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert f"Constant learns, and `lightning {verb}` was given no weights." in error
    assert f"Give those of {trained} with `--ckpt_path last`, or say `--untrained`" in error
    assert contents(trained) == before


def test_weights_that_are_not_there_are_no_random_ones(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for which in ("last", "best"):
        assert main(["test", EXPERIMENT, f"--ckpt_path={which}"]) == 2
        assert f"There is no {which}.ckpt in {RUN / 'checkpoints'}." in capsys.readouterr().err
    assert main(["test", EXPERIMENT]) == 2
    assert "Give them with `--ckpt_path FILE`" in capsys.readouterr().err
    assert main(["fit", EXPERIMENT, "--untrained"]) == 2
    assert main(["test", EXPERIMENT, "--untrained", "--ckpt_path=x.ckpt"]) == 2
    assert not list(Path().rglob("record*.json"))


def test_untrained_weights_are_labelled_and_replace_nothing(trained: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = contents(trained)
    words = ["--model.init_args.value=mean", "--evaluation.row=Mean"]
    monkeypatch.setattr("baselines.constant.Constant.predict", _black)  # which knows no mean yet
    assert main(["test", EXPERIMENT, *words, "--untrained"]) == 0
    after = contents(trained)
    assert {name: after[name] for name in before if "config-test" not in name} == {
        name: text for name, text in before.items() if "config-test" not in name
    }
    record = read_record(trained / "record-untrained.json")
    assert (record.row, record.model["label"]) == ("Mean (untrained)", "Mean (untrained)")
    assert (record.trained, record.checkpoint_sha256, record.training_finished) == (False, None, None)
    assert retired_because(record) == UNTRAINED
    assert "untrained" not in record.config
    assert record.file_name.startswith("mean_untrained-s0-")  # nor among the results


def _black(self, observed, times, **_):  # type: ignore[no-untyped-def]
    shape = (len(observed.frames), times.shape[1], *observed.frames.shape[-3:])
    return type(observed)(observed.frames.new_full(shape, -1.0), times)


def test_a_record_names_the_file_of_its_weights(trained: Path) -> None:
    save(load(LAST), Path("shared.safetensors"))
    files = {"last": LAST, "best": LAST.with_name("best.ckpt"), str(LAST): LAST}
    files["shared.safetensors"] = Path("shared.safetensors")
    assert len({sha256(path) for path in files.values()}) == 3
    for given, path in files.items():
        (trained / "record.json").unlink()
        assert main(["test", EXPERIMENT, f"--ckpt_path={given}"]) == 0
        record = read_record(trained / "record.json")
        assert record.checkpoint_sha256 == sha256(path), given
        assert (record.training_finished, record.trained) == (True, None), given


def test_what_learns_nothing_needs_no_weights(here: Path) -> None:
    for model in ("--model=RepeatLast", "--model.init_args.value=black"):
        assert main(["test", EXPERIMENT, model]) == 0
        record = read_record(RUN / "record.json")
        assert (record.trained, record.checkpoint_sha256, record.training_finished) == (None, None, None)


@pytest.mark.parametrize(
    ("option", "reason"),
    [
        ("--trainer.fast_dev_run=true", "fast_dev_run looks at a few batches only"),
        ("--trainer.limit_test_batches=1", "limit_test_batches leaves out 1 of 2 batches"),
        ("--trainer.limit_test_batches=0.5", "limit_test_batches leaves out 1 of 2 batches"),
    ],
)
def test_a_test_of_a_part_writes_no_record_and_replaces_none(
    trained: Path, option: str, reason: str, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    before = contents(trained)
    words = ["--ckpt_path=last", "--data.init_args.batch_size=1"]
    assert main(["test", EXPERIMENT, *words, option]) == 0
    after = contents(trained)
    for name in ("record.json", "measurements.csv"):
        assert after[str(trained / name)] == before[str(trained / name)]
    heard = capfd.readouterr()
    assert f"No record is written: {reason}." in heard.out + heard.err + caplog.text
    assert main(["test", EXPERIMENT, *words, "--trainer.limit_test_batches=50"]) == 0  # that is all of them
    assert contents(trained)[str(trained / "record.json")] != before[str(trained / "record.json")]


def test_a_validation_of_a_part_leaves_no_measurement(trained: Path) -> None:
    before = (trained / "measurements.csv").read_bytes()
    words = ["--ckpt_path=last", "--data.init_args.batch_size=1"]
    assert main(["validate", EXPERIMENT, *words, "--trainer.limit_val_batches=1"]) == 0
    assert (trained / "measurements.csv").read_bytes() == before
    assert main(["validate", EXPERIMENT, *words]) == 0
    assert (trained / "measurements.csv").read_bytes() != before


def test_a_trial_of_the_code_changes_nothing_of_a_finished_run(trained: Path) -> None:
    before = contents(trained)
    assert main(["fit", EXPERIMENT, "--trainer.fast_dev_run=true"]) == 0
    assert contents(trained) == before


def test_a_run_is_not_overwritten_by_a_training_from_another_checkpoint(
    trained: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    early = Path("early.ckpt")
    content = torch.load(LAST, weights_only=True)
    torch.save(content, early)
    for path in (early, LAST.with_name("best.ckpt")):
        before = contents(trained)
        assert main(["fit", EXPERIMENT, f"--ckpt_path={path}"]) == 2
        assert "holds a run already" in capsys.readouterr().err
        assert contents(trained) == before
    assert main(["fit", EXPERIMENT, f"--ckpt_path={LAST}"]) == 0  # that is to continue it
    assert json.loads((trained / "progress.json").read_text())["updates"] == 4
