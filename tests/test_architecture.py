"""Who may import whom, what a file may hold, and what an import may cost."""

import ast
import importlib
import inspect
import json
import pkgutil
import re
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Protocol

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = ("datamodules", "lightning_modules", "baselines", "benchmarks")
HEAVY = ("av", "h5py", "wandb", "matplotlib", "skimage")
LONGEST = 400
CONTRACTS = {
    "System": "every member of the contract has a default that is right for a system with nothing to learn",
}
MACHINE = re.compile(
    r"(?<![\w.~$}])/(?:work|home|root|Users|farm|mnt)/\w|[\w.-]*(?:pythonhosted|artifactory|nexus)[\w.-]*\.\w|https?://pypi\."
)


@cache
def tracked() -> list[Path]:
    """The files that git knows of, or every file where there is no git."""
    try:
        listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True).stdout
        names = [name for name in listed.decode().split("\0") if name]
    except (OSError, subprocess.CalledProcessError):
        folders = (*PACKAGES, "tests", "configs")
        names = [
            str(path.relative_to(ROOT)) for folder in folders for path in (ROOT / folder).rglob("*") if path.is_file()
        ]
    return [ROOT / name for name in names if (ROOT / name).is_file() and "__pycache__" not in name]


def sources(*folders: str) -> list[Path]:
    return [path for path in tracked() if path.suffix == ".py" and path.relative_to(ROOT).parts[0] in folders]


def modules() -> Iterator[str]:
    for package in PACKAGES:
        yield package
        for found in pkgutil.walk_packages([str(ROOT / package)], prefix=f"{package}."):
            yield found.name


def test_imports_go_one_way(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    from importlinter.cli import EXIT_STATUS_SUCCESS, lint_imports

    monkeypatch.chdir(ROOT)
    status = lint_imports(config_filename=str(ROOT / "pyproject.toml"), no_cache=True)
    assert status == EXIT_STATUS_SUCCESS, capsys.readouterr().out


def test_a_class_is_a_contract_or_final() -> None:
    """Abstract or final, never in between: a tweak is a wrapper."""
    ours = {
        cls
        for name in modules()
        for cls in vars(importlib.import_module(name)).values()
        if inspect.isclass(cls) and cls.__module__.split(".")[0] in PACKAGES
    }
    between = {
        f"{cls.__module__}.{cls.__qualname__}": [child.__qualname__ for child in children]
        for cls in ours
        if (children := [child for child in ours if cls in child.__bases__])
        and not inspect.isabstract(cls)
        and Protocol not in cls.__bases__
        and not issubclass(cls, Exception)
        and cls.__name__ not in CONTRACTS
    }
    assert not between, f"neither abstract nor final: {between}"


def test_no_file_is_too_long() -> None:
    lengths = {str(path.relative_to(ROOT)): path.read_text().count("\n") for path in sources(*PACKAGES)}
    assert not {name: length for name, length in lengths.items() if length > LONGEST}


def test_annotations_are_objects() -> None:
    """`from __future__ import annotations` switches the shape checks off."""
    line = re.compile(r"^from __future__ import .*\bannotations\b", re.MULTILINE)
    assert not [path for path in sources(*PACKAGES, "tests") if line.search(path.read_text())]


def test_nothing_hides_failures_or_edits_the_path() -> None:
    rules = {
        "sys.path is edited": r"^\s*sys\.path\.(append|insert)",
        "everything is imported": r"^from \S+ import \*",
        "every exception is swallowed": r"^\s*except\s*:",
        "every warning is swallowed": r"filterwarnings\(\s*['\"]ignore['\"]\s*\)",
    }
    found = [
        f"{path.relative_to(ROOT)}: {name}"
        for path in sources(*PACKAGES)
        for name, rule in rules.items()
        if re.search(rule, path.read_text(), re.MULTILINE)
    ]
    assert not found


def test_heavy_packages_are_imported_where_they_are_used() -> None:
    found = []
    for path in sources(*PACKAGES):
        for statement in ast.parse(path.read_text()).body:
            names = [alias.name for alias in statement.names] if isinstance(statement, ast.Import) else []
            names += [statement.module or ""] if isinstance(statement, ast.ImportFrom) else []
            found += [f"{path.relative_to(ROOT)}:{statement.lineno}" for name in names if name.split(".")[0] in HEAVY]
    assert not found


@pytest.mark.slow
def test_importing_stays_cheap() -> None:
    """As above, with what our own dependencies import: every module in turn, in one process."""
    script = (
        "import importlib, json, sys\n"
        f"names, heavy = json.loads({json.dumps(json.dumps(list(modules())))}), {HEAVY!r}\n"
        "import torch, lightning, torchmetrics\n"
        "before = set(sys.modules)\n"
        "print(json.dumps({name: loaded for name in names if (importlib.import_module(name) or True) and\n"
        "    (loaded := [h for h in heavy if h in sys.modules and h not in before])}))\n"
    )
    run = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True)
    assert json.loads(run.stdout.splitlines()[-1]) == {}


@pytest.mark.parametrize("module", ["benchmarks.cli", "benchmarks.records.record", "benchmarks.commands.leaderboard"])
def test_commands_that_need_no_model_import_no_torch(module: str) -> None:
    script = f"import sys, {module}\nassert 'torch' not in sys.modules"
    run = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr


def test_no_file_knows_the_machine_it_was_written_on() -> None:
    found = []
    for path in tracked():
        if path.resolve() == Path(__file__).resolve():
            continue
        try:
            text = path.read_text()
        except UnicodeDecodeError:
            continue
        found += [f"{path.relative_to(ROOT)}: {match.group()}" for match in MACHINE.finditer(text)]
    assert not found


def test_no_name_is_undefined() -> None:
    """Shape strings of jaxtyping look like names to the linter, so the rule is off; here it is read without them."""
    words = [sys.executable, "-m", "ruff", "check", "--isolated", "--select=F821", "--output-format=concise"]
    packages = ["benchmarks", "lightning_modules", "datamodules", "baselines", "tests"]
    said = subprocess.run([*words, *packages], cwd=ROOT, capture_output=True, text=True, check=False).stdout
    places = [line.split(":", 2)[:2] for line in said.splitlines() if "F821" in line]
    assert places  # the shapes: the linter has run
    code = [(file, int(number)) for file, number in places]
    found = [
        (file, number)
        for file, number in code
        if "Float[Tensor" not in (ROOT / file).read_text().splitlines()[number - 1]
    ]
    assert found == []
