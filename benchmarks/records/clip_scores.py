"""What each clip got under a metric: a .safetensors file beside a record, from which systems are tested. No torch."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from benchmarks.records.signature import CLIPS, DIGEST, identity_of, write_signed
from benchmarks.utils.arrays import PerClipError, read_arrays, write_arrays
from datamodules.files import sha256_of, write_bytes

if TYPE_CHECKING:
    import numpy as np
    from jaxtyping import Float64, Int64

SUFFIX = ".clips.safetensors"


class PerClip(NamedTuple):
    """A value for every clip, by rising id: what a paired test of two systems compares."""

    ids: "Int64[np.ndarray, ' clip']"
    origins: "Int64[np.ndarray, ' clip']"
    """The independent source of each clip, by which the test resamples."""
    values: "Float64[np.ndarray, ' clip']"


def beside(record: Path) -> Path:
    """The file of the clips' values that belongs to a record."""
    return record.with_name(record.stem + SUFFIX)


def write_per_clip(record: Path, values: Mapping[str, PerClip]) -> Path | None:
    """Write the values beside a record that is already there, whole or not at all; nothing where no metric has any.

    The file holds the hash of the record's content and one of its own; the record then gets the hash of the file.

    Args:
        record: the JSON file.
        values: of the clips, by metric.
    """
    path = beside(record)
    if not values:
        path.unlink(missing_ok=True)
        return None
    arrays: dict[str, np.ndarray] = {}
    for name, one in values.items():
        arrays |= {f"{name}/{part}": array for part, array in one._asdict().items()}
    write_arrays(path, arrays, {"record": _hash_of(record)})
    content = json.loads(record.read_text(encoding="utf-8"))
    if content.get(DIGEST) is not None:  # a record, not the report of another command
        write_signed(record, {**content, CLIPS: sha256_of(path)})
    return path


def read_per_clip(record: Path) -> dict[str, PerClip]:
    """The values beside a record, by metric.

    Raises:
        PerClipError: when they are missing, damaged, another record's, or without the sources of the clips.
    """
    path, way_out = beside(record), "Make the record again with `lightning test` or `benchmarks evaluate --paired`."
    if not path.is_file():
        raise PerClipError(f"{record} has no values of its clips: {path.name} is not beside it. {way_out}")
    arrays, metadata = read_arrays(path)
    if metadata.get("record") != _hash_of(record):
        raise PerClipError(f"{path} belongs to another record than {record.name}, or one was changed. {way_out}")
    names = sorted({key.rpartition("/")[0] for key in arrays})
    if any(f"{name}/origins" not in arrays for name in names):
        raise PerClipError(f"{path} does not say which clips share a source (a person, a film). {way_out}")
    if fault := next((fault for name in names if (fault := _fault(name, arrays))), None):
        raise PerClipError(f"{path} is damaged: {fault}. {way_out}")
    return {name: PerClip(**{part: arrays[f"{name}/{part}"] for part in PerClip._fields}) for name in names}


def _fault(name: str, arrays: Mapping[str, "np.ndarray"]) -> str | None:
    """What is wrong with the arrays of a metric, in words; None if nothing is."""
    import numpy as np

    parts = {part: arrays.get(f"{name}/{part}") for part in PerClip._fields}
    for part, array in parts.items():
        kind = np.floating if part == "values" else np.integer
        if array is None or array.ndim != 1 or not np.issubdtype(array.dtype, kind):
            return f"the {part} of {name} are no list of {'numbers' if part == 'values' else 'whole numbers'}"
    ids, origins, values = (array for array in parts.values() if array is not None)
    if not len(ids) == len(origins) == len(values) > 0:
        return f"{name} has {len(ids)} ids, {len(origins)} sources and {len(values)} values"
    if (np.diff(ids) <= 0).any():
        return f"the ids of {name} do not rise"
    return None if np.isfinite(values).all() else f"a value of {name} is not finite"


def belongs_to(record: Path) -> bool:
    """Whether the file of clips' values beside a record is of that record; raises PerClipError if it is damaged."""
    return read_arrays(beside(record))[1].get("record") == _hash_of(record)


def copy_per_clip(record: Path, copy: Path) -> None:
    """Put the values of one record beside a copy of it, whole or not at all."""
    write_bytes(beside(copy), beside(record).read_bytes())


def _hash_of(record: Path) -> str:
    try:
        return identity_of(json.loads(record.read_text(encoding="utf-8")))
    except (ValueError, OSError, RecursionError) as error:
        raise PerClipError(f"{record} cannot be read as a record: {' '.join(str(error).split())[:200]}.") from error
