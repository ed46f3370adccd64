"""Named arrays in .safetensors files, written atomically, with a digest of their content. Imports no torch."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.utils.errors import UserError
from datamodules.files import write_bytes

if TYPE_CHECKING:
    import numpy as np


class PerClipError(UserError):
    """A file of arrays is missing, damaged or of another record; the message names it and says what to do."""


def write_arrays(path: Path, arrays: Mapping[str, "np.ndarray"], metadata: Mapping[str, str]) -> None:
    """Write named arrays with a digest of their content, atomically."""
    from safetensors.numpy import save

    write_bytes(path, save(dict(arrays), metadata={**metadata, "digest": digest_of(arrays)}))


def read_arrays(path: Path) -> tuple[dict[str, "np.ndarray"], dict[str, str]]:
    """Arrays and metadata of a file of `write_arrays`; raises PerClipError if its content has changed."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="numpy") as file:
            metadata = dict(file.metadata() or {})
            arrays = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 - not a dictionary
    except (SafetensorError, OSError, ValueError, TypeError, AttributeError) as error:  # the last: no type of numpy's
        raise PerClipError(f"{path} cannot be read ({error}). Delete it.") from error
    if metadata.get("digest") != digest_of(arrays):
        raise PerClipError(f"{path} does not match its digest: its content has changed. Delete it.")
    return arrays, metadata


def digest_of(arrays: Mapping[str, "np.ndarray"]) -> str:
    """A sha256 over names, types, shapes and values, independent of the file the arrays are stored in."""
    import numpy as np

    digest = hashlib.sha256()
    for name in sorted(arrays):
        array = np.ascontiguousarray(arrays[name])
        digest.update(json.dumps([name, array.dtype.str, array.shape]).encode())
        digest.update(array.data)
    return digest.hexdigest()
