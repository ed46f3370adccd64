"""Mistakes: what jsonargparse says of a wrong option, class, file or value, in one line with the nearest right name."""

import inspect
import re
import sys
from importlib import import_module
from pathlib import Path
from pkgutil import walk_packages

from jsonargparse import ArgumentParser

from benchmarks.utils.errors import UserError, unknown_name_error

_ALTERNATIVES = re.compile(
    r"Parser key|Does not validate against|Subtypes:|Errors:|Expected a <class 'NoneType'>|Given value|"
    r"Expected a path but|Problem with given class_path"
)
PACKAGES = ("lightning_modules", "baselines", "datamodules", "benchmarks")


def import_ours() -> None:
    """Import every module that may define a class named in a configuration, so that bare class names are found."""
    for name in ("lightning_modules", "baselines", "datamodules", "benchmarks.metrics"):
        for module in walk_packages(import_module(name).__path__, f"{name}."):
            import_module(module.name)


def explain(message: str, parser: ArgumentParser, arguments: list[str]) -> UserError:
    """The one sentence that helps, from jsonargparse's report of all that it tried."""
    if found := re.search(r"argument subcommand: invalid choice: '([^']*)' \(choose from (.*)\)", message):
        return unknown_name_error("command", found[1], re.findall(r"'([^']*)'", found[2]))
    if found := re.search(r"unrecognized arguments: (\S+)", message):
        return _unknown_option(found[1].partition("=")[0].lstrip("-"), parser)
    if found := re.search(r"does not accept option '([^']*)'", message):
        return _unknown_option(found[1], parser)
    # the innermost class is named last
    owners = re.findall(r"Problem with given class_path '([^']*)'", message)
    if found := re.search(r"Option '([^']*)' is not accepted", message):
        owner = owners[-1] if owners else ""
        return unknown_name_error(f"{owner.rpartition('.')[2]} argument".strip(), found[1], _arguments_of(owner))
    if (found := re.search(r"No module named '([^'.]*)", message)) and found[1] not in PACKAGES:
        return UserError(
            f"There is no module '{found[1]}' that Python finds from here. Start the command in the folder that holds "
            "it, set PYTHONPATH, or install it."
        )
    if found := re.search(r"(?:No module named|has no attribute) '([^']*)'", message):
        return unknown_name_error("class", owners[-1] if owners else found[1], _class_paths())
    if found := re.search(r"Expected a dot import path string: (\S+)", message):
        return unknown_name_error("class", found[1], (path.rpartition(".")[2] for path in _class_paths()))
    if found := re.search(r"(?:import path format: |File does not exist: )'?([^\s']+\.ya?ml)", message):
        file = found[1].removeprefix(f"{Path.cwd()}/")
        return unknown_name_error("config file", file, map(str, Path("configs").rglob("*.yaml")))
    if found := re.search(r"arguments are required: (.*)", message):
        missing = ", ".join(name.strip().split(".", 1)[-1] for name in found[1].split(","))
        owner = f" of {owners[-1].rpartition('.')[2]}" if owners else ""
        return UserError(f"Required{owner} and not given: {missing}.{_config_hint(arguments)}")
    return UserError(_innermost(message))


def _innermost(message: str) -> str:
    """What is left of a report without the alternatives that every value has been tried against."""
    key = re.findall(r'Parser key "([^"]*)"', message)
    lines = [line.strip(" -") for line in message.splitlines()]
    lines = [line for line in lines if line and not _ALTERNATIVES.match(line)]
    value = re.search(r"Given value: (.*)", message)
    text = "; ".join(dict.fromkeys(lines)) or message.strip()
    text = text.replace("typing.", "").replace("<class '", "").replace("'>", "")
    if value and "Got value" not in text and not value[1].startswith("Namespace("):
        text += f". Got value: {value[1][:80]}"
    return f"{'.'.join(key)}: {text}" if key else text


def _unknown_option(word: str, parser: ArgumentParser) -> UserError:
    options = {name.lstrip("-") for name in parser._option_string_actions if name.startswith("--")}
    return unknown_name_error("option", word, (name for name in options if not name.endswith("+")))


def _arguments_of(class_path: str) -> list[str]:
    module, _, name = class_path.rpartition(".")
    cls = getattr(sys.modules.get(module), name, None)
    if not inspect.isclass(cls):
        return []
    names = {
        name
        for base in cls.__mro__
        if "__init__" in vars(base)
        for name, parameter in inspect.signature(vars(base)["__init__"]).parameters.items()
        if parameter.kind in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY)
    }
    return sorted(names - {"self"})


def _class_paths() -> list[str]:
    """Where every class is that a configuration might name."""
    classes = {
        cls
        for name, module in list(sys.modules.items())
        if name.partition(".")[0] in PACKAGES
        for cls in vars(module).values()
        if inspect.isclass(cls) and cls.__module__ == name
    }
    return [
        f"{cls.__module__}.{cls.__qualname__}"
        for cls in classes
        if not (cls.__name__.startswith("_") or inspect.isabstract(cls) or issubclass(cls, BaseException | tuple))
    ]


def _config_hint(arguments: list[str]) -> str:
    given = any(word.split("=")[0] in ("-c", "--config") for word in arguments)
    return "" if given else " Most runs start from `--config configs/experiment/....yaml`."
