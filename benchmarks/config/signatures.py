"""Signatures: the classes that a type can be built as, the arguments they take, and types in a person's words."""

import collections.abc
import inspect
import types
from collections.abc import Iterable, Mapping
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple, Union, get_args, get_origin, get_type_hints

from jsonargparse import ArgumentParser

from benchmarks.utils.errors import UserError, unknown_name_error

PLAIN = (int, float, str, bool, bytes, list, dict, tuple, set, type(None), Path)
"""Types of values that are written out, not built from a `class_path`."""


def subclasses(kinds: tuple[type, ...]) -> list[type]:
    """The classes that can be built as one of these, of those that are imported, by name."""
    found, waiting = set(), list(kinds)
    while waiting:
        kind = waiting.pop()
        if kind not in found:
            found.add(kind)
            waiting += kind.__subclasses__() if kind is not type else []
    concrete = [kind for kind in found if not (inspect.isabstract(kind) or kind.__name__.startswith("_"))]
    return sorted(concrete, key=lambda kind: (kind.__name__, kind.__module__))


def class_named(path: str, kinds: tuple[type, ...]) -> Any:
    """The class (or function) of a path or bare name.

    Raises:
        UserError: if there is none; says the nearest that can be built as one of `kinds`.
    """
    module_name, _, name = path.rpartition(".")
    known = subclasses(kinds)
    if not module_name:
        named = [kind for kind in known if kind.__name__ == path]
        if not named:
            raise unknown_name_error("class", path, (kind.__name__ for kind in known))
        return named[0]
    package = path.partition(".")[0]
    if find_spec(package) is None:
        raise UserError(
            f"There is no module '{package}' that Python finds from here. Start the command in the folder that holds "
            "it, set PYTHONPATH, or install it."
        )
    paths = [f"{kind.__module__}.{kind.__qualname__}" for kind in known]
    try:
        module = import_module(module_name)
        found = getattr(module, name, None)
        paths += [
            f"{module_name}.{entry}"
            for entry, value in vars(module).items()
            if inspect.isclass(value) and value in known
        ]
    except ModuleNotFoundError as error:
        if error.name is None or not f"{module_name}.".startswith(f"{error.name}."):
            raise UserError(f"{path} needs the package {error.name}, which is not installed.") from error
        found = None
    if found is None:
        raise unknown_name_error("class", path, paths)
    return found


class Argument(NamedTuple):
    """What is known of an argument of a class or function."""

    hint: Any = Any
    required: bool = False


def arguments_of(cls: Any) -> dict[str, Argument]:
    """The arguments that the parser accepts for a class or function, those that it hands on to its bases included."""
    parser = ArgumentParser(exit_on_error=False)
    add = parser.add_class_arguments if inspect.isclass(cls) else parser.add_function_arguments
    accepted = dict.fromkeys(name.partition(".")[0] for name in add(cls, fail_untyped=False))
    bases = cls.__mro__ if inspect.isclass(cls) else ()
    makers = [vars(base)["__init__"] for base in bases if "__init__" in vars(base)] or [cls]
    found: dict[str, Argument] = {}
    for maker in makers:
        try:
            hints, parameters = get_type_hints(maker, include_extras=True), inspect.signature(maker).parameters
        except (NameError, TypeError, ValueError):  # names that only type checkers import, slots of C
            continue
        for name, parameter in parameters.items():
            given = Argument(hints.get(name, Any), parameter.default is parameter.empty)
            found.setdefault(name, given)
    return {name: found.get(name, Argument()) for name in accepted}


def members_of(hint: Any) -> Iterable[Any]:
    """The types of a union, or the one type."""
    if get_origin(hint) is Annotated:
        hint = get_args(hint)[0]
    if get_origin(hint) in (Union, types.UnionType):
        for member in get_args(hint):
            yield from members_of(member)
    else:
        yield hint


def is_callable(member: Any) -> bool:
    """Whether a type is that of something that is called later, such as an optimiser's factory."""
    return get_origin(member) is collections.abc.Callable


def kinds_of(member: Any) -> list[type]:
    """The classes that a type can be built as: itself, or what it gives back when it is called."""
    if is_callable(member):
        return [kind for inner in members_of(get_args(member)[-1]) for kind in kinds_of(inner)]
    plain = not inspect.isclass(member) or issubclass(member, PLAIN) or get_origin(member) is not None
    return [] if plain else [member]


def names_a_class(value: Any) -> bool:
    """Whether a value has the form of an object: a class path alone or with `init_args`."""
    return isinstance(value, str) or (isinstance(value, Mapping) and isinstance(value.get("class_path"), str))


def entries_of(value: Any, member: Any) -> tuple[list[tuple[Any, Any]], Any]:
    """The entries of a list or mapping with their keys, and the type they must have."""
    origin, inner = get_origin(member), get_args(member)
    if not inspect.isclass(origin) or not inner:
        return [], Any
    if isinstance(value, Mapping) and issubclass(origin, Mapping):
        return list(value.items()), inner[-1]
    if isinstance(value, list | tuple) and issubclass(origin, Iterable) and not issubclass(origin, Mapping | tuple):
        return list(enumerate(value)), inner[0]
    return [], Any


def words_of(hint: Any) -> str:
    """A type as a person writes it: `int or None`, `'black' or 'mean'`."""
    members = list(members_of(hint))
    if len(members) > 1:
        return " or ".join(dict.fromkeys(map(words_of, members)))
    if get_origin(hint) is Literal:
        return " or ".join(map(repr, get_args(hint)))
    if hint is type(None):
        return "None"
    return hint.__name__ if inspect.isclass(hint) and get_origin(hint) is None else str(hint).replace("typing.", "")
