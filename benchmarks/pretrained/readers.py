"""Safe readers of weight files: they return named arrays and execute nothing that a file contains."""

import io
import pickle
from typing import Any

import numpy as np

Arrays = dict[str, np.ndarray]


def read_pickled_arrays(content: bytes) -> Arrays:
    """A pickle of nested dictionaries of numpy arrays, flattened to 'outer/inner' names."""
    arrays: Arrays = {}
    _flatten(_ArrayUnpickler(io.BytesIO(content)).load(), "", arrays)
    return arrays


def read_npz(content: bytes) -> Arrays:
    """The arrays of a .npz file; pickled objects in it raise an error."""
    with np.load(io.BytesIO(content), allow_pickle=False) as archive:
        return {name: archive[name] for name in archive.files}


def read_torch(content: bytes) -> Arrays:
    """The tensors of a PyTorch state dict, or of a checkpoint's 'state_dict', loaded with `weights_only`."""
    import torch

    checkpoint = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    tree = checkpoint.get("state_dict", checkpoint) if isinstance(checkpoint, dict) else None
    tensors = tree.items() if isinstance(tree, dict) else ()
    arrays = {name: value.numpy() for name, value in tensors if isinstance(value, torch.Tensor)}
    if not arrays:
        raise pickle.UnpicklingError("it has no named tensors")
    return arrays


def _flatten(tree: Any, prefix: str, into: Arrays) -> None:
    if isinstance(tree, dict):
        for key, value in tree.items():
            _flatten(value, f"{prefix}/{key}" if prefix else str(key), into)
    elif isinstance(tree, np.ndarray) and tree.dtype.kind in "fiub":
        into[prefix] = tree
    else:
        raise pickle.UnpicklingError(f"'{prefix}' is a {type(tree).__name__}; only arrays of numbers are read.")


class _ArrayUnpickler(pickle.Unpickler):
    """Unpickles numpy arrays and nothing else, so that a pickle cannot execute code."""

    def find_class(self, module: str, name: str) -> Any:
        known = {
            ("numpy", "ndarray"): np.ndarray,
            ("numpy", "dtype"): np.dtype,
            ("numpy.core.multiarray", "_reconstruct"): _reconstruct,
            ("numpy._core.multiarray", "_reconstruct"): _reconstruct,
        }
        if (module, name) not in known:
            raise pickle.UnpicklingError(f"The file refers to {module}.{name}; only plain numpy arrays are read.")
        return known[module, name]


def _reconstruct(subtype: type, shape: tuple[int, ...], kind: bytes) -> np.ndarray:
    """The function that numpy's pickles call for an empty array, which `__setstate__` then fills."""
    if subtype is not np.ndarray:
        raise pickle.UnpicklingError(f"The file contains a {subtype!r}; only plain numpy arrays are read.")
    return np.ndarray(shape, np.dtype(kind.decode()))
