"""The `lightning` command: what it makes, what it resumes, what it refuses, and how it says so."""

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

import benchmarks.training as training
from benchmarks.cli import lightning
from benchmarks.forked import Forked
from benchmarks.records import read_record
from benchmarks.training import Command, main
from lightning_modules.build import load, save

DATA = {
    "class_path": "BouncingBalls",
    "init_args": {
        "train_clips": 4,
        "val_clips": 2,
        "test_clips": 2,
        "length": 8,
        "size": 16,
        "batch_size": 2,
        "sampling": {"class_path": "Regular", "init_args": {"num_frames": 7}},
    },
}
EXAM = {
    "tasks": [{"class_path": "Predict", "init_args": {"given": 3}}],
    "metrics": [{"class_path": "MSE"}],
    "gallery": 0,
}
QUIET = {"accelerator": "cpu", "devices": 1, "enable_progress_bar": False, "enable_model_summary": False}


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder with an experiment in it, as the working folder."""
    monkeypatch.chdir(tmp_path)
    write(
        "configs/experiment/predict_balls/mean.yaml",
        model={"class_path": "Constant", "init_args": {"value": "mean"}},
        data=DATA,
        evaluation=EXAM,
        trainer={**QUIET, "max_epochs": 2, "log_every_n_steps": 1},
    )
    return tmp_path


def write(name: str, **content: Any) -> str:
    Path(name).parent.mkdir(parents=True, exist_ok=True)
    Path(name).write_text(yaml.safe_dump(content))
    return f"--config={name}"


EXPERIMENT = "--config=configs/experiment/predict_balls/mean.yaml"
RUN = Path("runs/predict_balls/mean/0")


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
    assert (record.budget.generator_updates, record.budget.device) == (4, "cpu")
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


def test_the_groups_stand_beside_the_callbacks_of_the_trainer(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    commands = []
    monkeypatch.setattr(Command, "_run_subcommand", lambda self, _: commands.append(self))
    callbacks = [{"class_path": "lightning.pytorch.callbacks.LearningRateMonitor"}]
    mine = write("mine.yaml", trainer={"callbacks": callbacks}, budget={"generator_updates": 3})
    assert main(["fit", EXPERIMENT, mine, "--trainer.max_epochs=null"]) == 0
    trainer = commands[0].trainer
    names = {type(callback).__name__ for callback in trainer.callbacks}
    ours = {"Evaluation", "WeightAveraging", "Budget", "Checkpoints", "RandomState", "Health", "UpdateAxis"}
    assert names >= {"LearningRateMonitor", *ours}
    assert type(trainer.logger).__name__ == "CsvLog"
    assert trainer.max_epochs == -1  # the budget ends it
    assert commands[0].model.config == {"class_path": "baselines.constant.Constant", "init_args": {"value": "mean"}}


MISTAKES = {
    "foreign module": (
        ["--model=no_such_module.Drift"],
        "There is no module 'no_such_module' that Python finds from here.",
    ),
    "class": (["--model=Constnat"], "There is no class 'Constnat'. Did you mean 'Constant'?"),
    "class path": (
        ["--model=baselines.constant.Constnat"],
        "There is no class 'baselines.constant.Constnat'. Did you mean 'baselines.constant.Constant'?",
    ),
    "module": (
        ["--model=baselines.constnat.Constant"],
        "There is no class 'baselines.constnat.Constant'. Did you mean 'baselines.constant.Constant'?",
    ),
    "option": (["--modle=Constant"], "There is no option 'modle'. Did you mean 'model'?"),
    "group": (["--evaluation.taks=[]"], "There is no option 'evaluation.taks'. Did you mean 'evaluation.tasks'?"),
    "argument": (["--model.valu=mean"], "There is no Constant argument 'valu'. Did you mean 'value'?"),
    "value": (["--model.value=meen"], "Literal['black', 'mean']. Got value: meen"),
    "type": (["--trainer.max_epochs=three"], "trainer.max_epochs: Expected a int. Got value: three"),
    "task": (
        ["--evaluation.tasks=[{class_path: Predict, init_args: {givn: 3}}]"],
        "There is no Predict argument 'givn'. Did you mean 'given'?",
    ),
    "metric": (["--evaluation.metrics=[{class_path: SIMM}]"], "There is no class 'SIMM'. Did you mean 'SSIM'?"),
    "file": (
        ["--config=configs/experiment/predict_balls/maen.yaml"],
        "There is no config file 'configs/experiment/predict_balls/maen.yaml'. Did you mean "
        "'configs/experiment/predict_balls/mean.yaml'?",
    ),
    "checkpoint": (["--ckpt_path=runs/x.ckpt"], "There is no checkpoint 'runs/x.ckpt'"),
    "constructor": (["--budget.seconds=-3"], "The budget's seconds must be positive, or None for no limit; got -3.0."),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_one_line_with_the_nearest_right_name(
    mistake: str, here: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    words, expected = MISTAKES[mistake]
    assert main(["test", EXPERIMENT, *words]) == 2
    (line,) = [line for line in capfd.readouterr().err.splitlines() if line.startswith("lightning: ")]
    assert expected in line


def test_mistakes_in_a_file_are_named_too(here: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["test", write("a.yaml", modle="Constant", data=DATA)]) == 2
    assert "There is no option 'modle'. Did you mean 'model'?" in capfd.readouterr().err
    assert main(["test", write("b.yaml", data=DATA)]) == 2
    assert "Required and not given: model." in capfd.readouterr().err
    assert main(["test", write("c.yaml", model="RepeatLast", data="BouncingBalls")]) == 2
    assert "Required of BouncingBalls and not given: sampling." in capfd.readouterr().err
    assert main(["fti", EXPERIMENT]) == 2
    assert "There is no command 'fti'. Did you mean 'fit'?" in capfd.readouterr().err


def test_help_needs_no_torch(here: Path) -> None:
    code = "import sys, benchmarks.cli as c\ntry: c.lightning(['--help'])\nfinally: print('torch' in sys.modules)"
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert shown.startswith("usage: lightning COMMAND")
    assert shown.endswith("False\n")


def test_nothing_to_fit(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["fit", write("a.yaml", model="RepeatLast", data=DATA, trainer=QUIET)]) == 2
    assert "RepeatLast has nothing to learn. Use `lightning test`." in capsys.readouterr().err


@pytest.mark.parametrize("command", ["test", "predict"])
def test_nothing_to_ask(command: str, here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = [write("a.yaml", model="RepeatLast", data=DATA, trainer=QUIET), "--evaluation.metrics+=MSE"]
    assert main([command, *words]) == 2
    shown = capsys.readouterr()
    assert "There is nothing to ask: `evaluation.tasks` is empty." in shown.err
    assert "--evaluation.tasks+=Predict --evaluation.tasks.given" in shown.err
    assert "The answers are in" not in shown.out


class Bomb:
    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, ("touch exploded",)


@pytest.mark.parametrize("command", ["test", "fit"])
def test_a_checkpoint_runs_nobodys_code(command: str, here: Path, capfd: pytest.CaptureFixture[str]) -> None:
    torch.save({"state_dict": {}, "bomb": Bomb()}, "evil.ckpt")
    if command == "test":
        assert main([command, EXPERIMENT, "--ckpt_path=evil.ckpt"]) == 2
        assert "evil.ckpt cannot be used as a checkpoint" in capfd.readouterr().err
    else:
        with pytest.raises(Exception, match=r"[Ww]eights.only"):
            main([command, EXPERIMENT, "--ckpt_path=evil.ckpt"])
    assert not Path("exploded").exists()


def test_the_users_own_classes_are_those_that_the_user_names(here: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["fit", EXPERIMENT, "--trainer.max_epochs=1"]) == 0
    checkpoint = torch.load(RUN / "checkpoints" / "last.ckpt", weights_only=True)
    checkpoint["config"]["class_path"] = "mine.models.Drift"
    torch.save(checkpoint, "mine.ckpt")
    exam = write("exam.yaml", data=DATA, evaluation=EXAM, trainer=QUIET)
    theirs = write("theirs.yaml", model={"class_path": "mine.elsewhere.Drift"})
    ours = write("models/ours.yaml", class_path="mine.models.Drift")
    indirect = write("indirect.yaml", model="models/ours.yaml")
    for words in ([], ["--model=mine.elsewhere.Drift"], [theirs], ["--model=Drift"]):
        assert main(["test", exam, *words, "--ckpt_path=mine.ckpt"]) == 2
        assert "name it on the command line (`--model mine.models.Drift`)" in capfd.readouterr().err
    for words in (
        ["--model=mine.models.Drift"],
        ["--model", "mine.models.Drift"],
        [indirect],
        [ours.replace("config", "model")],
    ):
        assert (
            main(["test", exam, *words, "--ckpt_path=mine.ckpt"]) == 2
        )  # there is no such module, but it was looked for
        assert "name it on the command line" not in capfd.readouterr().err


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
    monkeypatch.setattr(Command, "_run_subcommand", lambda self, _: commands.append(self))
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
    monkeypatch.setattr(Command, "instantiate_classes", lambda self: taken.append(self.config.test.trainer))
    monkeypatch.setattr(Command, "_run_subcommand", lambda self, _: None)
    assert main(["test", EXPERIMENT, f"--trainer={configs / 'trainer' / name}.yaml"]) == 0
    content = yaml.safe_load((configs / "trainer" / f"{name}.yaml").read_text())
    for wanted, got in zip(content.pop("callbacks", []), taken[0]["callbacks"] or [], strict=True):
        assert wanted["class_path"] == got["class_path"]
        assert wanted["init_args"].items() <= dict(got["init_args"]).items()  # defaults may stand beside them
    assert {key: taken[0][key] for key in content} == content


def test_weights_of_another_model_are_refused_in_one_line(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["fit", EXPERIMENT]) == 0
    last = RUN / "checkpoints" / "last.ckpt"
    save(load(last), Path("mean.safetensors"))
    for file in (str(last), "mean.safetensors"):
        assert main(["test", EXPERIMENT, "--model=baselines.repeat_last.RepeatLast", f"--ckpt_path={file}"]) == 2
        error = capsys.readouterr().err.strip().splitlines()[-1]
        assert f"The weights in {file} are not of the model that is configured: it has no place for " in error


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
    assert record.budget.generator_updates == 4
    assert [path.name for path in Path("runs").iterdir()] == ["predict_balls"]
    assert main(["fit", kept]) == 2
    assert f"{RUN} holds a run already" in capsys.readouterr().err


def test_data_that_are_not_here_are_said_in_one_line(here: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """By the command and by its forked twin, which `benchmarks run --fork` starts."""
    options = {"archives": "nowhere", "root": "data", "size": 16, "sampling": DATA["init_args"]["sampling"]}
    faces = write("faces.yaml", data={"class_path": "MUG", "init_args": options})
    with pytest.raises(SystemExit) as end:
        lightning(["fit", EXPERIMENT, faces])
    assert end.value.code == 2
    told = capfd.readouterr().err
    assert "nowhere must hold" in told
    assert "Traceback" not in told
    with capfd.disabled(), Forked(["fit", EXPERIMENT, faces, "--seed_everything=1"]) as process:
        told = process.stderr.read()
        assert process.wait() == 2
    assert "nowhere must hold" in told
    assert "Traceback" not in told
