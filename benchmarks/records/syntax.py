"""The canonical form of a definition: its syntax tree without prose, layout, annotations and the names of its locals.

Two definitions with equal tokens compute the same. The form is ours and not `ast.dump`'s, so that it is the same on
every version of Python. Imports no torch.
"""

import ast
import json
import re
from collections.abc import Callable, Sequence

from benchmarks.records.forms import Form, Target, Token
from benchmarks.records.scopes import Scope, shows_locals

_Comprehension = ast.ListComp | ast.SetComp | ast.GeneratorExp | ast.DictComp


class Writer:
    """Writes the canonical form of one definition.

    Args:
        resolve: what a dotted name means at the top of the module that the definition stands in.
        importing: the names that an import statement binds there, with what each means.
        own: the name of the definition.
    """

    def __init__(
        self, resolve: Callable[[str], Target], importing: Callable[[ast.stmt], dict[str, str]], own: str
    ) -> None:
        self.form = Form()
        self._resolve, self._importing, self._own = resolve, importing, own
        self._numbers: dict[tuple[int, str], int] = {}
        self._scopes: list[Scope] = []  # kept alive, because they are told apart by their addresses
        self._shown = False

    def write(self, nodes: list[ast.stmt]) -> Form:
        """The form of the statements that make the definition."""
        self._shown = any(shows_locals(node) for statement in nodes for node in ast.walk(statement))
        self._each(nodes, None)
        return self.form

    def _emit(self, kind: str, text: str = "") -> None:
        self.form.tokens.append((kind, text))

    def _visit(self, node: ast.AST, scope: Scope | None) -> None:
        special = getattr(self, f"_{type(node).__name__.lower()}", None)
        if special is not None:
            special(node, scope)
            return
        self._emit("node", type(node).__name__)
        self._fields(node, scope)

    def _fields(self, node: ast.AST, scope: Scope | None, *without: str) -> None:
        for name in node._fields:
            value = getattr(node, name, None)
            if value is None or value == [] or name in _IGNORED or name in without:
                continue
            self._emit("field", name)
            if isinstance(value, list):
                self._each(value, scope)
            elif isinstance(value, ast.AST):
                self._visit(value, scope)
            else:
                self._emit("value", repr(value))
        self._emit("node", "end")

    def _each(self, values: Sequence[ast.AST | None], scope: Scope | None) -> None:
        for value in values:
            if value is None:  # the key of `**mapping` in a dict, or an argument without a default
                self._emit("value", "None")
            elif not isinstance(value, ast.AST):
                self._emit("value", repr(value))
            elif not _is_prose(value) and not self._only_files(value, scope):
                self._visit(value, scope)
        self._emit("node", "]")

    def _open(self, kind: str, parent: Scope | None) -> Scope:
        self._scopes.append(Scope(kind, parent))
        return self._scopes[-1]

    # Definitions

    def _functiondef(self, node: ast.FunctionDef | ast.AsyncFunctionDef, scope: Scope | None) -> None:
        self._emit("node", type(node).__name__)
        self._definition_name(node.name, scope)
        self._each(node.decorator_list, scope)
        constructs = scope is not None and scope.kind == "class" and node.name in ("__init__", "__new__")
        inner = self._arguments_of(node.args, scope, constructs or any(map(_reads_annotations, node.decorator_list)))
        inner.bind(node.body, self._importing)
        self._each(node.body, inner)

    _asyncfunctiondef = _functiondef

    def _lambda(self, node: ast.Lambda, scope: Scope | None) -> None:
        self._emit("node", "Lambda")
        inner = self._arguments_of(node.args, scope, False)
        inner.bind([node.body], self._importing)
        self._visit(node.body, inner)

    def _arguments_of(self, arguments: ast.arguments, scope: Scope | None, annotated: bool) -> Scope:
        inner = self._open("function", scope)
        for kind in ("posonlyargs", "args", "vararg", "kwonlyargs", "kwarg"):
            value = getattr(arguments, kind)
            entries = value if isinstance(value, list) else [value] if value else []
            if entries:
                self._emit("field", kind)
            for entry in entries:
                inner.parameters.add(entry.arg)
                self._emit("parameter", entry.arg)
                if annotated and entry.annotation:
                    self._annotation(entry.annotation, scope)
        self._emit("field", "defaults")
        self._each(arguments.defaults, scope)
        self._each(arguments.kw_defaults, scope)
        return inner

    def _classdef(self, node: ast.ClassDef, scope: Scope | None) -> None:
        self._emit("node", "ClassDef")
        self._definition_name(node.name, scope)
        self._each(node.decorator_list, scope)
        self._each(node.bases, scope)
        self._each(node.keywords, scope)
        inner = self._open("class", scope)
        inner.bind(node.body, self._importing)
        self._each(node.body, inner)

    def _definition_name(self, name: str, scope: Scope | None) -> None:
        kind = "own" if scope is None else "attribute" if scope.kind == "class" else "name"
        self._emit(kind, name)

    # Names

    def _name(self, node: ast.Name, scope: Scope | None) -> None:
        found = self._lookup(node.id, scope)
        if isinstance(found, Target):
            self._reference(found)
        else:
            self._emit(*found)

    def _attribute(self, node: ast.Attribute, scope: Scope | None) -> None:
        names, base = _chain(node)
        found = self._lookup(base.id, scope, names) if isinstance(base, ast.Name) else None
        if isinstance(found, Target):
            self._reference(found)
            return
        self._emit("node", "Attribute")
        self._visit(node.value, scope)
        self._emit("attribute", node.attr)

    def _lookup(self, name: str, start: Scope | None, attributes: list[str] | None = None) -> Token | Target:
        dotted = ".".join([name, *(attributes or [])])
        scope = start
        while scope is not None:
            if scope.kind == "class" and scope is not start:
                scope = scope.parent
                continue
            if name in scope.module:
                break
            if name in scope.parameters:
                return "parameter", name
            if name in scope.kept:
                return ("attribute" if scope.kind == "class" else "name"), name
            if name in scope.bound:
                return ("attribute", name) if scope.kind == "class" else self._local(name, scope)
            if name in scope.imports:
                return self._resolve("=" + ".".join([scope.imports[name], *(attributes or [])]))
            scope = scope.parent
        return self._resolve(dotted)

    def _local(self, name: str, scope: Scope) -> Token:
        if self._shown:
            return "name", name
        return "local", str(self._numbers.setdefault((id(scope), name), len(self._numbers)))

    def _bound_name(self, name: str | None, scope: Scope | None) -> None:
        if name is not None:
            self._name(ast.Name(name, ast.Store()), scope)

    def _reference(self, target: Target) -> None:
        if target.keys:
            self.form.targets[len(self.form.tokens)] = target.keys
        own = target.kind == "reference" and target.text == self._own
        self._emit(target.kind, "" if own and not target.keys else target.text)
        for name in target.rest:
            self._emit("attribute", name)

    # Expressions and statements that need care

    def _listcomp(self, node: _Comprehension, scope: Scope | None) -> None:
        self._emit("node", type(node).__name__)
        inner = self._open("comprehension", scope)
        inner.bind([generator.target for generator in node.generators], self._importing)
        for number, generator in enumerate(node.generators):
            self._visit(generator.iter, inner if number else scope)  # the first is evaluated outside
            self._visit(generator.target, inner)
            self._emit("value", repr(generator.is_async))
            self._each(generator.ifs, inner)
        parts = [node.key, node.value] if isinstance(node, ast.DictComp) else [node.elt]
        self._each(parts, inner)

    _setcomp = _generatorexp = _dictcomp = _listcomp

    def _constant(self, node: ast.Constant, scope: Scope | None) -> None:
        value = node.value
        if not isinstance(value, str):
            self._emit("value", f"{type(value).__name__} {value!r}")
            return
        if _PATH.fullmatch(value):
            target = self._resolve("=" + value)
            if target.kind == "reference":
                self._reference(target)
                return
        self._emit("text", json.dumps(value))

    def _joinedstr(self, node: ast.JoinedStr, scope: Scope | None) -> None:
        self._emit("node", "JoinedStr")
        text = ""
        for part in node.values:
            if isinstance(part, ast.Constant):
                text += str(part.value)
                continue
            if text:
                self._emit("text", json.dumps(text))
            text = ""
            self._visit(part, scope)
        if text:
            self._emit("text", json.dumps(text))
        self._emit("node", "]")

    def _keyword(self, node: ast.keyword, scope: Scope | None) -> None:
        self._emit("parameter", node.arg or "**")
        self._visit(node.value, scope)

    def _annassign(self, node: ast.AnnAssign, scope: Scope | None) -> None:
        field_of_class = scope is not None and scope.kind == "class"
        if node.value is None and not field_of_class:
            return
        self._emit("node", "Assign")
        self._each([node.target], scope)
        if field_of_class:
            self._annotation(node.annotation, scope)
        if node.value is not None:
            self._visit(node.value, scope)

    def _assign(self, node: ast.Assign, scope: Scope | None) -> None:
        self._emit("node", "Assign")
        self._each(node.targets, scope)
        self._visit(node.value, scope)

    def _annotation(self, node: ast.expr, scope: Scope | None) -> None:
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            node = ast.parse(node.value.strip(), mode="eval").body
        self._emit("field", "annotation")
        self._visit(node, scope)

    def _raise(self, node: ast.Raise, scope: Scope | None) -> None:
        """What an error says is prose: neither its words nor what they quote can change a number."""
        self._emit("node", "Raise")
        error = node.exc
        if isinstance(error, ast.Call):
            self._error(error.func, scope, "error")
            said = [argument for argument in error.args if not _is_text(argument)]
            self._each(said, scope)
            self._each([word for word in error.keywords if not _is_text(word.value)], scope)
        elif error is not None:
            self._error(error, scope, "error")
        if node.cause is not None:
            self._emit("field", "cause")
            self._visit(node.cause, scope)

    def _excepthandler(self, node: ast.ExceptHandler, scope: Scope | None) -> None:
        self._emit("node", "ExceptHandler")
        for kind in node.type.elts if isinstance(node.type, ast.Tuple) else [node.type] if node.type else []:
            self._error(kind, scope, "caught")
        self._emit("node", "as")
        self._bound_name(node.name, scope)
        self._each(node.body, scope)

    def _error(self, node: ast.expr, scope: Scope | None, kind: str) -> None:
        """The kind of an error counts, because it says who catches it; what its class holds does not."""
        names, base = _chain(node)
        found = self._lookup(base.id, scope, names) if isinstance(base, ast.Name) else None
        if isinstance(found, Target):
            self.form.errors[len(self.form.tokens)] = found
            self._emit(kind, ".".join([found.text, *found.rest]).rpartition(".")[2])
        else:
            self._visit(node, scope)

    def _matchas(self, node: ast.MatchAs | ast.MatchStar, scope: Scope | None) -> None:
        self._emit("node", type(node).__name__)
        if isinstance(node, ast.MatchAs) and node.pattern is not None:
            self._visit(node.pattern, scope)
        self._bound_name(node.name, scope)
        self._emit("node", "end")

    _matchstar = _matchas

    def _matchmapping(self, node: ast.MatchMapping, scope: Scope | None) -> None:
        self._emit("node", "MatchMapping")
        self._fields(node, scope, "rest")
        self._bound_name(node.rest, scope)

    def _matchclass(self, node: ast.MatchClass, scope: Scope | None) -> None:
        self._emit("node", "MatchClass")
        self._fields(node, scope, "kwd_attrs")
        for name in node.kwd_attrs:
            self._emit("attribute", name)

    def _import(self, node: ast.Import | ast.ImportFrom, scope: Scope | None) -> None:
        """Uses say what was imported; the statement counts where its name is also bound otherwise."""
        for name, path in self._importing(node).items():
            if scope is not None and name not in scope.imports:
                self._emit("node", "Import")
                self._bound_name(name, scope)
                self._reference(self._resolve("=" + path))

    _importfrom = _import

    def _nothing(self, node: ast.AST, scope: Scope | None) -> None:
        """Where a name is bound shows at its uses."""

    _global = _nonlocal = _pass = _nothing

    def _only_files(self, node: ast.AST, scope: Scope | None) -> bool:
        """Whether a statement only says something, or hands values to a room that files, shows or sends them."""
        if not (isinstance(node, ast.Expr) and isinstance(node.value, ast.Call)):
            return False
        call = node.value
        names, base = _chain(call.func)
        if not isinstance(base, ast.Name):
            return False
        found = self._lookup(base.id, scope, names)
        told = [value for value in (*call.args, *(word.value for word in call.keywords)) if not _is_text(value)]
        acting = (ast.Call, ast.NamedExpr, ast.Await, ast.Yield)
        if not isinstance(found, Target) or any(isinstance(part, acting) for value in told for part in ast.walk(value)):
            return False
        says = found.kind == "outside" and found.text.rpartition(".")[2] in _SAYERS
        return says or found.kind == "aside"


_IGNORED = ("ctx", "type_comment", "kind", "type_ignores", "returns", "simple")
_PATH = re.compile(r"[a-z_]+(\.\w+)+")
_SAYERS = ("print", "warn", "rank_zero_info", "rank_zero_warn")
_READERS = ("register", "singledispatch", "script", "validate_call", "jit")


def _chain(node: ast.expr) -> tuple[list[str], ast.expr]:
    """The attributes of `base.a.b`, and its base."""
    names: list[str] = []
    while isinstance(node, ast.Attribute):
        names.insert(0, node.attr)
        node = node.value
    return names, node


def _is_prose(node: ast.AST) -> bool:
    """A docstring, the text below a constant, or the dots of an empty body."""
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)


def _is_text(node: ast.expr) -> bool:
    if isinstance(node, ast.BinOp):
        return _is_text(node.left) and _is_text(node.right)
    return isinstance(node, ast.JoinedStr) or (isinstance(node, ast.Constant) and isinstance(node.value, str))


def _reads_annotations(decorator: ast.expr) -> bool:
    return any(
        name in _READERS
        for node in ast.walk(decorator)
        for name in [node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""]
    )
