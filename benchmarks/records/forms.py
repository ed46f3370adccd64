"""Forms: definitions as tokens, and what the names among them lead to. Imports no torch."""

from collections.abc import Iterator
from dataclasses import dataclass, field

Key = tuple[str, str]
"""A definition: its module and its name there. The name is empty for the statements of a module that act on import."""

Token = tuple[str, str]
"""Kind and text. Kinds: node and field (structure), attribute, parameter, text, value, local, name (of something that
a function defines), own (the definition's own name), reference (to a definition of ours), outside (to a package's or
a builtin), error and caught (its kind), aside (to a room that is not followed)."""


@dataclass(frozen=True)
class Target:
    """What a dotted name means: one of our definitions, or a whole module of ours, or something outside.

    Args:
        kind: reference, outside or aside.
        text: how the token calls it; independent of where it stands.
        keys: the definitions that it leads to.
        rest: attributes that follow.
    """

    kind: str
    text: str
    keys: tuple[Key, ...] = ()
    rest: tuple[str, ...] = ()


@dataclass
class Form:
    """Tokens of a definition; by a token's index, what a reference leads to and which error is raised or caught."""

    tokens: list[Token] = field(default_factory=list)
    targets: dict[int, tuple[Key, ...]] = field(default_factory=dict)
    errors: dict[int, Target] = field(default_factory=dict)

    def references(self) -> Iterator[Key]:
        """The definitions that this one names, in order of appearance."""
        for keys in self.targets.values():
            yield from keys
