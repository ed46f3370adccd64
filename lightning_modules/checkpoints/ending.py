"""What a checkpoint says of itself without its weights: was the training finished, what was it exported from. No torch.

A `.ckpt` is a zip file with one pickle of plain data and references to tensors. Only plain data are read from it:
every class and function that it names is replaced by one that does nothing.
"""

import json
import pickle
import struct
import zipfile
from pathlib import Path
from typing import Any


class _Nothing:
    """Stands for whatever a pickle names, and takes whatever is done to it."""

    def __init__(self, *_: Any, **__: Any) -> None:
        pass

    def __call__(self, *_: Any, **__: Any) -> "_Nothing":
        return self

    def __setstate__(self, _: Any) -> None:
        pass

    def __setitem__(self, _: Any, __: Any) -> None:
        pass

    def append(self, _: Any) -> None:
        """No-op."""

    def extend(self, _: Any) -> None:
        """No-op."""


class _PlainData(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        return _Nothing

    def persistent_load(self, pid: Any) -> Any:
        return None


def training_finished(path: Path) -> bool | None:
    """Whether the training of a checkpoint's weights reached its end; None if that is not known.

    The end of a training is written into its `last.ckpt`; for a `best.ckpt` that of the same folder answers.

    Args:
        path: of a `.ckpt`, or of a `.safetensors` made by `save`.
    """
    found = about(path).get("training_finished")
    if found is None and path.name == "best.ckpt" and path.with_name("last.ckpt").is_file():
        found = about(path.with_name("last.ckpt")).get("training_finished")
    return found if isinstance(found, bool) else None


def exported_from(path: Path) -> str | None:
    """The sha256 of the checkpoint that a `.safetensors` was exported from; None if it does not say."""
    found = about(path).get("exported_from") if path.suffix == ".safetensors" else None
    return found if isinstance(found, str) else None


def about(path: Path) -> dict[str, Any]:
    """The plain data in a checkpoint, without its weights; empty for a file of another kind, or a damaged one."""
    try:
        return _metadata(path) if path.suffix == ".safetensors" else _top_level(path)
    except (OSError, ValueError, KeyError, zipfile.BadZipFile, struct.error, pickle.UnpicklingError, EOFError):
        return {}
    except (AttributeError, TypeError, IndexError):  # what a damaged pickle can raise
        return {}


def _metadata(path: Path) -> dict[str, Any]:
    with path.open("rb") as file:
        (length,) = struct.unpack("<Q", file.read(8))
        if length > path.stat().st_size:
            return {}
        metadata = json.loads(file.read(length)).get("__metadata__", {})
    found = dict(metadata)
    if "training_finished" in found:
        found["training_finished"] = json.loads(found["training_finished"])
    return found


def _top_level(path: Path) -> dict[str, Any]:
    with zipfile.ZipFile(path) as archive:
        (name,) = [name for name in archive.namelist() if name.rpartition("/")[2] == "data.pkl"]
        with archive.open(name) as file:
            content = _PlainData(file).load()
    return content if isinstance(content, dict) else {}
