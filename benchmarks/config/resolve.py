"""Configurations as plain data: an experiment's files, its recipe, overrides over them. Imports no torch.

    model: ../../model/vid_ode.yaml
    data: ../../data/moving_gif.yaml
    recipe: ../../recipe/epochs_500.yaml
    evaluation: ../../evaluation/predict_5.yaml
    model.init_args.seconds_per_unit: 1.0

A path is relative to the file that names it. The recipe (trainer, budget, averaging, checkpoints, and optimisers under
`model`) is laid over the parts, the file's other groups over the recipe, and keys with dots, which set one value as
options of the command line do, over all.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from copy import deepcopy
from functools import lru_cache
from pathlib import Path
from typing import Any

import yaml

from benchmarks.config.bounded_yaml import read_yaml_text
from benchmarks.records.source_tree import find
from benchmarks.utils.errors import UserError, unknown_name_error

Config = dict[str, Any]
PARTS = ("model", "data", "evaluation")
RECIPE = "recipe"
FILES, LEVELS = 500, 20
"""How many files a configuration may be made of, and how many deep they may name one another."""
_reading: ContextVar[tuple[tuple[Path, ...], list[Path]] | None] = ContextVar("_reading", default=None)
"""The files that name the one that is being read, outermost first, and all that were read with them."""


def resolve(layers: Iterable[Path | Mapping[str, Any]], overrides: Iterable[str] = ()) -> Config:
    """What files and mappings say together, later ones over earlier ones, and then the overrides in their order.

    Args:
        layers: config files, or what was read from some.
        overrides: config files, and options as in `with_option`.
    """
    config: Config = {}
    for layer in layers:
        config = merge(config, read_config(layer) if isinstance(layer, Path) else layer)
    for override in overrides:
        file = is_config_file(override)
        config = merge(config, read_config(Path(override))) if file else with_option(config, override)
    return config


def read_config(path: Path) -> Config:
    """The configuration in a file: parts and recipe read in their places, keys with dots applied.

    Raises:
        UserError: if the file, or one that it names, is not there or holds no mapping.
    """
    with _within_bounds(path):
        return _read_config(path)


def _read_config(path: Path) -> Config:
    content = read_yaml(path)
    for key in (*PARTS, RECIPE):
        _check_file(path, key, content.get(key))
    recipe = content.pop(RECIPE, None)
    read = {key: inline(value, path.parent) for key, value in content.items()}
    config = {key: _as_object(key, read[key]) for key in read if key in PARTS}
    config = config if recipe is None else merge(config, read_config(path.parent / recipe))
    config = merge(config, {key: value for key, value in read.items() if key not in PARTS and "." not in str(key)})
    for key, value in read.items():
        if "." in str(key):
            config = _changed(config, key.split("."), value)
    return config


@contextmanager
def _within_bounds(path: Path) -> Iterator[None]:
    """Refuse a file that names itself, by whatever way, and files that name one another without end."""
    above, read = _reading.get() or ((), [])
    read.append(path)
    if path.resolve() in above:
        raise UserError(
            f"{path} names itself: {' -> '.join(file.name for file in (*above, path))}. Remove one of them."
        )
    if len(above) >= LEVELS or len(read) > FILES:
        raise UserError(
            f"{path} is one file too many: a configuration is made of at most {FILES}, which name one another at most "
            f"{LEVELS} deep."
        )
    token = _reading.set(((*above, path.resolve()), read))
    try:
        yield
    finally:
        _reading.reset(token)


def read_yaml(path: Path) -> Config:
    """The mapping in a YAML file; raises UserError if there is none."""
    if not path.is_file():
        raise unknown_name_error("config file", str(path), map(str, Path("configs").rglob("*.yaml")))
    try:
        content = deepcopy(_parsed(path.resolve(), path.stat().st_mtime_ns, path.stat().st_size))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UserError(f"{path} is not YAML: {' '.join(str(error).split())}.") from error
    if not isinstance(content, dict):
        found = "nothing" if content is None else f"a {type(content).__name__}"
        raise UserError(f"{path} must hold `key: value` lines; it holds {found}.")
    return content


@lru_cache(maxsize=1024)
def _parsed(path: Path, _changed: int, _size: int) -> Any:
    """The content of a file as it is now: the rows of a benchmark name the same few files again and again."""
    return read_yaml_text(path.read_text(encoding="utf-8"))


def inline(value: Any, folder: Path) -> Any:
    """The value with every config file that it names, relative to `folder`, read in its place."""
    if isinstance(value, dict):
        return {key: inline(entry, folder) for key, entry in value.items()}
    if isinstance(value, list):
        return [inline(entry, folder) for entry in value]
    return read_config(folder / value) if is_config_file(value) and (folder / value).is_file() else value


def is_config_file(word: object) -> bool:
    """Whether a value or an override names a config file; else it is a plain value, or an option `key=value`."""
    return isinstance(word, str) and word.endswith((".yaml", ".yml")) and "=" not in word


def merge(below: Mapping[str, Any], above: Mapping[str, Any]) -> Config:
    """Mappings merge, all else is replaced; another class does not inherit its predecessor's arguments.

    A class that is named without arguments (`model: RepeatLast`) is a mapping of its `class_path`.
    """
    if "class_path" in above and below.get("class_path", above["class_path"]) != above["class_path"]:
        below = {}
    merged = dict(below)
    for key, value in above.items():
        old = below.get(key)
        if isinstance(value, dict) and isinstance(old, str) and "init_args" in value:
            old = {"class_path": old}
        merged[key] = merge(old, value) if isinstance(old, dict) and isinstance(value, dict) else value
    return merged


def with_option(config: Mapping[str, Any], option: str) -> Config:
    """The configuration with `a.b.c=value` set, or `a.b+=value` appended to a list.

    As on the command line, an argument of an object needs no `init_args` before it, a list means its last entry, and a
    value may be a config file, relative to the working folder.
    """
    path, equals, text = option.partition("=")
    if not equals:
        raise UserError(f"An option is written key=value, like model.init_args.lr=0.1; got '{option}'.")
    try:
        value = read_yaml_text(text)
    except yaml.YAMLError as error:
        raise UserError(f"The value of {path} is not YAML: {error}. Put quotes around a text.") from error
    changed: Config = _changed(config, path.split("."), inline(value, Path()))
    return changed


def full_class_paths(value: Any) -> Any:
    """The value with a full path for each bare class name that one class of ours has; others stay as they are."""
    if isinstance(value, list):
        return [full_class_paths(entry) for entry in value]
    if not isinstance(value, dict):
        return value
    full = {key: full_class_paths(entry) for key, entry in value.items()}
    name = full.get("class_path")
    if isinstance(name, str) and "." not in name and (found := find(name)):
        full["class_path"] = found.path
    return full


def short_class_names(value: Any) -> Any:
    """The value with each class path cut to the name of the class, so that a moved module leaves a hash alone."""
    if isinstance(value, list):
        return [short_class_names(entry) for entry in value]
    if not isinstance(value, dict):
        return value
    short = {key: short_class_names(entry) for key, entry in value.items()}
    if isinstance(short.get("class_path"), str):
        short["class_path"] = short["class_path"].rpartition(".")[2]
    return short


def _as_object(key: str, value: Any) -> Any:
    """`model: RepeatLast` is short for a class path."""
    return {"class_path": value} if key in ("model", "data") and isinstance(value, str) else value


def _check_file(path: Path, key: str, value: Any) -> None:
    if key == RECIPE and value is not None and not is_config_file(value):
        raise UserError(f"`{RECIPE}:` of {path} must name a .yaml file; got {value!r}.")
    if is_config_file(value) and not (path.parent / value).is_file():
        known = [f"{Path(value).parent}/{file.name}" for file in (path.parent / value).parent.glob("*.yaml")]
        raise unknown_name_error(f"file for `{key}:` in {path}:", value, known)


def _changed(node: Any, keys: Sequence[str], value: Any) -> Any:
    """The node with the value at the end of the keys."""
    if not keys:
        return merge(node, value) if isinstance(node, Mapping) and isinstance(value, Mapping) else value
    key, *rest = keys
    if isinstance(node, list) and node:
        return [*node[:-1], _changed(node[-1], keys, value)]
    if isinstance(node, str):
        node = {"class_path": node}
    node = dict(node) if isinstance(node, Mapping) else {}
    if "class_path" in node and key not in ("class_path", "init_args", "dict_kwargs"):
        return {**node, "init_args": _changed(node.get("init_args"), keys, value)}
    if key.endswith("+"):
        old = node.get(key[:-1]) or []
        return {**node, key[:-1]: [*old, *(value if isinstance(value, list) else [value])]}
    if key == "class_path":
        return merge(node, {key: value})
    return {**node, key: _changed(node.get(key), rest, value)}
