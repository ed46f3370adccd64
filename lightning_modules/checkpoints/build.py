"""Systems from plain configurations, and back: self-contained checkpoints that run no code when they are loaded."""

import json
import os
from argparse import ArgumentError
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from pickle import UnpicklingError
from typing import Any, TypeVar

import torch
from jsonargparse import ArgumentParser
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from datamodules.errors import MissingFileError, UserError, user_error_in
from datamodules.files import atomic_path, sha256_of
from lightning_modules.checkpoints.allow_list import check, only
from lightning_modules.checkpoints.ending import training_finished
from lightning_modules.checkpoints.renamed import Names
from lightning_modules.system import System, with_config
from lightning_modules.training_cost import TrainingCost

Built = TypeVar("Built")

MALFORMED = (AttributeError, TypeError, ValueError, RuntimeError, LookupError, ArithmeticError)
"""What plain data of an unexpected form raises in code that reads it."""


# what torch and safetensors raise for a text file, a cut or a foreign one
_UNREADABLE = (UnpicklingError, EOFError, SafetensorError, OSError, *MALFORMED)


class ConfigError(UserError):
    """A configuration names a class that does not exist, or does not fit a class's arguments."""


def build(config: Mapping[str, Any], *, trust: Sequence[str] = ()) -> System:
    """The system that a configuration describes.

    Args:
        config: `class_path` and `init_args` as plain data, as under `model:` in a YAML file.
        trust: further packages whose classes the configuration may name, such as your own.

    Raises:
        UserError: if the configuration names a class of another package, or does not fit the class's arguments.
    """
    if not isinstance(config.get("class_path"), str):
        raise ConfigError("A model's configuration needs a `class_path`, the name of its class.")
    try:
        config = Names().of_config(config)
    except (ValueError, TypeError, RecursionError) as error:
        raise ConfigError(f"The configuration cannot be read: {' '.join(str(error).split())[:300]}") from error
    check(config, trust)
    with only(trust):
        return with_config(build_object(System, config), config)


def build_object(kind: type[Built], config: Mapping[str, Any]) -> Built:
    """The object that a configuration describes; unlike `build` it trusts classes of every package.

    Args:
        kind: its base class; the configuration may name a subclass without its module if that is imported.
        config: `class_path` and `init_args` as plain data.

    Raises:
        ConfigError: if the class does not exist or does not take these arguments.
        UserError: if the class rejects their values.
    """
    parser = ArgumentParser(exit_on_error=False)
    parser.add_subclass_arguments(kind, "object")
    try:
        parsed = parser.parse_object({"object": dict(config)})
    except ArgumentError as error:
        said = " ".join(str(error).split())[:600]
        raise ConfigError(f"No {kind.__name__} can be built from this configuration: {said}") from error
    try:
        built: Built = parser.instantiate(parsed).object
    except ValueError as error:  # the parser wraps what constructors raise
        if told := user_error_in(error):
            raise told from error
        raise
    return built


def save(system: System, path: Path, *, exported_from: str | None = None) -> None:
    """Save the weights without critics, the configuration, the training cost (`trained`) and whether it was finished.

    The result is one safetensors file, written atomically.

    Args:
        system: made by `build`, by `load` or by the command line.
        path: of the file.
        exported_from: the sha256 of the file that holds the same weights, if there is one.
    """
    if system.config is None:
        raise UserError("Only a system made by `build` (or by the command line) keeps the configuration to save.")
    weights = {k: v.contiguous() for k, v in system.state_dict().items() if not k.startswith("critics.")}
    metadata = {"config": json.dumps(system.config)}
    if system.trained is not None:
        metadata["trained"] = json.dumps(system.trained._asdict())
    if system.training_finished is not None:
        metadata["training_finished"] = json.dumps(system.training_finished)
    if exported_from is not None:
        metadata["exported_from"] = exported_from
    with atomic_path(path) as temporary:
        save_file(weights, temporary, metadata=metadata)


def load(path: str | os.PathLike[str], *, trust: Sequence[str] = ()) -> System:
    """The system that a checkpoint holds: a `.ckpt` of a run or a `.safetensors` made by `save`, in evaluation mode.

    Nothing is unpickled but tensors and plain data.

    Raises:
        MissingFileError: if there is no such file.
        UserError: if the file holds no configuration, or weights that do not fit it.
    """
    path = Path(path)
    if not path.is_file():
        raise MissingFileError(f"There is no checkpoint at {path}.")
    config, weights, trained = _read(path)
    if config is None:
        raise UserError(f"{path} holds no `config`; it was not written by this suite, or by code that built no config.")
    if not isinstance(config, Mapping):
        raise UserError(f"The configuration in {path} is a {type(config).__name__}, no mapping with a `class_path`.")
    try:
        system = build(config, trust=trust)
        missing, unexpected = system.load_state_dict(weights, strict=False)
    except UserError:
        raise
    except MALFORMED as error:  # values that no constructor expects
        said = " ".join(str(error).split())[:300]
        raise UserError(f"No system can be built from the configuration in {path}: {said}") from error
    missing = [key for key in missing if not key.startswith("critics.")]
    if missing or unexpected:
        raise UserError(
            f"The weights in {path} do not fit its configuration: missing {missing[:3]}, unexpected {unexpected[:3]}."
        )
    system.trained = trained
    system.checkpoint_sha256, system.training_finished = sha256_of(path), training_finished(path)
    return system.eval()


def misfit(system: System, path: Path) -> str | None:
    """Load a checkpoint's weights into a system; returns why they do not fit, in a few words, or None if they do.

    Critics may be left out.
    """
    try:
        missing, unexpected = system.load_state_dict(_read(path)[1], strict=False)
    except RuntimeError as error:  # other sizes
        return str(error).splitlines()[-1].strip().rstrip(".")
    missing = [name for name in missing if not name.startswith("critics.")]
    if unexpected:
        return f"it has no place for {unexpected[0]}"
    return f"the file has no {missing[0]}" if missing else None


def _read(path: Path) -> tuple[Any, dict[str, Tensor], TrainingCost | None]:
    """Configuration, weights and training cost; raises UserError if the file holds none, or weights that are NaN."""
    try:
        config, weights, trained = _parts(path)
    except _UNREADABLE as error:
        raise UserError(
            f"{path} is not a checkpoint that can be read ({type(error).__name__}): it is damaged, of another kind, or "
            "holds more than tensors and plain data, which is never opened. Give a .ckpt of a run, or a .safetensors."
        ) from error
    nan = [name for name, value in weights.items() if value.is_floating_point() and value.isnan().any()]
    if nan:
        raise UserError(
            f"The weights {nan[0]} in {path} are not numbers (NaN): its training diverged, or it was damaged. Give an "
            "earlier checkpoint."
        )
    return config, weights, trained


def _parts(path: Path) -> tuple[Any, dict[str, Tensor], TrainingCost | None]:
    """Configuration, weights and training cost."""
    if path.suffix == ".safetensors":
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            weights = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 (not a mapping)
        config = json.loads(metadata["config"]) if "config" in metadata else None
        trained = TrainingCost.from_plain(json.loads(metadata["trained"])) if "trained" in metadata else None
        return config, weights, trained
    checkpoint = torch.load(path, map_location="cpu", weights_only=True)
    weights = checkpoint.get("state_dict", {})
    if not all(isinstance(name, str) and isinstance(value, Tensor) for name, value in weights.items()):
        raise TypeError("its `state_dict` holds more than tensors")
    return checkpoint.get("config"), weights, _spent(checkpoint)


def _spent(checkpoint: Mapping[str, Any]) -> TrainingCost | None:
    """The training cost in a run's checkpoint; None if it was not counted."""
    budget = checkpoint.get("callbacks", {}).get("Budget")
    if budget is None:
        return None
    updates = checkpoint.get("updates", {}).get("generator_updates", checkpoint.get("global_step", 0))
    return TrainingCost(int(updates), float(budget["elapsed"]), str(budget.get("device", "unknown")))


def class_paths(config: Any) -> Iterator[str]:
    """Every `class_path` in a configuration."""
    if isinstance(config, Mapping):
        if isinstance(config.get("class_path"), str):
            yield config["class_path"]
        for value in config.values():
            yield from class_paths(value)
    elif isinstance(config, list | tuple):
        for value in config:
            yield from class_paths(value)
