"""What each clip got under a metric: a .safetensors file beside a record, from which `benchmarks compare` tests."""

import json
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.canonical import content_hash

if TYPE_CHECKING:
    import numpy as np

    from benchmarks.metrics.paired import PerClip

SUFFIX = ".clips.safetensors"


class PerClipError(ValueError):
    """The values beside a record are missing, damaged or another record's; the message says which and what to do."""


def beside(record: Path) -> Path:
    """The file of the clips' values that belongs to a record."""
    return record.with_name(record.stem + SUFFIX)


def write_per_clip(record: Path, values: Mapping[str, "PerClip"]) -> Path | None:
    """Write the values beside a record that is already there, whole or not at all; nothing where no metric has any.

    The file holds the hash of the record's content and one of its own.

    Args:
        record: the JSON file.
        values: ids and values of the clips, by metric.
    """
    path = beside(record)
    if not values:
        path.unlink(missing_ok=True)
        return None
    arrays: dict[str, np.ndarray] = {}
    for name, (ids, numbers) in values.items():
        arrays[f"{name}/ids"] = ids.long().cpu().numpy()
        arrays[f"{name}/values"] = numbers.double().cpu().numpy()
    write_arrays(path, arrays, {"record": _hash_of(record)})
    return path


def read_per_clip(record: Path) -> dict[str, "PerClip"]:
    """The values beside a record, by metric.

    Raises:
        PerClipError: when they are missing, damaged, or another record's.
    """
    import torch

    from benchmarks.metrics.paired import PerClip

    path, way_out = beside(record), "Make the record again with `lightning test` or `benchmarks evaluate --paired`."
    if not path.is_file():
        raise PerClipError(f"{record} has no values of its clips: {path.name} is not beside it. {way_out}")
    arrays, metadata = read_arrays(path)
    if metadata.get("record") != _hash_of(record):
        raise PerClipError(f"{path} belongs to another record than {record.name}, or one was changed. {way_out}")
    names = [key.removesuffix("/ids") for key in arrays if key.endswith("/ids")]
    return {
        name: PerClip(torch.from_numpy(arrays[f"{name}/ids"]), torch.from_numpy(arrays[f"{name}/values"]))
        for name in sorted(names)
    }


def copy_per_clip(record: Path, copy: Path) -> None:
    """Put the values of one record beside a copy of it, whole or not at all."""
    _write(beside(copy), beside(record).read_bytes())


def write_arrays(path: Path, arrays: Mapping[str, "np.ndarray"], metadata: Mapping[str, str]) -> None:
    """Write named arrays with a digest of their content, whole or not at all."""
    from safetensors.numpy import save

    from benchmarks.weights import digest_of

    _write(path, save(dict(arrays), metadata={**metadata, "digest": digest_of(arrays)}))


def read_arrays(path: Path) -> tuple[dict[str, "np.ndarray"], dict[str, str]]:
    """Arrays and metadata of a file that `write_arrays` has written; raises PerClipError if its content has changed."""
    from safetensors import SafetensorError, safe_open

    from benchmarks.weights import digest_of

    try:
        with safe_open(path, framework="numpy") as file:
            metadata = dict(file.metadata() or {})
            arrays = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 - not a dictionary
    except (SafetensorError, OSError) as error:
        raise PerClipError(f"{path} cannot be read ({error}). Delete it.") from error
    if metadata.get("digest") != digest_of(arrays):
        raise PerClipError(f"{path} holds other numbers than were written. Delete it.")
    return arrays, metadata


def _hash_of(record: Path) -> str:
    return content_hash(json.loads(record.read_text(encoding="utf-8")))


def _write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".tmp")
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).chmod(0o644)  # mkstemp makes files that only their owner reads
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
