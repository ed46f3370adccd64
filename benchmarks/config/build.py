"""Data modules from YAML files, for the commands that need data and no model."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from benchmarks.config.resolve import read_yaml
from benchmarks.utils.errors import UserError, unknown_name_error

if TYPE_CHECKING:
    from datamodules.base.module import ClipDataModule

FOLDER = Path("configs/data")


def find_data(name: str) -> Path:
    """A data .yaml, an experiment .yaml whose `data:` is meant, or the name of a file in configs/data."""
    path = Path(name) if name.endswith((".yaml", ".yml")) else FOLDER / f"{name.replace('-', '_')}.yaml"
    if not path.is_file():
        raise unknown_name_error("data", name, [known.stem for known in FOLDER.glob("*.yaml")])
    content = read_yaml(path)
    if isinstance(content.get("data"), str):
        return path.parent / content["data"]
    return path


def data_named(name: str, options: Sequence[str] = ()) -> "ClipDataModule":
    """The data of a file or a name (see `find_data`), or a folder of videos; with `name=value` options.

    A folder in this one that is called like a data set is meant when it is written `./name`.
    """
    if "/" in name and not name.endswith((".yaml", ".yml")) and not Path(name).is_dir():
        raise UserError(f"There is no folder {name}. Name one with videos, a data .yaml, or a name of configs/data.")
    known = "/" not in name and (FOLDER / f"{name.replace('-', '_')}.yaml").is_file()
    if Path(name).is_dir() and not known:
        return build_data(FOLDER / "video_folder.yaml", [f"folder={name}", *options])
    return build_data(find_data(name), options)


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

    from benchmarks.config.errors import explain
    from datamodules.base.module import ClipDataModule

    parser = ArgumentParser(exit_on_error=False)
    parser.add_subclass_arguments(ClipDataModule, "data")
    try:
        data: ClipDataModule = parser.instantiate(parser.parse_object({"data": dict(content)})).data
    except Exception as error:
        if "does not correspond to a subclass of ClipDataModule" in " ".join(str(error).split()):
            raise UserError(
                f"{name}: {content['class_path']} is no data set; a file of configs/data names one."
            ) from error
        raise UserError(f"{name}: {explain(str(error), parser, [])}") from error
    return data
