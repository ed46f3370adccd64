"""Objects from configurations: data, figures, tasks, metrics; systems are `lightning_modules.checkpoints.build`'s."""

from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import Path
from pkgutil import walk_packages
from typing import TYPE_CHECKING, Any, TypeVar

from benchmarks.config.resolve import full_class_paths, read_config, with_option
from benchmarks.utils.errors import UserError, unknown_name_error

if TYPE_CHECKING:
    from datamodules.base.module import ClipDataModule

FOLDER = Path("configs/data")

Built = TypeVar("Built")


def build(kind: type[Built], config: Mapping[str, Any], name: str) -> Built:
    """The object that `class_path` and `init_args` describe, one of `kind`; messages call it `name`.

    Raises:
        UserError: in one line, with the nearest right name, if it cannot be built.
    """
    from benchmarks.config.errors import mistake_in
    from lightning_modules.checkpoints.build import ConfigError, build_object

    config = full_class_paths(dict(config))
    try:
        return build_object(kind, config)
    except ConfigError as error:
        raise UserError(f"{name}: {mistake_in(config, kind, '') or error}") from error
    except UserError as error:
        raise UserError(f"{name}: {error}") from error


def build_data(path: Path, options: Sequence[str] = ()) -> "ClipDataModule":
    """The data module of a file of configs/data or of an experiment, with `name=value` options over its arguments."""
    content = read_config(path)
    content = content.get("data", content)
    content = {"class_path": content} if isinstance(content, str) else content
    if not isinstance(content, dict) or "class_path" not in content:
        raise UserError(
            f"{path} describes no data: it has neither `data:` nor a `class_path`. Give a file of configs/data or of "
            "configs/experiment."
        )
    for option in options:
        content = with_option(content, option)
    return build_data_of(content, str(path))


def build_data_of(content: Mapping[str, Any], name: str) -> "ClipDataModule":
    """The data module that `class_path` and `init_args` describe; messages call it `name`."""
    from datamodules.base.module import ClipDataModule

    return build(ClipDataModule, content, name)  # type: ignore[type-abstract]


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


def find_data(name: str) -> Path:
    """A .yaml of data, or of an experiment whose data are meant, or the file of that name in configs/data."""
    path = Path(name) if name.endswith((".yaml", ".yml")) else FOLDER / f"{name.replace('-', '_')}.yaml"
    if not path.is_file():
        raise unknown_name_error("data", name, [known.stem for known in FOLDER.glob("*.yaml")])
    return path


def import_ours() -> None:
    """Import every module that may define a class named in a configuration, so that bare class names are found."""
    for name in ("lightning_modules", "baselines", "datamodules", "benchmarks.metrics"):
        for module in walk_packages(import_module(name).__path__, f"{name}."):
            import_module(module.name)
