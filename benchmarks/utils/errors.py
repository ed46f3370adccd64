"""Errors as a user sees them at the command line: one line, with the nearest known name. Imports no torch."""

import difflib
import sys
from collections.abc import Callable, Iterable

from datamodules.errors import UserError as UserError


def run_with_user_errors(program: str, run: Callable[[], int | None]) -> int:
    """The exit code of a command: its own, or 2 after printing a `UserError` in one line; other errors propagate."""
    try:
        return run() or 0
    except UserError as error:
        print(f"{program}: {error}", file=sys.stderr)
        return 2


def unknown_name_error(what: str, word: str, known: Iterable[str]) -> UserError:
    """The error for an unknown name: it suggests the nearest known name, or else lists up to twelve of them."""
    known = sorted(set(known))
    lowered = {name.lower(): name for name in known}
    near = difflib.get_close_matches(word.lower(), lowered, n=1, cutoff=0.5)
    if near:
        return UserError(f"Unknown {what} '{word}'. Did you mean '{lowered[near[0]]}'?")
    if not known:
        return UserError(f"Unknown {what} '{word}'; none are available.")
    shown = ", ".join(known[:12]) + (", ..." if len(known) > 12 else "")
    return UserError(f"Unknown {what} '{word}'. Available: {shown}.")
