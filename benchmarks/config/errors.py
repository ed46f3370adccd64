"""What is wrong with a configuration, in one line: found by walking it along the signatures of the classes it names.

The parser decides what is accepted; these functions say which name or value it is that was not, and the nearest right
one. They run only when something was refused.
"""

import inspect
from argparse import ArgumentError
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from jsonargparse import ArgumentParser

from benchmarks.config.bounded_yaml import read_yaml_text
from benchmarks.config.resolve import is_config_file, merge, read_config, with_option
from benchmarks.config.signatures import (
    arguments_of,
    class_named,
    entries_of,
    is_callable,
    kinds_of,
    members_of,
    names_a_class,
    words_of,
)
from benchmarks.utils.errors import UserError, unknown_name_error


def mistake_in_command(
    arguments: Sequence[str], options: Iterable[str], objects: Mapping[str, type], groups: Mapping[str, type]
) -> UserError | None:
    """What is wrong with the words of a command line and the files that they name; None if nothing was found.

    Args:
        arguments: after the command.
        options: the names of all options, without dashes and what follows a dot.
        objects: options that must name an object of a class.
        groups: options that are the arguments of a class.
    """
    try:
        config = _given(arguments, set(options))
    except UserError as error:
        return error
    for key in config:
        if key not in options:
            return unknown_name_error("option", key, options)
    for key, kind in groups.items():
        if isinstance(config.get(key), Mapping) and (found := _mistake_in_group(key, kind, config[key])):
            return found
    for key, kind in objects.items():
        if config.get(key) is None:
            started = any(word.partition("=")[0] in ("-c", "--config") for word in arguments)
            hint = "" if started else " Most runs start from `--config configs/experiment/....yaml`."
            return UserError(f"Required and not given: {key}.{hint}")
        if found := mistake_in(config[key], kind, key):
            return found
    return None


def mistake_in(value: Any, hint: Any, where: str) -> UserError | None:
    """What is wrong with a value of an argument of that type; None if it is accepted.

    Args:
        value: plain data.
        hint: the argument's type.
        where: what messages call the argument, such as `data.sampling`; "" for a whole configuration.
    """
    refusal = _refusal(value, hint)
    if refusal is None:
        return None
    members = list(members_of(hint))
    kinds = tuple(kind for member in members for kind in kinds_of(member))
    if kinds and names_a_class(value):
        try:
            found = _mistake_in_object(value, kinds, where, called=any(map(is_callable, members)))
        except UserError as error:
            return error
        return found or UserError(f"{where or 'it'}: {' '.join(str(refusal).split())[:300]}")
    if isinstance(value, Mapping) and kinds:
        return UserError(
            f"{where or 'It'} needs a `class_path`, the name of a {words_of(kinds[0])}; got {_short(value)}."
        )
    for member in members:
        entries, inner = entries_of(value, member)
        for key, entry in entries:
            if found := mistake_in(entry, inner, _at(where, key)):
                return found
    return UserError(f"{where} must be {words_of(hint)}; got {_short(value)}.")


def _given(arguments: Sequence[str], options: set[str]) -> dict[str, Any]:
    """The configuration that the words of a command line describe."""
    config: dict[str, Any] = {}
    words = list(arguments)
    while words:
        word = words.pop(0)
        if not word.startswith("-"):
            raise UserError(f"'{word}' is one word too many: options are written `--name=value`.")
        name, equals, value = word.partition("=")
        top = name.lstrip("-").partition(".")[0].rstrip("+")
        if name != "-c" and top not in options:
            raise unknown_name_error("option", name.lstrip("-"), options)
        if not equals:
            if not words or words[0].startswith("--"):
                continue  # a flag, such as --print_config
            value = words.pop(0)
        if name not in ("-c", "--config"):
            config = with_option(config, f"{name.lstrip('-')}={value}")
        elif is_config_file(value):
            found = read_config(Path(value))
            _check_is_of_a_run(found, value)
            config = merge(config, found)
        else:
            try:
                config = merge(config, read_yaml_text(value) or {})
            except (yaml.YAMLError, TypeError, AttributeError) as error:
                raise UserError(f"{name} is neither a config file nor YAML of one: {error}.") from error
    return config


def _check_is_of_a_run(config: Mapping[str, Any], path: str) -> None:
    """Refuse the files of `configs/` that describe no run, with the command that takes them."""
    if "title" in config and "rows" in config:
        raise UserError(f"{path} is a benchmark, not one run's configuration. `benchmarks run {path}` runs its rows.")
    if "class_path" in config:
        part = config["class_path"]
        raise UserError(
            f"{path} is one part of a run ({part}), not a whole one. Name it where it belongs, as `--model={path}` or "
            f"`--data={path}`, after the `--config` of an experiment."
        )


def _mistake_in_group(group: str, kind: type, arguments: Mapping[str, Any]) -> UserError | None:
    accepted = arguments_of(kind)
    for key, value in arguments.items():
        if key not in accepted:
            return unknown_name_error("option", f"{group}.{key}", (f"{group}.{name}" for name in accepted))
        if found := mistake_in(value, accepted[key].hint, f"{group}.{key}"):
            return found
    return None


def _mistake_in_object(value: Any, kinds: tuple[type, ...], where: str, *, called: bool) -> UserError | None:
    """What is wrong with a class path and its arguments; `called` with further arguments later, as optimisers are."""
    path, given = (value, {}) if isinstance(value, str) else (value["class_path"], value.get("init_args") or {})
    if is_config_file(path):
        return unknown_name_error("config file", path, map(str, Path("configs").rglob("*.yaml")))
    cls, at = class_named(path, kinds), where and f"{where}: "
    if inspect.isclass(cls) and not issubclass(cls, kinds):
        return UserError(f"{at}{path} is no {' or '.join(map(words_of, kinds))}.")
    if isinstance(value, Mapping):
        for key in value:
            if key not in ("class_path", "init_args", "dict_kwargs"):
                return UserError(f"{at}arguments of {cls.__name__} stand under `init_args`; got `{key}` beside it.")
    accepted = arguments_of(cls)
    for key in given:
        if key not in accepted:
            return unknown_name_error(f"{cls.__name__} argument", key, accepted)
    for key, entry in given.items():
        if found := mistake_in(entry, accepted[key].hint, _at(where, key)):
            return found
    missing = [key for key, argument in accepted.items() if argument.required and key not in given]
    if missing and not called:
        return UserError(f"Required of {cls.__name__} and not given: {', '.join(missing)}.")
    return None


def _refusal(value: Any, hint: Any) -> Exception | None:
    """What the parser says of a value for a type; None if it is accepted."""
    if hint in (Any, inspect.Parameter.empty):
        return None
    refusal: Exception | None = None
    # of the command line, a number may be meant as a text
    readings = [value] if value is None or isinstance(value, Mapping | list | tuple | str) else [value, str(value)]
    for reading in readings:
        parser = ArgumentParser(exit_on_error=False)
        parser.add_argument("--value", type=hint)
        try:
            parser.parse_object({"value": reading})
        except ArgumentError as error:
            refusal = refusal or error
        else:
            return None
    return refusal


def _at(where: str, key: object) -> str:
    return f"{where}.{key}" if where else str(key)


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."
