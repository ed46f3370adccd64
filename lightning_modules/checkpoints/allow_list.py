"""What a configuration from elsewhere may name: the one place where names in checkpoints become objects.

A configuration is data. Still, the parser that builds objects from it imports whatever a class path, a plain text, YAML
inside a text or a YAML file names. While `only` is active, every import that a value asks of the parser comes here.
"""

import inspect
import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from importlib import import_module
from types import ModuleType
from typing import Any

import yaml
from jsonargparse import _typehints, _util
from torch import nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from datamodules.errors import UserError

TRUSTED = ("lightning_modules", "baselines", "torch.nn", "torch.optim")
"""Packages whose classes a configuration may name, unless the caller trusts more."""

KINDS = (nn.Module, Optimizer, LRScheduler)
"""What a class of these packages must be."""

FUNCTIONS = (
    "lightning_modules.dynamics.matched.parameter_matched_ode",
    "lightning_modules.dynamics.matched.parameter_matched_sde",
)
"""The functions of these packages that a configuration may name. No others: some load files or build objects."""

DEPTH, LENGTH = 50, 10_000
"""Levels of a configuration, and letters of a text in it."""


class Refused(UserError, ImportError):
    """A configuration names what it may not. An ImportError too, as which the parser hands it on."""


_active: ContextVar[Sequence[str] | None] = ContextVar("_active", default=None)


@contextmanager
def only(trust: Sequence[str] = ()) -> Iterator[None]:
    """Within, the parser imports nothing for a value but what `resolve` finds; an outer call's rule stays."""
    token = _active.set(tuple(trust) if _active.get() is None else _active.get())
    try:
        yield
    finally:
        _active.reset(token)


def resolve(name: str, trust: Sequence[str] = ()) -> Any:
    """The class or function of that name.

    No module is imported but one of an allowed package, and what is found is judged by where it was defined: a module
    that `torch.nn` imports for itself is no part of `torch.nn`.

    Args:
        name: dotted.
        trust: further packages, or modules, everything of which may be named.

    Raises:
        Refused: if it is not allowed, or not there.
    """
    *path, last = name.split(".")
    if not path or not all(part.isidentifier() for part in (*path, last)) or not _within(name, (*TRUSTED, *trust)):
        raise _refusal(name, name, trust)
    found: Any = None
    for end in range(1, len(path) + 1):
        module = ".".join(path[:end])
        found = sys.modules.get(module) or _imported(module, name)
        if found.__name__ != module:  # an entry of sys.modules by another name, such as os.path
            raise _refusal(name, found.__name__, trust)
    found = getattr(found, last, None)
    if found is None:
        raise Refused(f"The configuration names {name}, which does not exist in this version. Is it misspelt?")
    home = f"{getattr(found, '__module__', None)}.{getattr(found, '__qualname__', None)}"
    if isinstance(found, ModuleType) or not (inspect.isclass(found) or inspect.isfunction(found)):
        raise _refusal(name, f"a {type(found).__name__}", trust)
    ours = home in FUNCTIONS or (_within(home, TRUSTED) and inspect.isclass(found) and issubclass(found, KINDS))
    if not (ours or _within(home, trust)):
        raise _refusal(name, home, trust)
    return found


def check(config: Any, trust: Sequence[str] = (), depth: int = 0) -> None:
    """Look at every text of a configuration, wherever it stands, before the parser gives it a meaning.

    A text is a word, a number, or the dotted name of something allowed. It is neither YAML nor a file: the parser would
    read both.

    Raises:
        Refused: at the first that is something else.
    """
    if depth > DEPTH:
        raise Refused(f"The configuration is nested more than {DEPTH} deep; none of this suite is.")
    if isinstance(config, Mapping):
        for key, value in config.items():
            if not isinstance(key, str) or key.startswith(("_", "$")):
                raise Refused(f"The configuration has the key {_short(key)}, which is no argument's name.")
            check(value, trust, depth + 1)
    elif isinstance(config, list | tuple):
        for value in config:
            check(value, trust, depth + 1)
    elif isinstance(config, str):
        _check_text(config, trust)


def _check_text(text: str, trust: Sequence[str]) -> None:
    if len(text) > LENGTH or "\0" in text:
        raise Refused(f"The configuration holds a text of {len(text)} letters that is no name: {_short(text)}.")
    parts = text.strip().split(".")
    if len(parts) > 1 and all(part.isidentifier() for part in parts):
        resolve(text.strip(), trust)
    elif set(text) & set("{}[]:&*!|>#%@`?\n") or text.lstrip().startswith("- "):
        try:  # an anchor, an alias or a tag is refused unread: aliases can explode
            plain = not set(text) & set("&*!") and not isinstance(yaml.safe_load(text), dict | list)
        except (yaml.YAMLError, ValueError, RecursionError):
            plain = False
        if not plain:
            raise Refused(f"The configuration holds YAML inside a text, which is not read: {_short(text)}.")
    if os.path.exists(text) and not os.path.isdir(text):
        raise Refused(f"The configuration names the file {_short(text)}; it must say everything by itself.")


def _imported(module: str, name: str) -> Any:
    try:
        return import_module(module)
    except ImportError as error:
        if error.name is not None and not f"{module}.".startswith(f"{error.name}."):
            raise Refused(f"{name} needs the package {error.name}, which is not installed.") from error
        raise Refused(f"The configuration names {name}, which no module of that name holds.") from error


def _within(name: str, packages: Sequence[str]) -> bool:
    return any(name == package or name.startswith(f"{package}.") for package in packages)


def _refusal(name: str, home: str, trust: Sequence[str]) -> Refused:
    of = "" if home == name else f" ({home})"
    allowed = (*TRUSTED, *trust)
    if _within(home, allowed):
        return Refused(f"The configuration names {_short(name)}{of}, which is no network, optimiser or schedule.")
    return Refused(
        f"The configuration names the class {_short(name)}{of}, which is none of {', '.join(allowed)}. If you trust "
        f"it, pass trust=['{name.split('.')[0][:40]}'], or name it on the command line (`--model {_short(name)}`)."
    )


def _short(value: object) -> str:
    text = str(value)
    return " ".join(text.split()) if len(text) <= 80 else f"{' '.join(text[:77].split())}..."


def _guarded(import_object: Callable[..., Any]) -> Callable[..., Any]:
    """The parser's import of a name, under the rule that is active. Names of its own code are not checked."""

    def guarded(name: str, check_path: bool = True) -> Any:
        trust = _active.get()
        return resolve(name, trust) if trust is not None and check_path else import_object(name, check_path)

    return guarded


def _without_modules(check_import_path: Callable[..., None]) -> Callable[..., None]:
    """The parser's check before it imports a module for an argument that is a module: none of ours is."""

    def guarded(path: str) -> None:
        if (trust := _active.get()) is not None:
            raise _refusal(path, path, trust)
        check_import_path(path)

    return guarded


def _install() -> None:
    """Put the rule into every module of the parser that imports what values name."""
    original, guarded = _util.import_object, _guarded(_util.import_object)
    for name, module in list(sys.modules.items()):
        if name.partition(".")[0] == "jsonargparse" and vars(module).get("import_object") is original:
            setattr(module, "import_object", guarded)  # noqa: B010 (a module has no such attribute for mypy)
    vars(_typehints)["check_import_path"] = _without_modules(vars(_typehints)["check_import_path"])


_install()
