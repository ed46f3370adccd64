"""Scopes: which names a function, a class or a comprehension binds. Imports no torch."""

import ast
from collections.abc import Callable, Sequence


class Scope:
    """The names that a function, class or comprehension binds."""

    def __init__(self, kind: str, parent: "Scope | None") -> None:
        self.kind, self.parent = kind, parent
        self.parameters: set[str] = set()
        self.bound: set[str] = set()
        self.kept: set[str] = set()
        self.outer: set[str] = set()
        self.module: set[str] = set()
        self.imports: dict[str, str] = {}

    def bind(self, nodes: Sequence[ast.AST], importing: Callable[[ast.stmt], dict[str, str]]) -> None:
        """Learn what the statements, or the targets of a comprehension, bind; `importing` reads an import."""
        for node in nodes:
            self._bind(node, importing, False)
        self.bound -= self.parameters | self.outer | self.module
        self.imports = {name: path for name, path in self.imports.items() if name not in self.bound | self.kept}

    def _bind(self, node: ast.AST, importing: Callable[[ast.stmt], dict[str, str]], inside: bool) -> None:
        inner: list[ast.AST] = list(ast.iter_child_nodes(node))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            self.kept.add(node.name)
            inner = [*node.decorator_list, *(node.bases if isinstance(node, ast.ClassDef) else _defaults(node.args))]
        elif isinstance(node, ast.Lambda):
            inner = _defaults(node.args)
        elif isinstance(node, ast.ListComp | ast.SetComp | ast.DictComp | ast.GeneratorExp):
            inside = True
        elif isinstance(node, ast.NamedExpr):
            self.bound.add(node.target.id)
            inner = [node.value]
        elif isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load) and not inside:
            self.bound.add(node.id)
        elif isinstance(node, ast.ExceptHandler | ast.MatchAs | ast.MatchStar) and node.name:
            self.bound.add(node.name)
        elif isinstance(node, ast.MatchMapping) and node.rest:
            self.bound.add(node.rest)
        elif isinstance(node, ast.Global):
            self.module |= set(node.names)
        elif isinstance(node, ast.Nonlocal):
            self.outer |= set(node.names)
        elif isinstance(node, ast.Import | ast.ImportFrom):
            self.imports |= importing(node)
        for child in inner:
            self._bind(child, importing, inside)


def shows_locals(node: ast.AST) -> bool:
    """Whether the names of local variables may be seen at run time."""
    called = isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
    return called and node.func.id in ("locals", "vars", "exec", "eval", "dir")  # type: ignore[attr-defined]


def _defaults(arguments: ast.arguments) -> list[ast.AST]:
    return [*arguments.defaults, *(value for value in arguments.kw_defaults if value is not None)]
