"""Errors that a person at the command line sees: one short message, with the nearest right name."""

import difflib
from collections.abc import Iterable


class UserError(Exception):
    """What was asked cannot be done; the message is all that the person sees, and the exit code is 2."""


def unknown(what: str, word: str, known: Iterable[str]) -> UserError:
    """The error for a name that does not exist: says the nearest one that does, or all of them if they are few."""
    known = sorted(set(known))
    lowered = {name.lower(): name for name in known}
    near = difflib.get_close_matches(word.lower(), lowered, n=1, cutoff=0.5)
    if near:
        return UserError(f"There is no {what} '{word}'. Did you mean '{lowered[near[0]]}'?")
    if not known:
        return UserError(f"There is no {what} '{word}', and no other either.")
    shown = ", ".join(known[:12]) + (", ..." if len(known) > 12 else "")
    return UserError(f"There is no {what} '{word}'. There are: {shown}.")
