"""Atomic file writes: a reader, a crash or a second writer sees the old file or the new one, never a part of either.

Everything in the project that writes a file for others to read writes it here. Imports the standard library only.
"""

import hashlib
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def sha256_of(path: Path) -> str:
    """The sha256 of a file's bytes, in hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_text(path: Path, text: str) -> None:
    """Write UTF-8 text atomically; parent folders are made, line endings stay as they are."""
    write_bytes(path, text.encode())


def write_bytes(path: Path, content: bytes) -> None:
    """Write bytes atomically; parent folders are made."""
    # what a killed process leaves must not look like a file of this kind to those that read the folder
    with _temporary(path, ".tmp") as temporary:
        temporary.write_bytes(content)


@contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """A temporary path beside `path`, for libraries that write to a path; it replaces `path` when the block ends.

    The temporary file has the suffix of `path` in lower case, because libraries choose a format by it. An error inside
    the block removes it and leaves `path` as it was.
    """
    with _temporary(path, path.suffix.lower()) as temporary:
        yield temporary


def replace(temporary: Path, path: Path) -> None:
    """Give a complete file its final name, once its content is on the disk; both lie in one folder."""
    with temporary.open("r+b") as file:
        os.fsync(file.fileno())
    os.replace(temporary, path)


@contextmanager
def _temporary(path: Path, suffix: str) -> Iterator[Path]:
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.stem}.", suffix=suffix)
    os.close(descriptor)
    temporary = Path(name)
    try:
        yield temporary
        temporary.chmod(0o644)  # mkstemp makes files that only their owner reads
        replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
