"""Gradient checkpointing: activations of parts of a network are recomputed for the gradients instead of stored."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint


def recomputed(part: nn.Module | Sequence[nn.Module], *inputs: Tensor) -> Tensor:
    """The output of the part, or of parts in sequence; only the inputs are stored for the gradients.

    Results are unchanged: gradients, and the running statistics of batch normalisation, which the second pass does not
    update (with torch's checkpointing alone it would).
    """
    parts = [part] if isinstance(part, nn.Module) else list(part)

    def run(*given: Tensor) -> Tensor:
        result: Tensor = parts[0](*given)
        for later in parts[1:]:
            result = later(result)
        return result

    if not torch.is_grad_enabled():
        return run(*inputs)
    again = lambda: (nullcontext(), _statistics_left_alone(parts))  # noqa: E731
    answer: Tensor = checkpoint(run, *inputs, use_reentrant=False, preserve_rng_state=False, context_fn=again)
    return answer


def in_pairs(layers: nn.Sequential, maps: Tensor) -> Tensor:
    """The output of the layers; of each pair of layers only the input is stored for the gradients."""
    each = list(layers)
    for first in range(0, len(each), 2):
        maps = recomputed(each[first : first + 2], maps)
    return maps


@contextmanager
def _statistics_left_alone(parts: Sequence[nn.Module]) -> Iterator[None]:
    """Context in which batch normalisation does not update its running statistics."""
    norms = [
        module
        for part in parts
        for module in part.modules()
        if isinstance(module, nn.modules.batchnorm._NormBase) and module.training and module.track_running_stats
    ]
    noted = [(norm, norm.momentum, None if (n := norm.num_batches_tracked) is None else n.clone()) for norm in norms]
    for norm in norms:
        norm.momentum = 0.0  # not `track_running_stats`: the graph must be that of the first pass
    try:
        yield
    finally:
        for norm, momentum, count in noted:
            norm.momentum = momentum
            if count is not None and norm.num_batches_tracked is not None:
                norm.num_batches_tracked.copy_(count)
