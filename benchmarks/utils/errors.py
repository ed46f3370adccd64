"""Errors that a person at the command line sees: one short message, with the nearest right name."""

import difflib
import re
import sys
import traceback
from collections.abc import Callable, Iterable
from pathlib import Path

_ALTERNATIVES = re.compile(
    r"Parser key|Does not validate against|Subtypes:|Errors:|Expected a <class 'NoneType'>|Given value|"
    r"Expected a path but|Problem with given class_path"
)


class UserError(Exception):
    """What was asked cannot be done; the message is all that the person sees, and the exit code is 2.

    Of jsonargparse's reports, which list all the types that a value was tried against, what helps is kept.
    """

    def __init__(self, message: str) -> None:
        super().__init__(_innermost(message) if _ALTERNATIVES.search(message) else message)


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
    except ValueError as error:
        if not _said_by_us(error):
            raise
        print(f"lightning: {error}", file=sys.stderr)
        return 2


def _said_by_us(error: Exception) -> bool:
    """Whether a `raise` of this project made the error, and so a sentence for a person, rather than a slip of code."""
    made = traceback.extract_tb(error.__traceback__)[-1]
    return Path(made.filename).is_relative_to(Path(__file__).parents[2]) and (made.line or "").startswith("raise ")


def _innermost(message: str) -> str:
    """What is left of a report without the alternatives that every value has been tried against."""
    key = re.findall(r'Parser key "([^"]*)"', message)
    lines = [line.strip(" -") for line in message.splitlines()]
    lines = [line for line in lines if line and not _ALTERNATIVES.match(line)]
    value = re.search(r"Given value: (.*)", message)
    text = "; ".join(dict.fromkeys(lines)) or message.strip()
    text = text.replace("typing.", "").replace("<class '", "").replace("'>", "")
    if value and "Got value" not in text and not value[1].startswith("Namespace("):
        text += f". Got value: {value[1][:80]}"
    return f"{'.'.join(key)}: {text}" if key else text


def unknown_name_error(what: str, word: str, known: Iterable[str]) -> UserError:
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
