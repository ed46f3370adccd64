"""The `lightning` command: what it makes, what it resumes, and where it says the results are."""

import csv
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from safetensors.torch import load_file

import benchmarks.lightning_cli as training
from benchmarks.lightning_cli import ChronoReelCLI, main
from benchmarks.records.record import read_record
from lightning_modules.checkpoints.build import load, save
from support.training_folder import DATA, EXAM, EXPERIMENT, QUIET, RUN, here, write

__all__ = ["here"]


def test_fit_then_test_by_the_checkpoint_alone(here: Path) -> None:
    assert main(["fit", EXPERIMENT]) == 0
    assert {path.name for path in RUN.iterdir()} >= {"config.yaml", "checkpoints", "metrics.csv"}
    assert [path.name for path in (RUN / "checkpoints").iterdir()] == ["last.ckpt"]
    last = RUN / "checkpoints" / "last.ckpt"

    saved = torch.load(last, weights_only=True)
    assert saved["config"] == {"class_path": "baselines.constant.Constant", "init_args": {"value": "mean"}}
    assert json.loads(json.dumps(saved["config"])) == saved["config"]
    assert saved["state_dict"]["updates"] == 4
    resolved = yaml.safe_load((RUN / "config.yaml").read_text())
    assert resolved["model"] == saved["config"]
    assert (resolved["seed_everything"], resolved["trainer"]["use_distributed_sampler"]) == (0, False)

    exam = write("exam.yaml", data=DATA, evaluation=EXAM, trainer=QUIET)  # names no model
    assert main(["test", exam, f"--ckpt_path={last}"]) == 0
    record = read_record(Path("runs/exam/0/record.json"))
    assert record.model["class_path"] == "baselines.constant.Constant"
    assert (record.budget.updates, record.budget.device) == (4, "cpu")
    assert record.budget.seconds > 0
    assert record.config["model"] == saved["config"]

    save(load(last), Path("mean.safetensors"))
    assert "total" in load_file("mean.safetensors")
    assert main(["test", exam, "--ckpt_path=mean.safetensors", "--trainer.default_root_dir=light"]) == 0
    assert read_record(Path("light/record.json")).metrics == record.metrics


def test_a_run_is_continued_not_overwritten(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["fit", EXPERIMENT, "--trainer.max_epochs=1"]) == 0
    assert main(["fit", EXPERIMENT]) == 2
    assert "holds a run already. Continue it with `--ckpt_path last`" in capsys.readouterr().err
    assert main(["fit", EXPERIMENT, "--ckpt_path=last"]) == 0
    assert torch.load(RUN / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"]["updates"] == 4
    with (RUN / "metrics.csv").open() as file:
        rows = [row for row in csv.DictReader(file) if row["val/predict/mse"]]
    assert [int(row["step"]) for row in rows] == [2, 4]
    assert main(["fit", EXPERIMENT, "--seed_everything=3", "--trainer.max_epochs=1"]) == 0
    assert Path("runs/predict_balls/mean/3/checkpoints/last.ckpt").is_file()


def test_a_training_goes_on_with_the_model_that_it_began_with(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["fit", EXPERIMENT, "--trainer.max_epochs=1"]) == 0
    words = ["fit", EXPERIMENT, "--ckpt_path=last", "--trainer.max_epochs=2"]
    assert main([*words, "--model.init_args.value=black"]) == 2
    assert "trained with model.init_args.value mean, and now it is black" in capsys.readouterr().err
    assert main(words) == 0


def test_the_groups_stand_beside_the_callbacks_of_the_trainer(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    commands = []
    monkeypatch.setattr(ChronoReelCLI, "_run_subcommand", lambda self, _: commands.append(self))
    callbacks = [{"class_path": "lightning.pytorch.callbacks.LearningRateMonitor"}]
    mine = write("mine.yaml", trainer={"callbacks": callbacks}, budget={"generator_updates": 3})
    assert main(["fit", EXPERIMENT, mine, "--trainer.max_epochs=null"]) == 0
    trainer = commands[0].trainer
    names = {type(callback).__name__ for callback in trainer.callbacks}
    ours = {"Evaluation", "EMAWeights", "Budget", "Checkpoints", "RandomState", "NaNGuard", "GeneratorStepLogger"}
    assert names >= {"LearningRateMonitor", *ours}
    assert type(trainer.logger).__name__ == "CsvLog"
    assert trainer.max_epochs == -1  # the budget ends it
    assert commands[0].model.config == {"class_path": "baselines.constant.Constant", "init_args": {"value": "mean"}}


def test_help_needs_no_torch(here: Path) -> None:
    code = "import sys, benchmarks.cli as c\ntry: c.lightning(['--help'])\nfinally: print('torch' in sys.modules)"
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert shown.startswith("usage: lightning COMMAND")
    assert shown.endswith("False\n")


def test_predict_draws_and_measures_nothing(here: Path) -> None:
    words = ["--model.value=black", "--evaluation.gallery=2"]
    assert main(["predict", EXPERIMENT, *words]) == 0
    assert [path.name for path in (RUN / "samples").iterdir()] == ["predict-predict-0.mp4"]
    assert not list(RUN.glob("record*"))


@pytest.mark.parametrize("name", ["csv", "wandb"])
def test_the_logger_configs_write_to_the_folder_of_the_run(
    name: str, here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    commands: list[Any] = []
    monkeypatch.setattr(ChronoReelCLI, "_run_subcommand", lambda self, _: commands.append(self))
    monkeypatch.delenv("WANDB_MODE", raising=False)
    configs = Path(training.__file__).parents[1] / "configs"
    shutil.copytree(configs / "logger", "configs/logger")
    assert main(["fit", EXPERIMENT, f"--trainer.logger=configs/logger/{name}.yaml"]) == 0
    assert Path(commands[0].trainer.logger.save_dir) == RUN
    assert os.environ.pop("WANDB_MODE", None) == ("offline" if name == "wandb" else None)


@pytest.mark.parametrize("name", ["cpu", "gpu", "ddp"])
def test_the_trainer_configs_are_what_a_trainer_takes(name: str, here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    configs = Path(training.__file__).parents[1] / "configs"
    taken: list[Any] = []
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(ChronoReelCLI, "instantiate_classes", lambda self: taken.append(self.config.test.trainer))
    monkeypatch.setattr(ChronoReelCLI, "_run_subcommand", lambda self, _: None)
    assert main(["test", EXPERIMENT, f"--trainer={configs / 'trainer' / name}.yaml"]) == 0
    content = yaml.safe_load((configs / "trainer" / f"{name}.yaml").read_text())
    for wanted, got in zip(content.pop("callbacks", []), taken[0]["callbacks"] or [], strict=True):
        assert wanted["class_path"] == got["class_path"]
        assert wanted["init_args"].items() <= dict(got["init_args"]).items()  # defaults may stand beside them
    assert {key: taken[0][key] for key in content} == content


def test_a_budgeted_training_names_no_last_epoch(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shown = write("shown.yaml", trainer={"enable_progress_bar": True})
    assert main(["fit", EXPERIMENT, shown, "--trainer.max_epochs=null", "--budget.generator_updates=3"]) == 0
    assert "/-2" not in capsys.readouterr().out


def test_predict_says_where_the_answers_are_and_test_where_the_record_is(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["fit", EXPERIMENT]) == 0
    for verb, said in (
        ("predict", f"The answers are in {RUN / 'samples'}."),
        ("test", f"Wrote {RUN / 'record.json'}."),
    ):
        assert main([verb, EXPERIMENT, f"--ckpt_path={RUN / 'checkpoints' / 'last.ckpt'}"]) == 0
        assert said in capsys.readouterr().out
    assert (RUN / "record.json").is_file()


def test_the_configuration_of_a_run_leads_back_to_the_run(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["fit", EXPERIMENT]) == 0
    kept = f"--config={RUN / 'config.yaml'}"
    assert main(["test", kept, "--ckpt_path=last"]) == 0
    record = read_record(RUN / "record.json")
    assert record.budget.updates == 4
    assert [path.name for path in Path("runs").iterdir()] == ["predict_balls"]
    assert main(["fit", kept]) == 2
    assert f"{RUN} holds a run already" in capsys.readouterr().err
