"""Filling a network with pretrained arrays of the very same names and shapes."""

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
    """Copy the arrays of `weights` into the network's parameters and running statistics, each into its namesake.

    Args:
        network: changed in place.
        weights: a name in `benchmarks.pretrained.registry.SOURCES`.
        rename: from the file's names to the network's.
        ignored: the beginnings of (renamed) names that the network leaves out, such as a classifier.

    Raises:
        WeightsUnavailable: when the weights cannot be had, or their names or shapes are those of another network.
    """
    path = path_of(weights)
    arrays = {rename(name): torch.from_numpy(array) for name, array in load_file(path).items()}
    counters = ".num_batches_tracked"  # of the batches seen in training, which no evaluation asks for
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
            f"Delete it and bring the right {SOURCES[weights].file}."
        )
    with torch.no_grad():
        for key, value in wanted.items():
            value.copy_(arrays[key])
    return network
