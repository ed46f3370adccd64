"""Proof: that two states of the project compute the same, up to the table of names. Imports no torch.

Definitions are compared pair by pair, from the roots on: their forms must agree token by token, and what a reference
leads to in the one must be proven equal to what it leads to in the other. A name may be another only if the table says
so; within one definition an old name has one new name, and no new name stands for two old ones. The names of functions
and constants of a module are free, because what they lead to is compared.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from benchmarks.records.definitions import Definitions
from benchmarks.records.forms import Form, Key, Token


@dataclass
class Proof:
    """Compares definitions of an old and a new state of the project; what is proven once is kept.

    Args:
        old: the definitions as they were.
        new: as they are.
        identifiers: old -> new identifier, or several new ones; "Definition:old" holds in that old definition alone.
    """

    old: Definitions
    new: Definitions
    identifiers: Mapping[str, str | tuple[str, ...]]
    differences: dict[tuple[Key, Key], str | None] = field(default_factory=dict)

    def difference(self, pairs: Iterable[tuple[Key, Key]]) -> list[str]:
        """What differs below the pairs, one line a definition; empty if everything is proven equal."""
        seen: set[tuple[Key, Key]] = set()
        waiting, found = list(pairs), []
        while waiting:
            pair = waiting.pop()
            if pair in seen:
                continue
            seen.add(pair)
            if pair not in self.differences:
                self.differences[pair] = self._compare(*pair)
            if reason := self.differences[pair]:
                found.append(reason)
            else:
                waiting += self._below(*pair)
        reached = {key for key, _ in seen}, {key for _, key in seen}
        return sorted({*found, *self._other_acts(*reached), *self._other_handlers(seen)})

    def _below(self, old: Key, new: Key) -> list[tuple[Key, Key]]:
        mine, theirs = self.old.form(old), self.new.form(new)
        found = []
        for index, keys in mine.targets.items():
            found += _pairs(keys, theirs.targets.get(index, ()))
        return found

    def _compare(self, old: Key, new: Key) -> str | None:
        mine, theirs = self.old.form(old), self.new.form(new)
        where = f"{old[0]}.{old[1]}"
        renamed: dict[tuple[str, str], str] = {}
        merged: dict[tuple[str, str], str] = {}
        for index, (was, now) in enumerate(zip(mine.tokens, theirs.tokens, strict=False)):
            if not self._same(old[1], mine, theirs, index, was, now):
                return f"{where} ({was[1] or was[0]} is now {now[1] or now[0]})"
            if was[0] not in ("attribute", "parameter", "text"):
                continue
            if renamed.setdefault(was, now[1]) != now[1]:
                return f"{where} ({was[1]} is now both {renamed[was]} and {now[1]})"
            if merged.setdefault(now, was[1]) != was[1]:
                return f"{where} (both {merged[now]} and {was[1]} are now {now[1]})"
        if len(mine.tokens) != len(theirs.tokens):
            return f"{where} (it is longer or shorter)"
        return None

    def _same(self, definition: str, mine: Form, theirs: Form, index: int, was: Token, now: Token) -> bool:
        kinds = {was[0], now[0]}
        if kinds == {"error"}:
            return True  # which errors are told apart is compared in `_other_handlers`
        if "aside" in kinds and kinds <= {"aside", "reference"}:
            return kinds == {"aside"} or self._may_be(definition, was[1], now[1])
        if was[0] != now[0]:
            return False
        if was[0] in ("reference", "own"):
            before, after = mine.targets.get(index, ()), theirs.targets.get(index, ())
            return len(before) == len(after) and (
                self._is_free(mine, before) or self._may_be(definition, was[1], now[1])
            )
        if was == now:
            return True
        if was[0] == "text":
            return was[1].startswith('"') and self._may_be(definition, was[1].strip('"'), now[1].strip('"'))
        return was[0] in ("attribute", "parameter", "name", "caught") and self._may_be(definition, was[1], now[1])

    def _is_free(self, form: Form, targets: tuple[Key, ...]) -> bool:
        """Whether a name may change without a word in the table: what it leads to is one function or constant."""
        forms = [self.old.form(target) for target in targets] or [form]
        return len(forms) == 1 and ("node", "ClassDef") not in forms[0].tokens[:2]

    def _may_be(self, definition: str, was: str, now: str) -> bool:
        if was == now:
            return True
        allowed: list[str] = []
        for name in (f"{definition}:{was}", was):
            entry = self.identifiers.get(name, ())
            allowed += [entry] if isinstance(entry, str) else entry
        return now in allowed

    def _other_acts(self, old: Iterable[Key], new: Iterable[Key]) -> list[str]:
        """Modules whose statements on import differ."""
        before = {digest: key for key in self._acts(self.old, old) for digest in [self.old.own_digest(key)]}
        after = {digest: key for key in self._acts(self.new, new) for digest in [self.new.own_digest(key)]}
        return [f"{(before | after)[digest][0]} (it acts on import)" for digest in before.keys() ^ after.keys()]

    @staticmethod
    def _acts(definitions: Definitions, keys: Iterable[Key]) -> set[Key]:
        return {act for key in keys for act in definitions.acting(key)}

    def _other_handlers(self, pairs: Iterable[tuple[Key, Key]]) -> list[str]:
        """Definitions that raise an error that other handlers would now take."""
        handlers = self._handlers(pairs)
        found = []
        for old, new in pairs:
            mine, theirs = self.old.form(old), self.new.form(new)
            for index, error in mine.errors.items():
                other = theirs.errors.get(index)
                if other is None or mine.tokens[index][0] != "error":
                    continue
                taken = [
                    (self.old.is_error(error, was), self.new.is_error(other, now)) for was, now in sorted(handlers)
                ]
                if any(was != now for was, now in taken):
                    found.append(f"{old[0]}.{old[1]} (its error is caught elsewhere)")
        return found

    def _handlers(self, pairs: Iterable[tuple[Key, Key]]) -> set[tuple[str, str]]:
        """The kinds of errors that are caught, by old and new name."""
        found = set()
        for old, new in pairs:
            mine, theirs = self.old.form(old), self.new.form(new)
            for (kind, was), (_, now) in zip(mine.tokens, theirs.tokens, strict=False):
                if kind == "caught":
                    found.add((was, now))
        return found


def _pairs(old: tuple[Key, ...], new: tuple[Key, ...]) -> list[tuple[Key, Key]]:
    """What a reference leads to, then and now; of a whole module, or a name bound twice, by order."""
    return list(zip(old, new, strict=True)) if len(old) == len(new) else []
