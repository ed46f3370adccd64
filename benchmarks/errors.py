"""Errors that a person at the command line sees: one short message, with the nearest right name."""

import difflib
import sys
from collections.abc import Callable, Iterable


class UserError(Exception):
    """What was asked cannot be done; the message is all that the person sees, and the exit code is 2."""


def answered(main: Callable[[list[str]], int], arguments: list[str]) -> int:
    """The exit code of the command `lightning`; what our data and systems say to a person is one line, and 2."""
    from datamodules.archives import MissingData
    from datamodules.sampling import ShortClipError
    from datamodules.store import StoreError
    from lightning_modules.dynamics.base import OffGridError

    try:
        return main(arguments)
    except (MissingData, OffGridError, ShortClipError, StoreError) as error:
        print(f"lightning: {error}", file=sys.stderr)
        return 2


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
