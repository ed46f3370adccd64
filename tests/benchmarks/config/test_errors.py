"""What the `lightning` command refuses, and how it says so: in one line, with the way out."""

import os
from pathlib import Path
from typing import Any

import pytest
import torch

from benchmarks.cli import lightning
from benchmarks.lightning_cli import main
from benchmarks.records.provenance import ROOT
from lightning_modules.checkpoints.build import load, save
from support.training_folder import DATA, EXAM, EXPERIMENT, QUIET, RUN, here, write

__all__ = ["here"]


MISTAKES = {
    "foreign module": (
        ["--model=no_such_module.Drift"],
        "There is no module 'no_such_module' that Python finds from here.",
    ),
    "class": (["--model=Constnat"], "Unknown class 'Constnat'. Did you mean 'Constant'?"),
    "class path": (
        ["--model=baselines.constant.Constnat"],
        "Unknown class 'baselines.constant.Constnat'. Did you mean 'baselines.constant.Constant'?",
    ),
    "module": (
        ["--model=baselines.constnat.Constant"],
        "Unknown class 'baselines.constnat.Constant'. Did you mean 'baselines.constant.Constant'?",
    ),
    "option": (["--modle=Constant"], "Unknown option 'modle'. Did you mean 'model'?"),
    "group": (["--evaluation.taks=[]"], "Unknown option 'evaluation.taks'. Did you mean 'evaluation.tasks'?"),
    "argument": (["--model.valu=mean"], "Unknown Constant argument 'valu'. Did you mean 'value'?"),
    "value": (["--model.value=meen"], "model.value", "'black'", "'mean'", "got 'meen'"),
    "type": (["--trainer.max_epochs=three"], "trainer.max_epochs", "int", "got 'three'"),
    "nested type": (["--data.sampling.num_frames=x"], "data.sampling.num_frames", "int", "got 'x'"),
    "nested class": (["--data.sampling=Regulr"], "Unknown class 'Regulr'. Did you mean 'Regular'?"),
    "foreign class": (
        ["--model=VidODE", "--model.generator_optimizer=torch.optim.Adm"],
        "Unknown class 'torch.optim.Adm'. Did you mean 'torch.optim.Adam'?",
    ),
    "foreign argument": (
        ["--model=VidODE", "--model.generator_optimizer={class_path: torch.optim.Adam, init_args: {lrr: 2}}"],
        "Unknown Adam argument 'lrr'. Did you mean 'lr'?",
    ),
    "another kind": (["--data=baselines.repeat_last.RepeatLast"], "RepeatLast is no ClipDataModule"),
    "beside init_args": (["--model={class_path: Constant, value: mean}"], "init_args", "`value`"),
    "no class_path": (["--data=[1, 2]"], "data", "ClipDataModule", "[1, 2]"),
    "file of a part": (["--model=nope.yaml"], "Unknown config file 'nope.yaml'"),
    "a word too many": (["stray"], "'stray'"),
    "what the trainer refuses": (["--trainer.max_epochs=-7"], "max_epochs"),
    "task": (
        ["--evaluation.tasks=[{class_path: Predict, init_args: {contxt: 3}}]"],
        "Unknown Predict argument 'contxt'. Did you mean 'context'?",
    ),
    "metric": (["--evaluation.metrics=[{class_path: SIMM}]"], "Unknown class 'SIMM'. Did you mean 'SSIM'?"),
    "file": (
        ["--config=configs/experiment/predict_balls/maen.yaml"],
        "Unknown config file 'configs/experiment/predict_balls/maen.yaml'. Did you mean "
        "'configs/experiment/predict_balls/mean.yaml'?",
    ),
    "checkpoint": (["--ckpt_path=runs/x.ckpt"], "Unknown checkpoint 'runs/x.ckpt'"),
    "constructor": (["--budget.seconds=-3"], "The budget's seconds must be positive, or None for no limit; got -3.0."),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_one_line_with_the_nearest_right_name(
    mistake: str, here: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    words, *facts = MISTAKES[mistake]
    assert main(["test", EXPERIMENT, *words]) == 2
    (line,) = [line for line in capfd.readouterr().err.splitlines() if line.startswith("lightning: ")]
    assert all(fact in line for fact in facts), line


def test_mistakes_in_a_file_are_named_too(here: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["test", write("a.yaml", modle="Constant", data=DATA)]) == 2
    assert "Unknown option 'modle'. Did you mean 'model'?" in capfd.readouterr().err
    assert main(["test", write("b.yaml", data=DATA)]) == 2
    assert "Required and not given: model." in capfd.readouterr().err
    assert main(["test", write("c.yaml", model="RepeatLast", data="BouncingBalls")]) == 2
    assert "Required of BouncingBalls and not given: sampling." in capfd.readouterr().err
    assert main(["fti", EXPERIMENT]) == 2
    assert "Unknown command 'fti'. Did you mean 'fit'?" in capfd.readouterr().err


def test_nothing_to_fit(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["fit", write("a.yaml", model="RepeatLast", data=DATA, trainer=QUIET)]) == 2
    assert "RepeatLast has nothing to learn. Use `lightning test`." in capsys.readouterr().err


@pytest.mark.parametrize("command", ["test", "predict"])
def test_nothing_to_ask(command: str, here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = [write("a.yaml", model="RepeatLast", data=DATA, trainer=QUIET), "--evaluation.metrics+=MSE"]
    assert main([command, *words]) == 2
    shown = capsys.readouterr()
    assert "There is nothing to ask: `evaluation.tasks` is empty." in shown.err
    assert "--evaluation.tasks+=Predict --evaluation.tasks.context" in shown.err
    assert "The answers are in" not in shown.out


class Bomb:
    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, ("touch exploded",)


@pytest.mark.parametrize("command", ["test", "fit"])
def test_a_checkpoint_runs_nobodys_code(command: str, here: Path, capfd: pytest.CaptureFixture[str]) -> None:
    torch.save({"state_dict": {}, "bomb": Bomb()}, "evil.ckpt")
    assert main([command, EXPERIMENT, "--ckpt_path=evil.ckpt"]) == 2
    said = "cannot be used as a checkpoint" if command == "test" else "is not a checkpoint that can be read"
    assert f"evil.ckpt {said}" in capfd.readouterr().err
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


def test_weights_of_another_model_are_refused_in_one_line(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["fit", EXPERIMENT]) == 0
    last = RUN / "checkpoints" / "last.ckpt"
    save(load(last), Path("mean.safetensors"))
    for file in (str(last), "mean.safetensors"):
        assert main(["test", EXPERIMENT, "--model=baselines.repeat_last.RepeatLast", f"--ckpt_path={file}"]) == 2
        error = capsys.readouterr().err.strip().splitlines()[-1]
        assert f"The weights in {file} are not of the model that is configured: it has no place for " in error


def test_data_that_are_not_here_are_said_in_one_line(here: Path, capfd: pytest.CaptureFixture[str]) -> None:
    options = {"archives": "nowhere", "root": "data", "size": 16, "sampling": DATA["init_args"]["sampling"]}
    faces = write("faces.yaml", data={"class_path": "MUG", "init_args": options})
    with pytest.raises(SystemExit) as end:
        lightning(["fit", EXPERIMENT, faces])
    assert end.value.code == 2
    told = capfd.readouterr().err
    assert "nowhere must hold" in told
    assert "Traceback" not in told


def test_what_a_system_says_of_its_data_is_one_line_and_a_slip_of_code_is_not(
    here: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    configs = ROOT / "configs"
    files = ("experiment/inbetween_moving_shapes/inbetweening_small.yaml", "smoke/inbetweening.yaml")
    words = ["fit", *(f"--config={configs / file}" for file in files), "--data.sampling.num_frames=12"]
    with pytest.raises(SystemExit) as end:
        lightning(words)
    assert end.value.code == 2
    (line,) = [line for line in capfd.readouterr().err.splitlines() if line.startswith("lightning: ")]
    assert "generates clips of 16 frames; the data's have 12" in line

    with pytest.raises(SystemExit) as end:
        lightning([*words, "--model.generator.size=48"])
    assert end.value.code == 2
    (line,) = [line for line in capfd.readouterr().err.splitlines() if line.startswith("lightning: ")]
    assert line.startswith("lightning: `size` must be 8 times a power of two")
    assert "Namespace" not in line

    monkeypatch.setattr("lightning_modules.inbetweening.Inbetweening.generate_fakes", lambda *_: int("no number"))
    with pytest.raises(ValueError, match="invalid literal"):
        lightning(words)
