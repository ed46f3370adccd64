"""Configurations as plain data: files that name files, one over another, and `key=value` options. Imports no torch."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from benchmarks.utils.errors import UserError, unknown_name_error

Config = dict[str, Any]
RECIPE = "recipe"
"""The key of an experiment whose file is laid over the files that its other keys name, and under what is its own."""


def resolve(layers: Iterable[Path | Mapping[str, Any]], options: Iterable[str] = ()) -> Config:
    """What files and mappings say together, later ones over earlier ones, and then the options."""
    config: Config = {}
    for layer in layers:
        config = merge(config, read_config(layer) if isinstance(layer, Path) else layer)
    for option in options:
        config = with_option(config, option)
    return config


def read_config(path: Path) -> Config:
    """The configuration in a file, with the files that it names by path read in their places.

    A `recipe:` is resolved: `model: ../../model/x.yaml` comes first, the recipe over it, what the file says itself on
    top.

    Raises:
        UserError: if a file is not there or holds no mapping.
    """
    content = read_yaml(path)
    recipe = content.pop(RECIPE, None)
    if recipe is None:
        return inline(content, path.parent)
    if not is_config_file(recipe):
        raise UserError(f"`{RECIPE}:` of {path} must name a .yaml file; got {recipe!r}.")
    named = {key: value for key, value in content.items() if is_config_file(value)}
    own = {key: value for key, value in content.items() if key not in named}
    over = merge(read_config(path.parent / recipe), inline(own, path.parent))
    return merge(inline(named, path.parent), over)


def read_yaml(path: Path) -> Config:
    """The mapping in a YAML file; raises UserError if there is none."""
    if not path.is_file():
        raise unknown_name_error("config file", str(path), map(str, Path("configs").rglob("*.yaml")))
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UserError(f"{path} is not YAML: {' '.join(str(error).split())}.") from error
    if not isinstance(content, dict):
        found = "nothing" if content is None else f"a {type(content).__name__}"
        raise UserError(f"{path} must hold `key: value` lines; it holds {found}.")
    return content


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

    As on the command line, an argument of an object needs no `init_args` before it, and a list means its last entry.
    """
    path, equals, text = option.partition("=")
    if not equals:
        raise UserError(f"An option is written key=value, like model.init_args.lr=0.1; got '{option}'.")
    changed: Config = _changed(config, path.split("."), yaml.safe_load(text))
    return changed


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
