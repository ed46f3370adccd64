"""A training is finished when its epochs, updates or seconds were reached; whatever else ended it, it is not."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from lightning import Callback, LightningModule, Trainer

from benchmarks.lightning_cli import main
from benchmarks.records import provenance
from benchmarks.records.record import read_record
from benchmarks.runs.standing import UNFINISHED, retired_because
from benchmarks.utils.locks import NAME, locked
from lightning_modules.callbacks.nan_guard import NotFiniteError
from lightning_modules.checkpoints.ending import training_finished
from support.training_folder import EXPERIMENT, RUN, here

__all__ = ["here"]

LAST = RUN / "checkpoints" / "last.ckpt"
EACH = ["--checkpoints.every_n_updates=1", "--trainer.num_sanity_val_steps=0"]
MOMENT = "--trainer.max_time={milliseconds: 1}"
ENDLESS = [*EACH, "--trainer.max_epochs=-1"]


class EndsAtUpdate(Callback):
    """Ends the training in its third update, in one of several ways; two updates make an epoch."""

    def __init__(self, how: str) -> None:
        super().__init__()
        self.how = how

    def on_train_batch_end(self, trainer: Trainer, pl_module: LightningModule, *_: Any) -> None:
        if pl_module.generator_updates != 3:
            return
        if self.how == "should_stop":
            trainer.should_stop = True
        elif self.how == "SIGTERM":
            os.kill(os.getpid(), signal.SIGTERM)
        else:
            raise {"KeyboardInterrupt": KeyboardInterrupt, "NaN": NotFiniteError, "error": OSError}[self.how]


def with_callback(class_path: str, **arguments: Any) -> str:
    """A config file that adds a callback to the trainer."""
    Path("callback.yaml").write_text(
        yaml.safe_dump({"trainer": {"callbacks": [{"class_path": class_path, "init_args": arguments}]}})
    )
    return "--config=callback.yaml"


def finished() -> bool | None:
    """What last.ckpt says, read without torch and by torch."""
    content = torch.load(LAST, weights_only=True)
    assert training_finished(LAST) is content.get("training_finished")
    return training_finished(LAST)


@pytest.mark.parametrize(
    "limit",
    [
        ["--trainer.max_epochs=2"],
        ["--trainer.max_epochs=-1", "--budget.generator_updates=3"],
        ["--trainer.max_epochs=9", "--budget.generator_updates=4"],  # at the end of an epoch
        ["--trainer.max_epochs=-1", "--budget.seconds=0.01"],
        ["--trainer.max_epochs=null", MOMENT],  # the only limit there is
    ],
)
def test_a_training_that_reached_its_limit_is_finished(here: Path, limit: list[str]) -> None:
    assert main(["fit", EXPERIMENT, *EACH, *limit]) == 0
    assert finished() is True
    assert main(["test", EXPERIMENT, "--ckpt_path=last"]) == 0
    assert read_record(RUN / "record.json").training_finished is True


def test_a_training_that_its_own_rule_stopped_is_finished(here: Path) -> None:
    stop = {"monitor": "val/predict/mse", "patience": 1, "mode": "max"}  # the mean only gets better
    callback = with_callback("lightning.pytorch.callbacks.EarlyStopping", **stop)
    assert main(["fit", EXPERIMENT, callback, *EACH, "--trainer.max_epochs=50"]) == 0
    assert torch.load(LAST, weights_only=True)["epoch"] < 10
    assert finished() is True


@pytest.mark.parametrize("how", ["should_stop", "SIGTERM", "KeyboardInterrupt", "NaN", "error"])
def test_whatever_else_ends_a_training_leaves_it_unfinished_and_it_goes_on(
    here: Path, how: str, capsys: pytest.CaptureFixture[str]
) -> None:
    callback = with_callback(f"{__name__}.EndsAtUpdate", how=how)
    words = ["fit", EXPERIMENT, *EACH]
    expected = {"KeyboardInterrupt": SystemExit, "NaN": NotFiniteError, "error": OSError}
    if how in expected:
        with pytest.raises(expected[how]) as caught:
            main([*words, callback])
        assert not isinstance(caught.value, SystemExit) or caught.value.code not in (None, 0)
    else:
        assert main([*words, callback]) == (143 if how == "SIGTERM" else 0)
    assert finished() is False
    if how == "should_stop":
        assert "stopped before its epochs, updates or seconds were reached" in capsys.readouterr().err
    assert main(["test", EXPERIMENT, "--ckpt_path=last"]) == 0
    record = read_record(RUN / "record.json")
    assert record.training_finished is False
    assert retired_because(record) == UNFINISHED
    assert main([*words, "--ckpt_path=last"]) == 0
    assert finished() is True
    assert torch.load(LAST, weights_only=True)["state_dict"]["updates"] == 4


def test_the_time_of_a_session_is_not_the_end_of_a_training(here: Path) -> None:
    assert main(["fit", EXPERIMENT, *ENDLESS, MOMENT, "--budget.generator_updates=9"]) == 0
    assert finished() is False


def test_a_checkpoint_whose_end_is_not_known_says_nothing(tmp_path: Path) -> None:
    for name, content in (("a.ckpt", b""), ("b.safetensors", b"\xff" * 20), ("c.ckpt", b"PK\x03\x04 not a zip")):
        (tmp_path / name).write_bytes(content)
        assert training_finished(tmp_path / name) is None
    torch.save({"training_finished": "yes"}, tmp_path / "d.ckpt")
    assert training_finished(tmp_path / "d.ckpt") is None


def test_one_training_at_a_time_writes_to_a_folder(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with locked(RUN / NAME):
        assert main(["fit", EXPERIMENT]) == 2
        error = capsys.readouterr().err
        assert error.count("\n") == 1
        assert f"Another training writes to {RUN} (process {os.getpid()} on " in error
        assert not LAST.exists()
        assert main(["fit", EXPERIMENT, "--seed_everything=1", "--trainer.max_epochs=1"]) == 0  # another folder
    assert (RUN / NAME).is_file()  # as a dead process leaves it
    assert main(["fit", EXPERIMENT, "--trainer.max_epochs=1"]) == 0


def test_a_terminated_training_exits_with_143_and_lets_go_of_its_folder(here: Path) -> None:
    code = "from benchmarks.cli import lightning; lightning()"
    environment = {**os.environ, "PYTHONPATH": str(provenance.ROOT)}
    words = [*ENDLESS, "--budget.seconds=600"]
    child = subprocess.Popen(
        [sys.executable, "-c", code, "fit", EXPERIMENT, *words], env=environment, stderr=subprocess.PIPE
    )
    try:
        deadline = time.monotonic() + 120
        while not LAST.is_file():
            assert child.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.05)
        assert main(["fit", EXPERIMENT, *words]) == 2  # while it runs
        child.terminate()
        child.communicate(timeout=60)
    finally:
        child.kill()
    assert child.returncode == 143
    assert finished() is False
    spent = torch.load(LAST, weights_only=True)["state_dict"]["updates"]
    assert main(["fit", EXPERIMENT, *ENDLESS, f"--budget.generator_updates={spent + 1}", "--ckpt_path=last"]) == 0
    assert finished() is True
