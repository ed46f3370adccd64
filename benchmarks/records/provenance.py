"""Provenance: which code, commit and package versions a number comes from. Imports no torch."""

import hashlib
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from benchmarks.records.definitions import PACKAGES, Definitions, definitions_of
from benchmarks.records.forms import Key

ROOT = Path(__file__).resolve().parents[2]
"""The folder that holds the packages: the checkout, or site-packages."""

EVALUATION = "benchmarks.evaluation.callback.Evaluation"
"""Where every evaluation begins."""

COMMAND_LINE = "benchmarks.lightning_cli"
"""What adds callbacks to every run: those it imports from CALLBACKS."""

CALLBACKS = "lightning_modules.callbacks"

_DISTRIBUTIONS = ("chronoreel", "torch", "torchvision", "lightning", "torchmetrics", "torchdiffeq", "torchsde", "numpy",
                  "scipy", "av")  # fmt: skip


@dataclass(frozen=True)
class Code:
    """What a number, or a training, was made by.

    Args:
        sha256: over the definitions that can change it, wherever they stand: see `definitions`.
        modules: a short hash of those in each module, which tells what has changed.
    """

    sha256: str
    modules: dict[str, str]

    def difference(self, other: "Code") -> str | None:
        """Which modules differ, in words; None if nothing that counts does."""
        if self.sha256 == other.sha256:
            return None
        mine, theirs = set(self.modules.items()), set(other.modules.items())
        known = set(self.modules.values()) & set(other.modules.values())
        names = sorted({name for name, value in mine ^ theirs if value not in known})
        if not names:
            return "its code is put together in another way"
        return f"its code has changed ({', '.join(names[:4])}{', ...' if len(names) > 4 else ''})"


def code_of_record(config: Mapping[str, Any], class_path: str, definitions: Definitions | None = None) -> Code:
    """The code behind a record: training, evaluation, and every class that the resolved configuration names."""
    found = definitions or definitions_of(ROOT)
    return code_of(record_roots(config, class_path, found), found)


def code_of_training(configs: Iterable[Mapping[str, Any]], definitions: Definitions | None = None) -> Code:
    """The code behind a training: model, data, trainer's callbacks, and those that the command line adds."""
    found = definitions or definitions_of(ROOT)
    parts = [config.get(group) for config in configs for group in ("model", "data", "trainer")]
    parts = [{"class_path": part} if isinstance(part, str) else part for part in parts]
    return code_of([*_named(parts, found), *training_callbacks(found)], found)


def code_of_paths(paths: Iterable[str]) -> Code:
    """The code behind definitions, or whole modules, by their dotted paths."""
    found = definitions_of(ROOT)
    return code_of([key for path in paths for key in found.keys(path)], found)


def code_of(roots: Iterable[Key], definitions: Definitions) -> Code:
    """The hash over roots and all that they use."""
    return _code_of(frozenset(roots), definitions)


@cache
def _code_of(roots: frozenset[Key], definitions: Definitions) -> Code:
    keys = sorted(roots)
    parts: dict[str, list[str]] = {}
    for key in definitions.reached(keys):
        parts.setdefault(key[0], []).append(definitions.own_digest(key))
    modules = {name: _sha256("".join(sorted(digests)))[:8] for name, digests in sorted(parts.items())}
    return Code(_sha256("".join(sorted({definitions.digest(key) for key in keys}))), modules)


def record_roots(
    config: Mapping[str, Any],
    class_path: str,
    definitions: Definitions,
    evaluation: str = EVALUATION,
    command_line: str = COMMAND_LINE,
) -> list[Key]:
    """Where the code behind a record begins."""
    named = _named([{"class_path": class_path}, config], definitions)
    return [*named, *definitions.keys(evaluation), *training_callbacks(definitions, command_line)]


def training_callbacks(definitions: Definitions, command_line: str = COMMAND_LINE) -> list[Key]:
    """The callbacks that the command line adds to every training."""
    if not definitions.has_module(command_line):
        return []
    found = [definitions.find(path) for path in definitions.module(command_line).imports.values()]
    return [key for key in found if key and definitions.room(key[0]).startswith(f"{CALLBACKS}.")]


def class_paths(config: Any) -> Iterator[str]:
    """The class paths of a configuration, and texts that are dotted paths into our packages, in order."""
    if isinstance(config, str):
        if config.partition(".")[0] in PACKAGES:
            yield config
    elif isinstance(config, Mapping):
        if isinstance(config.get("class_path"), str):
            yield config["class_path"]
        for key, value in config.items():
            if key != "class_path":
                yield from class_paths(value)
    elif isinstance(config, list | tuple):
        for value in config:
            yield from class_paths(value)


def _named(config: Any, definitions: Definitions) -> list[Key]:
    return [key for path in class_paths(config) if (key := definitions.find_class(path))]


def git_state(root: Path = ROOT) -> tuple[str | None, bool]:
    """The commit of the checkout and whether its code or configs differ from it; (None, False) outside a checkout."""
    watched = [*PACKAGES, "configs", "pyproject.toml", ":(exclude)benchmarks/results"]
    try:
        top = _git(root, "rev-parse", "--show-toplevel")
        if Path(top).resolve() != root:
            return None, False  # installed into an environment that lies inside somebody's own checkout
        return _git(root, "rev-parse", "HEAD"), bool(_git(root, "status", "--porcelain", "--", *watched))
    except (OSError, subprocess.CalledProcessError):
        return None, False


def package_versions() -> dict[str, str]:
    """Python's version and those of the packages that numbers depend on."""
    versions = {"python": ".".join(str(part) for part in sys.version_info[:3])}
    for name in _DISTRIBUTIONS:
        try:
            versions[name] = version(name)
        except PackageNotFoundError:  # run from a checkout that was never installed
            continue
    return versions


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _git(root: Path, *arguments: str) -> str:
    command = ["git", "-C", str(root), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
