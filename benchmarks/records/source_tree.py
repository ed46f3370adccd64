"""The packages' source, read without importing it: classes, their first lines and methods, what a file imports."""

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from benchmarks.records.definitions import PACKAGES
from benchmarks.records.provenance import ROOT


@dataclass(frozen=True)
class ClassSource:
    """A class as its source tells it.

    Args:
        path: its `class_path`.
        file: where it stands, relative to the project.
        bases: class paths, as far as the file's imports tell.
        methods: names of what its body defines.
        summary: the first sentence of its docstring.
    """

    path: str
    file: str
    bases: tuple[str, ...]
    methods: frozenset[str]
    summary: str

    @property
    def abstract(self) -> bool:
        """Whether it says itself that it is a contract, or keeps to itself."""
        return "abc.ABC" in self.bases or self.path.rpartition(".")[2].startswith("_")


@dataclass(frozen=True)
class ModuleSource:
    """A file: the names it imports, by what they are called there, and its classes."""

    name: str
    file: str
    summary: str
    imports: dict[str, str]
    classes: dict[str, ClassSource]


@cache
def modules(root: Path = ROOT) -> dict[str, ModuleSource]:
    """Every module of the packages below `root`, by dotted name."""
    files = [path for package in PACKAGES for path in sorted((root / package).rglob("*.py"))]
    return {module.name: module for module in (_read(path, root) for path in files)}


def find(class_path: str, root: Path = ROOT) -> ClassSource | None:
    """The class of that path, also through re-exports; a bare name if only one class has it. None if there is none."""
    module_name, _, name = class_path.rpartition(".")
    if not module_name:
        named = [module.classes[name] for module in modules(root).values() if name in module.classes]
        return named[0] if len(named) == 1 else None
    module = modules(root).get(module_name)
    if module is None:
        return None
    if name in module.classes:
        return module.classes[name]
    elsewhere = module.imports.get(name)
    return find(elsewhere, root) if elsewhere and elsewhere != class_path else None


def lineage(class_path: str, root: Path = ROOT) -> Iterator[ClassSource]:
    """The class and those it descends from, as far as they are ours."""
    found = find(class_path, root)
    if found is not None:
        yield found
        for base in found.bases:
            yield from lineage(base, root)


def learns(class_path: str, root: Path = ROOT) -> bool:
    """Whether a model has anything to learn: a `training_step`, or code that is not ours and cannot be asked."""
    ancestry = list(lineage(class_path, root))
    return any("training_step" in link.methods for link in ancestry) or not ancestry


def descendants(base: str, root: Path = ROOT) -> list[ClassSource]:
    """Every concrete class that descends from `base`, by path."""
    ours = [entry for module in modules(root).values() for entry in module.classes.values()]
    return sorted(
        (
            entry
            for entry in ours
            if not entry.abstract
            and entry.path != base
            and any(link.path == base for link in lineage(entry.path, root))
        ),
        key=lambda entry: entry.path,
    )


def _read(path: Path, root: Path) -> ModuleSource:
    file = path.relative_to(root).as_posix()
    name = file.removesuffix(".py").removesuffix("/__init__").replace("/", ".")
    tree = ast.parse(path.read_text(encoding="utf-8"), filename=file)
    package = name if path.name == "__init__.py" else name.rpartition(".")[0]
    imports = dict(_imports(tree, package))
    definitions = [node for node in tree.body if isinstance(node, ast.ClassDef)]
    local = {node.name: f"{name}.{node.name}" for node in definitions}
    classes = {node.name: _class(node, name, file, {**imports, **local}) for node in definitions}
    return ModuleSource(name, file, _first_line(tree), imports, classes)


def _class(node: ast.ClassDef, module: str, file: str, names: dict[str, str]) -> ClassSource:
    bases = []
    for base in node.bases:
        head, _, rest = ast.unparse(base).partition("[")[0].partition(".")
        bases.append(".".join(part for part in (names.get(head, head), rest) if part))
    methods = {entry.name for entry in node.body if isinstance(entry, ast.FunctionDef | ast.AsyncFunctionDef)}
    return ClassSource(f"{module}.{node.name}", file, tuple(bases), frozenset(methods), _first_line(node))


def _imports(tree: ast.Module, package: str) -> Iterator[tuple[str, str]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield (alias.asname, alias.name) if alias.asname else (alias.name.partition(".")[0], alias.name)
        elif isinstance(node, ast.ImportFrom):
            parents = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            module = ".".join([*parents, *([node.module] if node.module else [])])
            for alias in node.names:
                yield alias.asname or alias.name, f"{module}.{alias.name}"


def _first_line(node: ast.Module | ast.ClassDef) -> str:
    return (ast.get_docstring(node) or "").partition("\n\n")[0].replace("\n", " ")
