"""Weights of a command: the file that `--ckpt_path` means, the model in it, and the refusal to measure random ones."""

from collections.abc import Iterator, Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

import yaml

from benchmarks.config.resolve import is_config_file, read_config
from benchmarks.utils.errors import UserError
from lightning_modules.checkpoints.build import class_paths, load
from lightning_modules.checkpoints.ending import about
from lightning_modules.system import System

MEASURING = ("validate", "test", "predict")
"""The commands that need trained weights, and take a model from its checkpoint."""


def weights_of(command: str, path: str | None, folder: Path, system: System, untrained: bool) -> str | None:
    """The file that `--ckpt_path` means.

    Args:
        command: fit, validate, test or predict.
        path: as it was given: a file, `last`, `best`, or None.
        folder: of the run.
        system: that is built.
        untrained: whether `--untrained` was given.

    Raises:
        UserError: where weights are needed and there are none. Lightning would go on with random ones.
    """
    if command not in MEASURING:
        if untrained:
            raise UserError("`--untrained` is for `lightning test`, `validate` and `predict`; leave it out of `fit`.")
        return path
    if path is not None and untrained:
        raise UserError(f"--ckpt_path {path} gives weights and --untrained says that there are none; give one.")
    checkpoints = folder / "checkpoints"
    if path in ("last", "best"):
        if not (checkpoints / f"{path}.ckpt").is_file():
            raise UserError(
                f"There is no {path}.ckpt in {checkpoints}. Train the model with `lightning fit`, or name a "
                "checkpoint: `--ckpt_path FILE`."
            )
        return str(checkpoints / f"{path}.ckpt")
    if path is None and system.learns and not untrained:
        there = (checkpoints / "last.ckpt").is_file()
        raise UserError(
            f"{type(system).__name__} learns, and `lightning {command}` was given no weights. "
            + (f"Give those of {folder} with `--ckpt_path last`" if there else "Give them with `--ckpt_path FILE`")
            + ", or say `--untrained` to measure weights that were never trained."
        )
    return path


def continues(path: str | None, last: Path) -> bool:
    """Whether a training that starts from `path` continues the run of which `last` is the last checkpoint."""
    return path == "last" or (path is not None and Path(path).is_file() and Path(path).samefile(last))


def check_continues_its_model(model: Mapping[str, Any], file: Path) -> None:
    """Refuse to continue a training with another model than it began with: its record would name one that never was.

    Arguments that the checkpoint does not know, because they are newer, may have any value.

    Args:
        model: `class_path` and `init_args` as configured.
        file: the checkpoint.

    Raises:
        UserError: that names the first argument that differs, and both values.
    """
    began = about(file).get("config")
    if isinstance(began, Mapping) and (found := next(_differences(began, model, "model"), None)):
        where, old, new = found
        raise UserError(
            f"{file} was trained with {where} {old}, and now it is {new}. Continue with the same model, or start "
            "another training: `--trainer.default_root_dir FOLDER`, or delete the old one."
        )


def _differences(old: Any, new: Any, where: str) -> Iterator[tuple[str, Any, Any]]:
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        for key, value in old.items():
            yield from _differences(value, new.get(key), f"{where}.{key}")
    elif old != new:
        yield where, old, new


def with_model_of_checkpoint(arguments: list[str]) -> list[str]:
    """The arguments, preceded by the model that the checkpoint named in them holds, where it is an existing file."""
    pairs = [word.partition("=")[::2] for word in arguments] + list(pairwise(arguments))
    paths = [Path(value) for option, value in pairs if option == "--ckpt_path" and Path(value).is_file()]
    if not paths or arguments[0] not in MEASURING:
        return arguments
    try:
        system = load(paths[0], trust=sorted(_named(pairs)))
    except UserError as error:
        raise UserError(f"{paths[0]} cannot be used as a checkpoint. {' '.join(str(error).split())[:400]}") from error
    return [arguments[0], "--config", yaml.safe_dump({"model": system.config}), *arguments[1:]]


def _named(pairs: list[tuple[str, str]]) -> set[str]:
    """The modules of the model's classes that the user names, outright or in files, and so trusts."""
    named: set[str] = set()
    for option, value in pairs:
        model: Any = value if option in ("--model", "--model.class_path") else {}
        if option in ("--config", "-c", "--model") and is_config_file(value) and Path(value).is_file():
            content = read_config(Path(value))
            model = content.get("model", content if option == "--model" else {})
        paths = [model] if isinstance(model, str) else class_paths(model)
        named |= {path.rpartition(".")[0] for path in paths}
    return named - {""}
