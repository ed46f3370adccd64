"""Acceleration: memory layout and compilation of the networks; results are the same up to rounding."""

from collections.abc import Iterator

import torch
from lightning import Callback, LightningModule, Trainer
from torch import nn


class Acceleration(Callback):
    """For `trainer.callbacks`; meant for GPUs. Checkpoints do not depend on it and load without it.

    Args:
        channels_last: keep weights of 2D and 3D convolutions, and so activations, with the channels last, as tensor
            cores require. On CPUs 2D convolutions are slower: weight gradients of wide images take up to four times as
            long in that layout; 3D convolutions are faster.
        compile: compile every stack of layers (the outermost `Sequential`s). The LightningModule stays as it is,
            because compiling it breaks manual optimisation, and so do the solvers, whose steps depend on the times.
        backend: the compiler.
    """

    def __init__(self, channels_last: bool = True, compile: bool = True, backend: str = "inductor") -> None:
        self.channels_last = channels_last
        self.compile = compile
        self.backend = backend
        self._done = False

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Change layout and compile once, before the first stage."""
        if self._done:
            return
        self._done = True
        if self.channels_last:
            channels_last(pl_module)
        if self.compile:
            # the critics' shared pass is differentiated twice, so the first backward must not free its buffers
            torch._functorch.config.donated_buffer = False
            for stack in stacks(pl_module):
                stack.compile(backend=self.backend)


def channels_last(module: nn.Module) -> None:
    """Lay out weights of 2D and 3D convolutions channels-last; `Module.to` can do only one of the two."""
    formats = {4: torch.channels_last, 5: torch.channels_last_3d}
    for weight in module.parameters():
        if weight.ndim in formats:
            weight.data = weight.data.to(memory_format=formats[weight.ndim])


def stacks(module: nn.Module) -> Iterator[nn.Sequential]:
    """The outermost `Sequential`s: layers one after another, without control flow."""
    for child in module.children():
        if isinstance(child, nn.Sequential):
            yield child
        else:
            yield from stacks(child)
