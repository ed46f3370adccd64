"""A record's digest of itself, and of the file of its clips' values: a value that was changed by hand is noticed."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks.records.parts import RecordError
from benchmarks.utils.hashing import content_hash
from datamodules.files import write_text

DIGEST, CLIPS = "content_sha256", "clips_sha256"


def identity_of(content: Mapping[str, Any]) -> str:
    """The hash of what a record says; without its digests, so that the file of its clips' values can name it."""
    return content_hash({key: value for key, value in content.items() if key not in (DIGEST, CLIPS)})


def write_signed(path: Path, content: Mapping[str, Any]) -> None:
    """Write a record with its digest, whole or not at all."""
    signed = {**content, DIGEST: _digest(content)}
    write_text(path, json.dumps(signed, indent=1, sort_keys=True, ensure_ascii=False, allow_nan=False) + "\n")


def check_signature(content: Mapping[str, Any]) -> None:
    """Refuse a record that was changed since it was written; those of older code have no digest.

    Raises:
        RecordError: if the digest is not the content's.
    """
    if content.get(DIGEST) is not None and content[DIGEST] != _digest(content):
        raise RecordError(
            "Its digest is not that of its content: a value was changed after it was written. Restore it from the "
            "repository's history, or make it again with `benchmarks run`."
        )


def is_signed(path: Path) -> bool:
    """Whether the record in a file holds a digest of itself."""
    return json.loads(path.read_text(encoding="utf-8")).get(DIGEST) is not None


def _digest(content: Mapping[str, Any]) -> str:
    return content_hash({key: value for key, value in content.items() if key != DIGEST})
