"""Data modules from YAML files, for the commands that need data and no model."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from benchmarks.errors import UserError, unknown
from benchmarks.plan import read_yaml

if TYPE_CHECKING:
    from datamodules.module import ClipDataModule

FOLDER = Path("configs/data")


def find_data(name: str) -> Path:
    """A data .yaml, an experiment .yaml whose `data:` is meant, or the name of a file in configs/data."""
    path = Path(name) if name.endswith((".yaml", ".yml")) else FOLDER / f"{name.replace('-', '_')}.yaml"
    if not path.is_file():
        raise unknown("data", name, [known.stem for known in FOLDER.glob("*.yaml")])
    content = read_yaml(path)
    if isinstance(content.get("data"), str):
        return path.parent / content["data"]
    return path


def build_data(path: Path, options: Sequence[str] = ()) -> "ClipDataModule":
    """The data module that a file describes, with `name=value` options over its `init_args`."""
    for option in options:
        if "=" not in option:
            raise UserError(f"An option is written name=value, like size=128; got '{option}'.")
    content = read_yaml(path)
    content = content.get("data", content)
    if not isinstance(content, dict) or "class_path" not in content:
        raise UserError(
            f"{path} describes no data: it has neither `data:` nor a `class_path`. Give a file of configs/data or of "
            "configs/experiment."
        )
    given = {name: yaml.safe_load(value) for name, _, value in (option.partition("=") for option in options)}
    return build_data_of({**content, "init_args": {**(content.get("init_args") or {}), **given}}, str(path))


def build_data_of(content: Mapping[str, Any], name: str) -> "ClipDataModule":
    """The data module that `class_path` and `init_args` describe; messages call it `name`."""
    from jsonargparse import ArgumentParser

    from datamodules.module import ClipDataModule

    parser = ArgumentParser(exit_on_error=False)
    parser.add_subclass_arguments(ClipDataModule, "data")
    try:
        data: ClipDataModule = parser.instantiate(parser.parse_object({"data": dict(content)})).data
    except Exception as error:
        message = " ".join(str(error).split())
        if "does not correspond to a subclass of ClipDataModule" in message:
            raise UserError(
                f"{name}: {content['class_path']} is no data set; a file of configs/data names one."
            ) from error
        if refused := re.search(r"Option '([\w.]+)' is not accepted", message):
            kind = content["class_path"]
            raise unknown(f"setting of {kind.rpartition('.')[2]}", refused[1], _settings(kind)) from error
        raise UserError(f"{name}: {message}") from error
    return data


def _settings(class_path: str) -> list[str]:
    """The names of the settings of a data module, its own and the shared ones."""
    import inspect
    from importlib import import_module

    from datamodules.module import ClipDataModule

    module, _, name = class_path.rpartition(".")
    kinds = (getattr(import_module(module), name), ClipDataModule)
    return [word for kind in kinds for word in inspect.signature(kind.__init__).parameters if word != "self"]
