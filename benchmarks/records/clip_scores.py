"""What each clip got under a metric: a .safetensors file beside a record, from which `benchmarks compare` tests."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from benchmarks.utils.arrays import PerClipError, read_arrays, write_arrays
from benchmarks.utils.hashing import content_hash
from datamodules.files import write_bytes

if TYPE_CHECKING:
    import numpy as np
    from jaxtyping import Float, Int
    from torch import Tensor

SUFFIX = ".clips.safetensors"


class PerClip(NamedTuple):
    """A value for every clip, by rising id: what a paired test of two systems compares."""

    ids: "Int[Tensor, ' clip']"
    values: "Float[Tensor, ' clip']"


def beside(record: Path) -> Path:
    """The file of the clips' values that belongs to a record."""
    return record.with_name(record.stem + SUFFIX)


def write_per_clip(record: Path, values: Mapping[str, PerClip]) -> Path | None:
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


def read_per_clip(record: Path) -> dict[str, PerClip]:
    """The values beside a record, by metric.

    Raises:
        PerClipError: when they are missing, damaged, or another record's.
    """
    import torch

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
    write_bytes(beside(copy), beside(record).read_bytes())


def _hash_of(record: Path) -> str:
    return content_hash(json.loads(record.read_text(encoding="utf-8")))
