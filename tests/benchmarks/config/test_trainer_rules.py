"""Everyday flags of Lightning's Trainer: one line, exit code 2, our own option."""

import shutil
from pathlib import Path

import pytest
import torch

import benchmarks.lightning_cli as training
from benchmarks.lightning_cli import ChronoReelCLI, main
from support.training_folder import EXPERIMENT, here, write

__all__ = ["here"]

OWN = {
    "accumulate_grad_batches=2": "--model.init_args.accumulate",
    "gradient_clip_val=1": "--model.init_args.clip_norm",
    "enable_checkpointing=false": "--checkpoints.every_n_epochs",
    "strategy=ddp": "--trainer.strategy ddp_find_unused_parameters_true",
    "barebones=true": "benchmarks speed",
    "accelerator=gpu": "--trainer.accelerator auto",
    "precision=16-mixed": "--trainer.precision bf16-mixed",
    "precision=16-true": "--trainer.precision bf16-mixed",
}


@pytest.mark.parametrize("flag", OWN)
def test_what_no_system_can_do_is_one_line_with_our_own_option(
    flag: str, here: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert main(["fit", EXPERIMENT, f"--trainer.{flag}"]) == 2
    (line,) = [line for line in capsys.readouterr().err.splitlines() if not line.startswith("Seed set")]
    assert line.startswith(f"lightning: --trainer.{flag.replace('=', ' ')}")
    assert OWN[flag] in line
    assert not Path("runs").exists()


def test_what_only_a_training_cannot_do_is_left_to_a_test(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ran: list[str] = []
    monkeypatch.setattr(ChronoReelCLI, "_run_subcommand", lambda self, command: ran.append(command))
    assert main(["test", EXPERIMENT, "--trainer.gradient_clip_val=1", "--trainer.accumulate_grad_batches=1"]) == 0
    assert ran == ["test"]


@pytest.mark.parametrize("name", ["notes.ckpt", "notes.safetensors"])
def test_a_text_file_is_no_checkpoint(name: str, here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path(name).write_text("no weights\n")
    assert main(["test", EXPERIMENT, f"--ckpt_path={name}"]) == 2
    assert f"{name} is not a checkpoint that can be read" in capsys.readouterr().err.splitlines()[-1]


def test_a_benchmark_and_a_part_are_no_runs(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    configs = Path(training.__file__).parents[1] / "configs"
    shutil.copy(configs / "benchmark" / "demo.yaml", "demo.yaml")
    assert main(["fit", "--config=demo.yaml"]) == 2
    assert "demo.yaml is a benchmark" in (said := capsys.readouterr().err)
    assert "`benchmarks run demo.yaml`" in said
    part = write("part.yaml", class_path="BlackClips")
    assert main(["fit", part]) == 2
    assert "part.yaml is one part of a run (BlackClips)" in (said := capsys.readouterr().err)
    assert "--model=part.yaml" in said
