"""Released Vid-ODE checkpoints: the weights that psh01087/Vid-ODE saved, under our names."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from datamodules.errors import UserError
from lightning_modules.checkpoints.build import build
from lightning_modules.system import System

NAMES = {
    "encoder.model.": "image_encoder.",
    "encoder_z0.z0_diffeq_solver.ode_func.gradient_net.": "encoder.field.layers.",
    "encoder_z0.cell_list.0.conv_gates.": "encoder.cell.gates.",
    "encoder_z0.cell_list.0.conv_can.": "encoder.cell.candidate.",
    "encoder_z0.transform_z0.": "encoder.head.",
    "diffeq_solver.ode_func.gradient_net.": "dynamics.field.layers.",
    "decoder.model.": "image_decoder.",
}
"""Prefixes of names in the released code (models/conv_odegru.py) and in `VidODENetwork`; the rest is the same."""


def from_released(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The weights of the released `VidODE` (its `state_dict`) under the names of `VidODENetwork`.

    Raises:
        UserError: if a name is not one of the released code's.
    """
    renamed = {}
    for name, value in weights.items():
        before = next((before for before in NAMES if name.startswith(before)), None)
        if before is None:
            raise UserError(
                f"The weight {name} is not one of Vid-ODE's released names, which begin with {', '.join(NAMES)}. "
                "A checkpoint of this suite loads with `lightning_modules.checkpoints.build.load`."
            )
        renamed[NAMES[before] + name.removeprefix(before)] = value
    return renamed


def load_released(path: str | os.PathLike[str], config: Mapping[str, Any]) -> System:
    """The system of a configuration with the generator of a released `ckpt_*.pth`, in evaluation mode.

    The file holds the generator's `state_dict` and nothing else (utils.save_checkpoint), so critics keep their
    initial weights. Only tensors are unpickled.

    Args:
        path: the released file.
        config: as under `model:` in `configs/model/vid_ode_released.yaml`, or another of its sizes.

    Raises:
        UserError: if the file holds anything but Vid-ODE's weights, or they do not fit the configuration.
    """
    weights = torch.load(Path(path), map_location="cpu", weights_only=True)
    if not isinstance(weights, Mapping) or not all(isinstance(value, Tensor) for value in weights.values()):
        raise UserError(f"{path} is no released Vid-ODE checkpoint: those hold only named tensors.")
    system = build(config)
    try:
        system.generator.load_state_dict(from_released(weights))  # type: ignore[union-attr]
    except RuntimeError as error:
        raise UserError(f"The weights in {path} do not fit the configuration. {error}") from error
    return system.eval()
