"""What `mutations.py` seeds: the slips of a tree's source, a choice of them, and the same ones in another tree."""

import ast
import math
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

PACKAGES = ("lightning_modules", "datamodules", "baselines", "benchmarks")
OPERATORS: dict[type[ast.AST], Any] = {
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult, ast.FloorDiv: ast.Mult,
    ast.And: ast.Or, ast.Or: ast.And, ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt,
    ast.Eq: ast.NotEq, ast.NotEq: ast.Eq, ast.Is: ast.IsNot, ast.IsNot: ast.Is, ast.In: ast.NotIn, ast.NotIn: ast.In,
}  # fmt: skip
PAIRS = [
    ("min", "max"),
    ("minimum", "maximum"),
    ("amin", "amax"),
    ("argmin", "argmax"),
    ("floor", "ceil"),
    ("any", "all"),
]
OPPOSITES = {a: b for pair in PAIRS for a, b in (pair, pair[::-1])}
CLAMPS = {"clamp", "clamp_", "clip"}
SILENT = {"add_argument", "add_parser", "warn", "rank_zero_warn", "info", "debug", "warning", "__init__", "cast"}
TEXT = (ast.JoinedStr, ast.List, ast.Tuple)


@dataclass(frozen=True)
class Mutation:
    """One slip: `before` becomes `after` at `span` (first line, column, last line, column; columns in bytes)."""

    file: str
    definition: str
    kind: str
    ordinal: int
    statement: str
    before: str
    after: str
    span: tuple[int, int, int, int]

    @property
    def name(self) -> str:
        return f"{dotted(self.file)}:{self.definition}:{self.kind}:{self.ordinal}"

    def applied(self, source: str) -> str:
        lines = source.encode().splitlines(keepends=True)
        first, start, last, end = self.span
        head, tail = lines[first - 1][:start], lines[last - 1][end:]
        return b"".join([*lines[: first - 1], head, self.after.encode(), tail, *lines[last:]]).decode()


def find(tree: Path) -> list[Mutation]:
    """All mutations of the packages in `tree`."""
    files = sorted(path for package in PACKAGES for path in (tree / package).rglob("*.py"))
    return [mutation for path in files for mutation in Finder(path.relative_to(tree).as_posix(), path).found]


class Finder:
    """Walks one module and gathers its mutations in `found`."""

    def __init__(self, file: str, path: Path) -> None:
        self.file, self.found = file, list[Mutation]()
        self.ordinals: Counter[tuple[str, str]] = Counter()
        for statement in ast.parse(path.read_text()).body:
            self.visit(statement, "", "")

    def visit(self, node: Any, definition: str, statement: str, index: bool = False) -> None:
        match node:
            case ast.Raise() | ast.Assert() | ast.JoinedStr() | ast.Expr(value=ast.Constant()):
                return
            case ast.If(test=ast.Name(id="TYPE_CHECKING") | ast.Compare(left=ast.Name(id="__name__"))):
                return
            case ast.Call() if name_of(node.func) in SILENT:
                return
            case ast.ClassDef() | ast.FunctionDef() | ast.AsyncFunctionDef():
                inner = f"{definition}.{node.name}".lstrip(".")
                for argument, value in defaults(node):
                    self.mutate(value, inner, f"{argument}={ast.unparse(value)}", default=True)
                for child in node.body:
                    self.visit(child, inner, "")
                return
        if isinstance(node, ast.stmt):
            statement = header(node)
            if not definition and isinstance(node, ast.Assign | ast.AnnAssign):
                definition = ast.unparse(node.targets[0] if isinstance(node, ast.Assign) else node.target)
        if definition:
            in_class = isinstance(node, ast.AnnAssign) and isinstance(node.value, ast.Constant)
            self.mutate(node.value if in_class else node, definition, statement, index, default=in_class)
            if in_class:
                return
        for name, field in ast.iter_fields(node):
            inside = name == "slice" or (index and isinstance(node, ast.Slice | ast.Tuple | ast.UnaryOp))
            for child in field if isinstance(field, list) else [field]:
                if isinstance(child, ast.AST) and name not in ("annotation", "type_params"):
                    self.visit(child, definition, statement, inside)

    def mutate(self, node: Any, definition: str, statement: str, index: bool = False, default: bool = False) -> None:
        for kind, after in slips(node, index, default):
            ordinal = self.ordinals[definition, kind]
            self.ordinals[definition, kind] += 1
            text = after if isinstance(after, str) else f"({ast.unparse(after)})"
            span = (node.lineno, node.col_offset, node.end_lineno, node.end_col_offset)
            self.found.append(Mutation(self.file, definition, kind, ordinal, statement, ast.unparse(node), text, span))


def slips(node: ast.AST, index: bool, default: bool) -> Iterator[tuple[str, ast.expr | str]]:
    """The kinds of slip that `node` allows, each with what it becomes; `index`: it stands in [], `default`: after =."""
    match node:
        case ast.BinOp(left=left, op=op, right=right) if type(op) in OPERATORS:
            if not any(isinstance(side, TEXT) or is_text(side) for side in (left, right)):
                yield "operator", ast.BinOp(left, OPERATORS[type(op)](), right)
        case ast.BoolOp(op=op, values=values):
            yield "operator", ast.BoolOp(OPERATORS[type(op)](), values)
        case ast.Compare(left=left, ops=[op, *others], comparators=comparators):
            yield "comparison", ast.Compare(left, [OPERATORS[type(op)](), *others], comparators)
        case ast.UnaryOp(op=ast.Not(), operand=operand):
            yield "not", operand
        case ast.Constant(value=bool(value)) if default:
            yield "default", ast.Constant(not value)
        case ast.Constant(value=int(value)) if not isinstance(value, bool):
            yield "default" if default else "index" if index else "constant", ast.Constant(value + 1)
        case ast.Constant(value=float(value)):
            yield "default" if default else "constant", ast.Constant(2 * value if default and value else -value or 1.0)
        case ast.AugAssign():
            yield "removed", "pass"
        case ast.Expr(value=ast.Call(func=func)) if name_of(func) not in SILENT:
            yield "removed", "pass"
        case ast.Call(func=func, args=args, keywords=keywords) if name_of(func) in CLAMPS:
            if isinstance(func, ast.Attribute) and name_of(func.value) not in ("np", "torch"):
                yield "removed", func.value
            named = [ast.keyword(OPPOSITES.get(k.arg or "", k.arg), k.value) for k in keywords]
            yield "minmax", ast.Call(func, [*args[:-2], *args[-2:][::-1]], named)
        case ast.Call(func=ast.Name(id=name), args=args, keywords=keywords) if name in OPPOSITES:
            yield "minmax", ast.Call(ast.Name(OPPOSITES[name]), args, keywords)
        case ast.Call(func=ast.Attribute(value=value, attr=name), args=args, keywords=keywords) if name in OPPOSITES:
            yield "minmax", ast.Call(ast.Attribute(value, OPPOSITES[name]), args, keywords)


def choose(found: Sequence[Mutation], count: int, seed: int, areas: dict[str, list[str]]) -> list[Mutation]:
    """`count` of them, areas in turn: each gets a twentieth, the rest by size; definitions and kinds in turn."""
    rooms: dict[str, list[Mutation]] = {area: [] for area in areas}
    for mutation in sorted(found, key=lambda m: sha256(f"{seed} {m.name}".encode()).digest()):
        area = next((area for area, paths in areas.items() if mutation.file.startswith(tuple(paths))), None)
        if area is not None:
            rooms[area].append(mutation)
    least = count // 20
    rest = max(0, count - least * len(rooms)) / max(1, sum(map(len, rooms.values())))
    ranked = []
    for area, room in rooms.items():
        taken, turns, places = Counter[str](), Counter[tuple[int, str]](), []
        for order, mutation in enumerate(room):
            again = taken[mutation.definition] = taken[mutation.definition] + 1
            turn = turns[again, mutation.kind] = turns[again, mutation.kind] + 1
            places.append((again, turn, order))
        best = sorted(places)[: least + math.ceil(rest * len(room))]
        ranked += [(rank, area, room[order]) for rank, (*_, order) in enumerate(best)]
    return [mutation for *_, mutation in sorted(ranked, key=lambda place: place[:2])][:count]


def carried(old: dict[str, Any], found: Sequence[Mutation], renamed: dict[str, str | list[str]]) -> Mutation | str:
    """The mutation of this tree that `old` has become, or the reason why there is none.

    Code is compared by the names that `renamed` gives ("Class:name" counts inside `Class` only). In a definition of the
    same name the shape of the statement is enough, since names may have changed twice.
    """
    scopes = ("", *old["definition"].split("."))
    table = {key.rpartition(":")[2]: first(new) for key, new in renamed.items() if key.rpartition(":")[0] in scopes}
    alternatives = {name: new[0] for new in renamed.values() if not isinstance(new, str) for name in new}
    definition = words(old["definition"], table)
    code = [words(old[part], table) for part in ("statement", "before")]
    names = {m: words(m.definition, alternatives) for m in found}
    same_name = [m for m, name in names.items() if name == definition]
    same_last = [m for m, name in names.items() if name.rpartition(".")[2] == definition.rpartition(".")[2]]
    anywhere = found if len(old["statement"]) > 30 else []  # a long statement is known without its definition
    for pool, form in ((same_name, str), (same_name, shape), (same_last, str), (anywhere, str)):
        same_kind = [m for m in pool if m.kind == old["kind"]]
        fits = [
            m
            for m in same_kind
            if [form(words(t, alternatives)) for t in (m.statement, m.before)] == [*map(form, code)]
        ]
        if len({(m.file, m.definition) for m in fits}) > 1:
            fits = [m for m in fits if Path(m.file).name == Path(old["file"]).name]
        if len({(m.file, m.definition) for m in fits}) == 1:
            return min(fits, key=lambda m: abs(m.ordinal - old["ordinal"]))
    return (
        "its statement is gone or stands in several definitions"
        if same_last
        else "no mutation is left in a definition of its name"
    )


def first(new: str | list[str]) -> str:
    return new if isinstance(new, str) else new[0]


def defaults(node: ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) -> list[tuple[str, ast.expr]]:
    """The defaults of a function's arguments that are constants."""
    if isinstance(node, ast.ClassDef):
        return []
    positional = [*node.args.posonlyargs, *node.args.args]
    pairs = list(zip(positional[len(positional) - len(node.args.defaults) :], node.args.defaults, strict=True))
    pairs += [(a, value) for a, value in zip(node.args.kwonlyargs, node.args.kw_defaults, strict=True) if value]
    return [(argument.arg, value) for argument, value in pairs if isinstance(value, ast.Constant)]


def header(node: ast.stmt) -> str:
    """A statement without the statements in it, as one line."""
    return ast.unparse(node).splitlines()[0] if hasattr(node, "body") else ast.unparse(node)


def dotted(file: str) -> str:
    return file.removesuffix(".py").removesuffix("/__init__").replace("/", ".")


def name_of(node: ast.AST) -> str:
    return node.id if isinstance(node, ast.Name) else node.attr if isinstance(node, ast.Attribute) else ""


def is_text(node: ast.AST) -> bool:
    return isinstance(node, ast.Constant) and isinstance(node.value, str)


def words(text: str, table: dict[str, str]) -> str:
    """`text` with its identifiers renamed."""
    return re.sub(r"\b[A-Za-z_]\w*\b", lambda match: table.get(match[0], match[0]), text)


def shape(text: str) -> str:
    """`text` with every identifier alike."""
    return re.sub(r"\b[A-Za-z_]\w*\b", "_", text)
