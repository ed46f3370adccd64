"""Batch-normalisation statistics over the last training batches, for averaged weights, which never saw a batch."""

import random
from collections import deque

import numpy as np
import torch
from lightning import Trainer
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

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
        norms = {name: norm for name, norm in normalisations(system, part).items() if self._modes[norm]}
        modes = {module: module.training for module in system.modules()}
        momenta = {norm: norm.momentum for norm in norms.values()}
        buffers = {name: value.clone() for name, value in system.named_buffers()}
        streams = capture_random_state()
        try:
            random.seed(trainer.global_rank)
            np.random.seed(trainer.global_rank)  # noqa: NPY002 (other code uses it)
            torch.manual_seed(trainer.global_rank)
            for module, training in self._modes.items():
                module.training = training
            for norm in norms.values():
                norm.reset_running_stats()
                norm.momentum = None  # the mean over the batches
            with torch.no_grad(), trainer.precision_plugin.forward_context():
                for batch in self.batches:
                    system.training_output(batch)
            reached = {name: norm for name, norm in norms.items() if norm.num_batches_tracked}
            return {
                f"{name}.{buffer}": _over_processes(trainer, value)
                for name, norm in reached.items()
                for buffer, value in norm.named_buffers()
            }
        finally:
            restore_random_state(streams)
            with torch.no_grad():
                for name, value in system.named_buffers():
                    value.copy_(buffers[name])
            for norm, momentum in momenta.items():
                norm.momentum = momentum
            for module, training in modes.items():
                module.training = training


def normalisations(system: nn.Module, part: str) -> dict[str, _BatchNorm]:
    """The batch-normalisation layers with running statistics in a part of the system, by name in the system."""
    inside = set(getattr(system, part).modules())
    return {
        name: module
        for name, module in system.named_modules()
        if isinstance(module, _BatchNorm) and module.track_running_stats and module in inside
    }


def _over_processes(trainer: Trainer, value: Tensor) -> Tensor:
    value = value.detach().clone()
    if not value.is_floating_point():
        return value
    reduced = trainer.strategy.reduce(value, reduce_op="mean")
    assert isinstance(reduced, Tensor)
    return reduced
