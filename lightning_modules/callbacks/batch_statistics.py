"""Batch-normalisation statistics over the last training batches, for averaged weights, which never saw a batch."""

import random
from collections import deque
from collections.abc import Iterable, Mapping

import numpy as np
import torch
from lightning import Trainer
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _NormBase

from datamodules.clip import Batch
from lightning_modules.callbacks.rng_state import capture_random_state, restore_random_state
from lightning_modules.manual_optimization import ManualOptimizationSystem


class LastBatches:
    """The last `count` batches, and the running statistics of a part's current weights over them.

    Torch's `update_bn` does this after training; here training continues afterwards, so everything is restored:
    statistics, other buffers, modes, momenta and random states.
    """

    def __init__(self, count: int) -> None:
        self.batches: deque[Batch] = deque(maxlen=count)
        self.seen = 0
        self._modes: dict[nn.Module, bool] = {}

    @property
    def full(self) -> bool:
        """Whether `count` batches are stored."""
        return len(self.batches) == self.batches.maxlen

    def add(self, system: ManualOptimizationSystem, batch: Batch) -> None:
        """Store a batch that the system was just trained on, and which modules were in training mode then."""
        if not self.batches:
            self._modes = {module: module.training for module in system.modules()}
        self.batches.append(batch)
        self.seen += 1

    def clear(self) -> None:
        """Discard the batches, which take memory on the device."""
        self.batches.clear()

    def statistics(self, trainer: Trainer, system: ManualOptimizationSystem, part: str) -> dict[str, Tensor]:
        """The running statistics of the part's batch-normalisation layers, by buffer name in the system.

        All batches of all processes count equally. Layers that the forward pass does not use, or that were not in
        training mode, are left out.
        """
        with trainer.precision_plugin.forward_context():
            measured = measured_statistics(system, part, self.batches, self._modes, seed=trainer.global_rank)
        return {name: _over_processes(trainer, value) for name, value in measured.items()}


def measured_statistics(
    system: ManualOptimizationSystem,
    part: str,
    batches: Iterable[Batch],
    modes: Mapping[nn.Module, bool] | None = None,
    *,
    seed: int = 0,
) -> dict[str, Tensor]:
    """Means over batches of the statistics of a part's batch-normalisation layers, by buffer name in the system.

    The system is left as it was.

    Args:
        system: with the weights that the statistics are for.
        part: the attribute whose layers are measured.
        batches: of training.
        modes: whether each module is in training mode; all are by default. Layers that are not are left out, and so are
            those that the forward pass does not use.
        seed: of the draws that training makes.
    """
    modes = modes or dict.fromkeys(system.modules(), True)
    norms = {name: norm for name, norm in normalisations(system, part).items() if modes[norm]}
    before = {module: module.training for module in system.modules()}
    momenta = {norm: norm.momentum for norm in norms.values()}
    buffers = {name: value.clone() for name, value in system.named_buffers()}
    streams = capture_random_state()
    try:
        random.seed(seed)
        np.random.seed(seed)  # noqa: NPY002 (other code uses it)
        torch.manual_seed(seed)
        for module, training in modes.items():
            module.training = training
        for norm in norms.values():
            norm.reset_running_stats()
            norm.momentum = None  # the mean over the batches
        with torch.no_grad():
            for batch in batches:
                system.training_output(batch)
        return {
            f"{name}.{buffer}": value.detach().clone()
            for name, norm in norms.items()
            if norm.num_batches_tracked is not None and bool(norm.num_batches_tracked.any())
            for buffer, value in norm.named_buffers()
        }
    finally:
        restore_random_state(streams)
        with torch.no_grad():
            for name, value in system.named_buffers():
                value.copy_(buffers[name])
        for norm, momentum in momenta.items():
            norm.momentum = momentum
        for module, training in before.items():
            module.training = training


def normalisations(system: nn.Module, part: str) -> dict[str, _NormBase]:
    """The batch-normalisation layers with running statistics in a part of the system, by name in the system."""
    inside = set(getattr(system, part).modules())
    return {
        name: module
        for name, module in system.named_modules()
        if isinstance(module, _NormBase) and module.track_running_stats and module in inside
    }


def _over_processes(trainer: Trainer, value: Tensor) -> Tensor:
    if not value.is_floating_point():
        return value
    reduced = trainer.strategy.reduce(value, reduce_op="mean")
    assert isinstance(reduced, Tensor)
    return reduced
