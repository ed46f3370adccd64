"""Errors that a person at the command line sees: one short message, with the nearest right name. Imports no torch."""

import difflib
import sys
from collections.abc import Callable, Iterable

from datamodules.errors import UserError as UserError


def run_with_user_errors(program: str, run: Callable[[], int | None]) -> int:
    """The exit code of a command: its own, or 2 after the one line of a `UserError`; all else is a traceback."""
    try:
        return run() or 0
    except UserError as error:
        print(f"{program}: {error}", file=sys.stderr)
        return 2


def unknown_name_error(what: str, word: str, known: Iterable[str]) -> UserError:
    """The error for a name that does not exist: says the nearest one that does, or all of them if they are few."""
    known = sorted(set(known))
    lowered = {name.lower(): name for name in known}
    near = difflib.get_close_matches(word.lower(), lowered, n=1, cutoff=0.5)
    if near:
        return UserError(f"Unknown {what} '{word}'. Did you mean '{lowered[near[0]]}'?")
    if not known:
        return UserError(f"Unknown {what} '{word}'; none are available.")
    shown = ", ".join(known[:12]) + (", ..." if len(known) > 12 else "")
    return UserError(f"Unknown {what} '{word}'. Available: {shown}.")
