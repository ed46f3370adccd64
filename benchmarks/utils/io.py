"""Plain data, its canonical form and hash, and files written whole or not at all. Imports no torch."""

import hashlib
import json
import math
import os
import re
import tempfile
import unicodedata
from collections.abc import Mapping
from pathlib import Path
from typing import Any


def plain(value: Any) -> Any:
    """Plain data: mappings, lists, strings, booleans, finite numbers, None.

    Paths become strings, tuples lists; a whole float becomes an integer, so that 25.0 and 25 are one protocol.
    """
    if isinstance(value, Mapping):
        return {str(key): plain(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [plain(entry) for entry in (sorted(value) if isinstance(value, set | frozenset) else value)]
    if isinstance(value, float):
        if not math.isfinite(value):
            raise ValueError(f"Plain data holds finite numbers only, because JSON has no other; got {value}.")
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


def write_text(path: Path, text: str) -> None:
    """Write a text file whole or not at all: a crash leaves the old one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".tmp")
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8", newline="\n") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).chmod(0o644)  # mkstemp makes files that only their owner reads
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
