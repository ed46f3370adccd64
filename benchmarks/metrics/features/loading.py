"""Loading pretrained arrays into a network by name."""

from collections.abc import Callable
from typing import TypeVar

import torch
from safetensors.numpy import load_file
from torch import nn

from benchmarks.pretrained.registry import SOURCES, WeightsUnavailable, path_of

Network = TypeVar("Network", bound=nn.Module)


def load_named(
    network: Network, weights: str, *, rename: Callable[[str], str] = str, ignored: tuple[str, ...] = ()
) -> Network:
    """Copy the arrays of `weights` into the network's parameters and buffers of the same names.

    Args:
        network: changed in place.
        weights: a name in `benchmarks.pretrained.registry.SOURCES`.
        rename: maps names in the file to names in the network.
        ignored: prefixes of (renamed) arrays that the network does not use, such as a classifier.

    Raises:
        WeightsUnavailable: if the weights cannot be fetched, or their names or shapes do not match the network.
    """
    path = path_of(weights)
    arrays = {rename(name): torch.from_numpy(array) for name, array in load_file(path).items()}
    counters = ".num_batches_tracked"  # batches seen in training; not used in evaluation mode
    arrays = {key: value for key, value in arrays.items() if not key.startswith(ignored) and not key.endswith(counters)}
    wanted = {key: value for key, value in network.state_dict().items() if not key.endswith(counters)}
    wrong = [f"lacks {key}" for key in wanted if key not in arrays]
    wrong += [f"has {key} too many" for key in arrays if key not in wanted]
    wrong += [
        f"has {key} of {tuple(arrays[key].shape)} instead of {tuple(value.shape)}"
        for key, value in wanted.items()
        if key in arrays and arrays[key].shape != value.shape
    ]
    if wrong:
        shown = "; ".join(wrong[:4]) + (f"; and {len(wrong) - 4} more" if len(wrong) > 4 else "")
        raise WeightsUnavailable(
            f"{path} is not {SOURCES[weights].about}: it {shown}. "
            f"Delete it and provide the right {SOURCES[weights].file}."
        )
    with torch.no_grad():
        for key, value in wanted.items():
            value.copy_(arrays[key])
    return network
