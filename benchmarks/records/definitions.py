"""The project's definitions, read without importing them: functions, classes, constants, and what each is made of.

A definition is told by its canonical form (see `syntax`), whatever file it stands in. From roots, names are followed
through imports to everything of ours that is used. Imports no torch.
"""

import ast
import hashlib
import io
import subprocess
import tarfile
from collections.abc import Callable, Iterable, Mapping
from functools import cache, cached_property
from pathlib import Path

from benchmarks.records.forms import Form, Key, Target
from benchmarks.records.syntax import Writer

PACKAGES = ("lightning_modules", "datamodules", "baselines", "benchmarks")
"""The packages whose definitions make the numbers."""

ASIDE = {
    "benchmarks.records": "files numbers",
    "benchmarks.loggers": "sends and shows numbers",
    "benchmarks.leaderboard": "shows numbers",
    "benchmarks.figures": "draws what was measured",
    "benchmarks.profiling": "measures speed",
    "benchmarks.commands": "asks for runs",
    "benchmarks.runs": "starts runs",
    "benchmarks.config": "reads configurations: what it reads is in the record, resolved",
    "benchmarks.gallery": "shows clips",
    "benchmarks.evaluation.gallery": "shows clips",
    "benchmarks.download": "fetches files, whose content is compared with its sha256",
    "benchmarks.pretrained.download": "fetches files, whose content is compared with its sha256",
    "datamodules.files": "writes files whole or not at all; what they hold is decided by its callers",
    "datamodules.storage.download": "fetches files and takes their sha256, by which their content is told",
    "lightning_modules.checkpoints": "stores and loads arrays by name, all of them or none",
}
"""Rooms that are not followed, and why: values go there and none that is measured comes back."""


class Definitions:
    """The definitions of one state of the project.

    Args:
        files: the text of each source file, or how to read it, by its path relative to the project.
        moved: today's names of modules that had others then, for the rooms that are not followed.
    """

    def __init__(self, files: Mapping[str, str | Callable[[], str]], moved: Mapping[str, str] | None = None) -> None:
        self._moved = moved or {}
        self._files = {_module_name(file): (file, text) for file, text in files.items()}
        self._modules: dict[str, _Module] = {}
        self._forms: dict[Key, Form] = {}
        self._reached: dict[Key, frozenset[Key]] = {}
        self._aside: dict[str, bool] = {}
        self._digests: dict[Key, str] = {}
        self._own_digests: dict[Key, str] = {}

    @classmethod
    def of_folder(cls, root: Path) -> "Definitions":
        """Those of the packages below a folder, each file read when it is needed."""
        paths = [path for package in PACKAGES for path in sorted((root / package).rglob("*.py"))]
        return cls({path.relative_to(root).as_posix(): _reader(path) for path in paths})

    @classmethod
    def of_commit(cls, root: Path, commit: str, moved: Mapping[str, str] | None = None) -> "Definitions":
        """Those that a commit of the checkout at `root` holds."""
        return cls(files_of_commit(root, commit), moved)

    def module(self, name: str) -> "_Module":
        """A module of ours, parsed; KeyError if there is none."""
        if name not in self._modules:
            file, text = self._files[name]
            self._modules[name] = _Module(name, file, text if isinstance(text, str) else text())
        return self._modules[name]

    def has_module(self, name: str) -> bool:
        """Whether a module of ours has that name."""
        return name in self._files

    def find(self, path: str) -> Key | None:
        """The definition that a dotted path leads to, also through re-exports; None if there is none of ours."""
        target = self._resolve(path)
        return target.keys[0] if target.kind == "reference" and len(target.keys) == 1 and not target.rest else None

    def keys(self, path: str) -> tuple[Key, ...]:
        """The definition, or all those of the module, that a dotted path leads to."""
        return self._resolve(path).keys

    def find_class(self, path: str) -> Key | None:
        """As `find`; a bare name is found where only one class has it."""
        if "." in path:
            return self.find(path)
        found = self._class_names.get(path, [])
        return found[0] if len(found) == 1 else None

    def form(self, key: Key) -> Form:
        """The canonical form of a definition."""
        if key not in self._forms:
            module, name = self.module(key[0]), key[1]

            def resolve(dotted: str) -> Target:
                return self._resolve(dotted[1:]) if dotted[0] == "=" else self._in_module(module, dotted)

            nodes = module.definitions[name] if name else module.acts
            self._forms[key] = Writer(resolve, module.importing, name).write(nodes)
        return self._forms[key]

    def reached(self, roots: Iterable[Key]) -> frozenset[Key]:
        """The roots and everything of ours that they use, directly or not."""
        found: set[Key] = set()
        for root in roots:
            found |= self._reached_from(root)
        return frozenset(found)

    def digest(self, key: Key) -> str:
        """The sha256 of a definition's form and, through its references, of all that it uses."""
        if key not in self._digests:
            self._digest_components(key)
        return self._digests[key]

    def own_digest(self, key: Key) -> str:
        """The sha256 of a definition's form alone."""
        if key not in self._own_digests:
            tokens = [(kind, "" if kind == "aside" else text) for kind, text in self.form(key).tokens]
            self._own_digests[key] = _sha256(repr(tokens))
        return self._own_digests[key]

    def is_error(self, target: Target, caught: str) -> bool:
        """Whether an error of the class `target` is one that a handler of the class named `caught` takes."""
        name = target.text.rpartition(".")[2]
        if name == caught:
            return True
        builtin = getattr(__import__("builtins"), name, None)
        if not target.keys:
            return isinstance(builtin, type) and any(base.__name__ == caught for base in builtin.__mro__)
        module = self.module(target.keys[0][0])
        bases = [
            base
            for node in module.definitions[target.keys[0][1]]
            if isinstance(node, ast.ClassDef)
            for base in node.bases
        ]
        return any(self.is_error(self._in_module(module, ast.unparse(base)), caught) for base in bases)

    def _reached_from(self, root: Key) -> frozenset[Key]:
        if root not in self._reached:
            found, waiting = set[Key](), [root]
            while waiting:
                key = waiting.pop()
                if key not in found:
                    found.add(key)
                    waiting += [*self.form(key).references(), *self.acting(key)]
            self._reached[root] = frozenset(found)
        return self._reached[root]

    def acting(self, key: Key) -> list[Key]:
        """The modules whose statements run on import where this definition is: its own and the packages around it."""
        parts = key[0].split(".")
        around = [".".join(parts[: count + 1]) for count in range(len(parts))]
        return [(name, "") for name in around if name in self._files and self.module(name).acts]

    def _in_module(self, module: "_Module", dotted: str) -> Target:
        """What a name, with attributes, means at the top of a module."""
        name, _, rest = dotted.partition(".")
        if name in module.definitions:
            return self._target(module.name, name, rest)
        if name in module.imports:
            return self._resolve(".".join(part for part in (module.imports[name], rest) if part))
        for star in module.stars:
            if star in self._files and (name in self.module(star).definitions or name in self.module(star).imports):
                return self._in_module(self.module(star), dotted)
        return Target("outside", dotted)

    def _resolve(self, dotted: str) -> Target:
        """What an absolute dotted path means."""
        parts = dotted.split(".")
        if parts[0] not in PACKAGES:
            return Target("outside", dotted)
        count = next((n for n in range(len(parts), 0, -1) if ".".join(parts[:n]) in self._files), 0)
        if not count:
            return Target("outside", dotted)
        module, rest = ".".join(parts[:count]), parts[count:]
        if self._is_aside(module):
            return Target("aside", (rest or parts)[0], rest=tuple(rest[1:]))
        if rest:
            held = self.module(module)
            if rest[0] in held.definitions or rest[0] in held.imports or held.stars:
                return self._in_module(held, ".".join(rest))
        keys = tuple((module, name) for name in sorted(self.module(module).definitions))
        return Target("reference", parts[count - 1] + ".*", keys, tuple(rest))  # looked into: all of it counts

    def room(self, module: str) -> str:
        """The module's name as it is called today."""
        return self._moved.get(module, module)

    def _is_aside(self, module: str) -> bool:
        if module not in self._aside:
            name = f"{self.room(module)}."
            self._aside[module] = any(name.startswith(f"{room}.") for room in ASIDE)
        return self._aside[module]

    def _target(self, module: str, name: str, rest: str) -> Target:
        attributes = tuple(rest.split(".")) if rest else ()
        if self._is_aside(module):
            return Target("aside", name, rest=attributes)
        return Target("reference", name, ((module, name),), attributes)

    @cached_property
    def _class_names(self) -> dict[str, list[Key]]:
        found: dict[str, list[Key]] = {}
        for module in self._files:
            for name, nodes in self.module(module).definitions.items():
                if isinstance(nodes[0], ast.ClassDef):
                    found.setdefault(name, []).append((module, name))
        return found

    def _digest_components(self, root: Key) -> None:
        """Digests of everything below a root; definitions that use one another are digested as one (Tarjan, 1972)."""
        index: dict[Key, int] = {}
        low: dict[Key, int] = {}
        stack: list[Key] = []
        work = [(root, iter(self._edges(root)))]
        index[root] = low[root] = 0
        stack.append(root)
        while work:
            key, edges = work[-1]
            following = next((edge for edge in edges if edge not in self._digests), None)
            if following is not None:
                if following not in index:
                    index[following] = low[following] = len(index)
                    stack.append(following)
                    work.append((following, iter(self._edges(following))))
                else:
                    low[key] = min(low[key], index[following])
                continue
            work.pop()
            if work:
                low[work[-1][0]] = min(low[work[-1][0]], low[key])
            if low[key] == index[key]:
                component = stack[stack.index(key) :]
                del stack[stack.index(key) :]
                self._digest_component(component)

    def _digest_component(self, component: list[Key]) -> None:
        own = {key: self.own_digest(key) for key in component}
        shapes = {
            key: _sha256(own[key] + "".join(self._digests.get(edge) or own[edge] for edge in self._edges(key)))
            for key in component
        }
        together = _sha256("".join(sorted(shapes.values()))) if len(component) > 1 else ""
        for key in component:
            self._digests[key] = _sha256(shapes[key] + together)

    def _edges(self, key: Key) -> list[Key]:
        return [*self.form(key).references(), *(act for act in self.acting(key) if act != key)]


class _Module:
    """A file: its definitions by name, what its imports mean, its statements that act."""

    def __init__(self, name: str, file: str, text: str) -> None:
        self.name = name
        self.package = name if file.endswith("__init__.py") else name.rpartition(".")[0]
        self.definitions: dict[str, list[ast.stmt]] = {}
        self.imports: dict[str, str] = {}
        self.stars: list[str] = []
        self.acts: list[ast.stmt] = []
        for node in ast.parse(text, filename=file).body:
            self._add(node)

    def importing(self, node: ast.stmt) -> dict[str, str]:
        """The names that an import statement binds, with the dotted path of each."""
        if isinstance(node, ast.Import):
            whole = {alias.asname: alias.name for alias in node.names if alias.asname}
            heads = [alias.name.partition(".")[0] for alias in node.names if not alias.asname]
            return whole | dict(zip(heads, heads, strict=True))
        assert isinstance(node, ast.ImportFrom)
        parts = self.package.split(".")
        start = parts[: len(parts) - node.level + 1] if node.level else []
        base = ".".join([*start, *([node.module] if node.module else [])])
        return {alias.asname or alias.name: f"{base}.{alias.name}" for alias in node.names}

    def _add(self, node: ast.stmt) -> None:
        if isinstance(node, ast.Import | ast.ImportFrom):
            found = self.importing(node)
            if "*" in found:
                self.stars.append(found.pop("*").removesuffix(".*"))
            self.imports |= found
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            self.definitions.setdefault(node.name, []).append(node)
        elif isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            pass
        elif isinstance(node, ast.If) and ast.unparse(node.test).rpartition(".")[2] == "TYPE_CHECKING":
            for statement in node.body:
                self._add(statement)
        elif not (isinstance(node, ast.If) and ast.unparse(node.test).startswith("__name__ ==")):
            for name in _stored(node):
                self.definitions.setdefault(name, []).append(node)
            for entry in ast.walk(node):
                if isinstance(entry, ast.Import | ast.ImportFrom):
                    self.imports |= self.importing(entry)
            if _acts(node):
                self.acts.append(node)


def files_of_commit(root: Path, commit: str) -> dict[str, str]:
    """The text of every source file of the packages in a commit, by its path."""
    present = [name for name in PACKAGES if _git(root, "ls-tree", commit, name)]
    files = {}
    with tarfile.open(fileobj=io.BytesIO(_git(root, "archive", commit, *present))) as archive:
        for member in archive.getmembers():
            if member.name.endswith(".py") and (content := archive.extractfile(member)):
                files[member.name] = content.read().decode("utf-8")
    return files


@cache
def definitions_of(root: Path) -> Definitions:
    """The definitions below a folder, read once per process."""
    return Definitions.of_folder(root)


def _stored(node: ast.stmt) -> list[str]:
    """The names that a statement of a module binds, but for those inside of functions."""
    found: list[str] = []
    waiting: list[ast.AST] = [node]
    while waiting:
        entry = waiting.pop()
        if isinstance(entry, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            found.append(entry.name)
        elif isinstance(entry, ast.Name) and not isinstance(entry.ctx, ast.Load):
            found.append(entry.id)
        elif not isinstance(entry, ast.Lambda | ast.ListComp | ast.SetComp | ast.DictComp | ast.GeneratorExp):
            waiting += ast.iter_child_nodes(entry)
    return list(dict.fromkeys(found))


def _acts(node: ast.stmt) -> bool:
    """Whether a statement of a module does something on import beyond binding names."""
    if isinstance(node, ast.Assign | ast.AnnAssign | ast.AugAssign):
        targets = node.targets if isinstance(node, ast.Assign) else [node.target]
        return any(isinstance(part, ast.Attribute | ast.Subscript) for target in targets for part in ast.walk(target))
    if isinstance(node, ast.Try | ast.If):
        parts = [*node.body, *node.orelse, *(getattr(node, "finalbody", []))]
        parts += [entry for handler in getattr(node, "handlers", []) for entry in handler.body]
        return any(_acts(part) for part in parts)
    return not isinstance(
        node, ast.Import | ast.ImportFrom | ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | ast.Pass
    )


def _module_name(file: str) -> str:
    return file.removesuffix(".py").removesuffix("/__init__").replace("/", ".")


def _reader(path: Path) -> Callable[[], str]:
    return lambda: path.read_text(encoding="utf-8")


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _git(root: Path, *arguments: str) -> bytes:
    return subprocess.run(["git", "-C", str(root), *arguments], capture_output=True, check=True).stdout
