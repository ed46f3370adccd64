"""What a system does when Python builds it without an optimiser is what its model's file, and its docstring, say."""

from pathlib import Path
from typing import Any

import pytest
import torch

from benchmarks.config.resolve import full_class_paths, read_config
from lightning_modules.checkpoints.build import build
from lightning_modules.manual_optimization import ManualOptimizationSystem

MODELS = Path(__file__).parents[1] / "configs" / "model"
PUBLISHED = [
    "vid_ode", "vid_ode_interpolate", "vid_ode_released", "vid_rnn", "conv_gru", "conv_gru_dt", "conv_gru_decay",
    "ode_conv", "ode_fc", "latent_ode", "ode2vae", "inbetweening", "motion_gan", "motion_to_video_gan",
    "mocogan_original", "mocogan_ode1", "mocogan_sde",
]  # fmt: skip
"""The models whose optimisation is the default of their class: the paper's or its code's."""


def optimisation(config: dict[str, Any]) -> list[dict[str, Any]]:
    """Of each optimiser its kind and arguments, and the learning rates of the next 600 steps of its schedule."""
    with torch.device("meta"):
        system = build(config)
    assert isinstance(system, ManualOptimizationSystem)
    found = []
    for player in system.configure_optimizers():
        optimizer, schedule, rates = player["optimizer"], player.get("lr_scheduler"), []
        optimizer.step = lambda: None  # nothing is trained: a schedule only asks whether the optimiser was stepped
        for _ in range(600 if schedule is not None else 0):
            rates.append(optimizer.param_groups[0]["lr"])
            schedule.step()
        interval = system.schedule_interval if schedule is not None else None
        found.append({"kind": type(optimizer), "arguments": optimizer.defaults, "rates": rates, "per": interval})
    return found


@pytest.mark.filterwarnings("ignore:.*lr_scheduler.step.*")
@pytest.mark.parametrize("name", PUBLISHED)
def test_the_constructors_defaults_are_the_models_own(name: str) -> None:
    config = full_class_paths(read_config(MODELS / f"{name}.yaml"))
    plain = {
        key: value for key, value in config["init_args"].items() if "optimizer" not in key and "schedule" not in key
    }
    assert optimisation(config) == optimisation(config | {"init_args": plain})
