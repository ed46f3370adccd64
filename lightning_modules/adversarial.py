"""AdversarialSystem: critics and a generator trained in turn, in the order that the paper gives."""

from abc import ABC, abstractmethod
from collections.abc import Iterable
from typing import Any, Literal

import torch
from lightning.pytorch.cli import OptimizerCallable
from lightning_utilities.core.apply_func import apply_to_collection
from torch import Tensor, nn

from datamodules.clip import Batch
from datamodules.errors import UserError
from lightning_modules.manual_optimization import Losses, ManualOptimizationSystem


class AdversarialSystem(ManualOptimizationSystem, ABC):
    """A generator trained against its critics.

    The critics are updated in every update, the generator in every `critic_updates`-th. A subclass generates fakes and
    states its losses as named, already weighted terms, whose sums are the two objectives.

    Args:
        generator: the network that makes the fakes.
        critics: by name; without any, the generator's losses are all there is.
        generator_optimizer: for the generator's parameters.
        critic_optimizer: one for the parameters of all critics.
        order: who is updated first: `critic_first`, `generator_first`, or `joint`, where both gradients are taken at
            the same weights before either optimiser steps.
        fakes: whether the second player uses the first one's fakes (`shared`) or new ones (`fresh`).
        critic_updates: critic updates per generator update.
        optimization: see `ManualOptimizationSystem`.
    """

    def __init__(
        self,
        generator: nn.Module,
        critics: dict[str, nn.Module],
        *,
        generator_optimizer: OptimizerCallable,
        critic_optimizer: OptimizerCallable,
        order: Literal["critic_first", "generator_first", "joint"] = "critic_first",
        fakes: Literal["fresh", "shared"] = "fresh",
        critic_updates: int = 1,
        **optimization: Any,
    ) -> None:
        super().__init__(generator, **optimization)
        if critic_updates < 1:
            raise UserError(f"critic_updates must be at least 1; got {critic_updates}.")
        self.critics = nn.ModuleDict(critics)
        self.generator_optimizer = generator_optimizer
        self.critic_optimizer = critic_optimizer
        self.order = order
        self.fakes = fakes
        self.critic_updates = critic_updates

    @abstractmethod
    def generate_fakes(self, batch: Batch) -> Any:
        """The generator's fakes for a batch: tensors in any nesting."""

    @abstractmethod
    def critic_losses(self, batch: Batch, fakes: Any) -> Losses:
        """The critics' weighted loss terms; the fakes are detached."""

    @abstractmethod
    def generator_losses(self, batch: Batch, fakes: Any) -> Losses:
        """The generator's weighted loss terms; the critics' weights take no gradient."""

    def joint_losses(self, batch: Batch, fakes: Any) -> tuple[Losses, Losses]:
        """Both players' terms at the same weights, for `order: joint`; a system may share work between them here."""
        critic = self.critic_losses(batch, detached(fakes))
        with frozen(self.critics):
            return critic, self.generator_losses(batch, fakes)

    def after_critic_update(self) -> None:
        """Hook for what a paper does to its critics' weights after each update, such as clipping singular values."""

    def training_output(self, batch: Batch) -> Any:
        """The fakes."""
        return self.generate_fakes(batch)

    def update(self, group: list[Batch]) -> None:
        """Update the critics and, when it is due, the generator, in the configured order."""
        generator_due = (self.updates + 1) % self.critic_updates == 0
        shared: list[Any] = []
        if self.order == "joint":
            self._joint_step(group, generator_due)
        elif self.order == "critic_first":
            self._critic_step(group, shared)
            if generator_due:
                self._generator_step(group, shared)
        else:
            if generator_due:
                self._generator_step(group, shared)
            self._critic_step(group, shared)

    def configure_optimizers(self) -> Any:
        """The generator's optimiser, then the critics' if there are any, each with the schedule."""
        optimizers = [self.generator_optimizer(self.generator.parameters())]
        if any(True for _ in self.critics.parameters()):
            optimizers.append(self.critic_optimizer(self.critics.parameters()))
        return self._with_schedules(optimizers)

    def _critic_step(self, group: list[Batch], shared: list[Any]) -> None:
        if not len(self.critics):
            return
        if not shared:
            with torch.set_grad_enabled(self.fakes == "shared"):
                fakes = [self.generate_fakes(batch) for batch in group]
            if self.fakes == "shared":
                shared.extend(fakes)
        else:
            fakes = shared
        losses = (self.critic_losses(b, detached(f)) for b, f in zip(group, fakes, strict=True))
        self._backward(losses, len(group), role="critic")
        self._step_critics()

    def _generator_step(self, group: list[Batch], shared: list[Any]) -> None:
        fakes: Iterable[Any] = shared or (self.generate_fakes(batch) for batch in group)
        if self.fakes == "shared" and not shared:
            fakes = [self.generate_fakes(batch) for batch in group]
            shared.extend(fakes)
        with frozen(self.critics):
            losses = (self.generator_losses(b, f) for b, f in zip(group, fakes, strict=True))
            self._backward(losses, len(group), role="generator")
        self._step_generator()

    def _joint_step(self, group: list[Batch], generator_due: bool) -> None:
        for batch in group:
            critic, generator = self.joint_losses(batch, self.generate_fakes(batch))
            self._backward([critic], len(group), role="critic")
            if generator_due:
                self._backward([generator], len(group), role="generator")
        self._step_critics()
        if generator_due:
            self._step_generator()

    def _step_critics(self) -> None:
        if len(self._optimizers()) == 1:
            return
        self._optimizer_step(1)
        self.after_critic_update()


class frozen:
    """Context in which a module's parameters require no gradient, so none is computed only to be discarded."""

    def __init__(self, module: nn.Module) -> None:
        self.parameters = [p for p in module.parameters() if p.requires_grad]

    def __enter__(self) -> None:
        for parameter in self.parameters:
            parameter.requires_grad_(False)

    def __exit__(self, *_: object) -> None:
        for parameter in self.parameters:
            parameter.requires_grad_(True)


def detached(fakes: Any) -> Any:
    """The fakes, detached from the computation graph."""
    return apply_to_collection(fakes, Tensor, Tensor.detach)
