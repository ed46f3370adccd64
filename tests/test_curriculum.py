"""Every shipped training with a curriculum sees whole clips, and with them the frames it is asked for, early on."""

from pathlib import Path
from typing import Any

import pytest
import torch

from baselines.ode2vae import ODE2VAE
from benchmarks.config.resolve import full_class_paths, resolve
from benchmarks.runs.spec import read_benchmarks
from lightning_modules.checkpoints.build import build

CONFIGS = Path(__file__).parents[1] / "configs"


def trainings() -> dict[str, dict[str, Any]]:
    """The configuration of each experiment and each row of a benchmark whose model has a curriculum."""
    asked: dict[str, tuple[Path, list[str]]]
    asked = {str(path.relative_to(CONFIGS)): (path, []) for path in CONFIGS.glob("experiment/*/ode2vae*.yaml")}
    for spec in read_benchmarks(CONFIGS / "benchmark").values():
        for row in spec.rows:
            if row.experiment is not None and any("ode2vae" in word for word in [row.experiment, *row.overrides]):
                words = [word.replace("configs/", f"{CONFIGS}/") for word in row.overrides]
                asked[f"{spec.name}: {row.name}"] = (CONFIGS / "experiment" / f"{row.experiment}.yaml", words)
    found = {name: full_class_paths(resolve([path], words)) for name, (path, words) in asked.items()}
    return {name: one for name, one in found.items() if one["model"]["init_args"].get("curriculum", True)}


TRAININGS = trainings()


def test_a_training_by_updates_and_one_by_epochs_are_among_them() -> None:
    kinds = {bool((config.get("budget") or {}).get("generator_updates")) for config in TRAININGS.values()}
    assert kinds == {True, False}


@pytest.mark.parametrize("name", TRAININGS)
def test_whole_clips_are_trained_on_from_a_quarter_of_the_training_on(name: str) -> None:
    config = TRAININGS[name]
    data = config["data"]["init_args"]
    frames, per_epoch = (
        data["sampling"]["init_args"]["num_frames"],
        -(-data.get("train_clips", 1000) // data["batch_size"]),
    )
    planned = (config.get("budget") or {}).get("generator_updates") or config["trainer"]["max_epochs"] * per_epoch
    with torch.device("meta"):
        system = build(config["model"])
    assert isinstance(system, ODE2VAE)
    reached = []
    for update in (0, planned // 4):
        system.generator_updates = update
        system._trainer = type("Clock", (), {"current_epoch": update // per_epoch})()
        reached.append(system.training_length(frames))
    assert reached[0] < system.observe
    assert reached[1] == frames
