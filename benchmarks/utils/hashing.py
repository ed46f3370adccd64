"""Plain data, the hash of its canonical JSON, and file names from labels. Imports no torch."""

import hashlib
import json
import math
import os
import re
import unicodedata
from collections.abc import Mapping
from typing import Any


def plain(value: Any) -> Any:
    """The value as plain data: mappings, lists, strings, booleans, finite numbers, None.

    Paths become strings, tuples lists; a whole float becomes an integer, so that 25.0 and 25 give the same hash.

    Raises:
        ValueError: if a number is not finite, or a value has another type.
    """
    if isinstance(value, Mapping):
        return {str(key): plain(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [plain(entry) for entry in (sorted(value) if isinstance(value, set | frozenset) else value)]
    if isinstance(value, float):
        if not math.isfinite(value):
            raise ValueError(f"Numbers must be finite, because JSON has no others; got {value}.")
        return int(value) if value.is_integer() else value
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    raise ValueError(f"Only plain data can be recorded; got a {type(value).__qualname__}: {value!r:.80}.")


def content_hash(value: Any) -> str:
    """The sha256 of the canonical JSON: sorted keys, no spaces, `plain` values."""
    text = json.dumps(plain(value), sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


def slug(label: str) -> str:
    """A label as part of a file's name: lower case, without accents, words joined by underscores."""
    plain_letters = unicodedata.normalize("NFKD", label).encode("ascii", "ignore").decode()
    return re.sub(r"[^a-z0-9.]+", "_", plain_letters.lower()).strip("_.") or "row"
