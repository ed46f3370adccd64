"""AdversarialSystem: critics and a generator trained in turn, whatever the paper's turns are."""

from abc import ABC, abstractmethod
from collections.abc import Iterable
from typing import Any, Literal

import torch
from jaxtyping import Float
from lightning.pytorch.cli import LRSchedulerCallable, OptimizerCallable
from lightning_utilities.core.apply_func import apply_to_collection
from torch import Tensor, nn
from torch.optim import Optimizer

from datamodules.clip import Batch
from datamodules.errors import UserError
from lightning_modules.system import System

Scalar = Float[Tensor, ""]
Losses = dict[str, Scalar]


class AdversarialSystem(System, ABC):
    """A generator against its critics.

    One update sees `accumulate` batches. `order` says who moves first: `critic_first`, `generator_first`, or `joint`,
    where both gradients are taken at the same weights before either moves. With `fakes: shared` the generator's turn
    reuses the critics' fakes; with `fresh` it draws again. The critics move in every update, the generator in every
    `critic_updates`-th. The epoch's last update takes what batches are left.

    A subclass draws fakes and states its losses as named, already weighted terms, whose sums are the two objectives.
    """

    def __init__(
        self,
        generator: nn.Module,
        critics: dict[str, nn.Module],
        *,
        generator_optimizer: OptimizerCallable,
        critic_optimizer: OptimizerCallable,
        schedule: LRSchedulerCallable | None = None,
        schedule_interval: Literal["epoch", "update"] = "epoch",
        order: Literal["critic_first", "generator_first", "joint"] = "critic_first",
        fakes: Literal["fresh", "shared"] = "fresh",
        critic_updates: int = 1,
        clip_norm: float | None = None,
        accumulate: int = 1,
        seconds_per_unit: float = 1.0,
        first_time: float = 0.0,
    ) -> None:
        super().__init__(seconds_per_unit=seconds_per_unit, first_time=first_time)
        self.automatic_optimization = False
        if critic_updates < 1 or accumulate < 1:
            raise UserError(
                f"critic_updates and accumulate must be at least 1; got critic_updates {critic_updates} and "
                f"accumulate {accumulate}."
            )
        self.generator = generator
        self.critics = nn.ModuleDict(critics)
        self.generator_optimizer = generator_optimizer
        self.critic_optimizer = critic_optimizer
        self.schedule = schedule
        self.schedule_interval = schedule_interval
        self.order = order
        self.fakes = fakes
        self.critic_updates = critic_updates
        self.clip_norm = clip_norm
        self.accumulate = accumulate
        self.updates = 0
        self.generator_updates = 0
        self.last_losses: Losses = {}
        self._logged: Losses = {}
        self._group: list[Batch] = []

    @property
    def mid_update(self) -> bool:
        """Whether batches wait for others to make an update with; a checkpoint would lose them."""
        return bool(self._group)

    @abstractmethod
    def draw(self, batch: Batch) -> Any:
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
        """What a paper does to its critics' weights after they moved (clipping singular values, say)."""

    def after_generator_update(self) -> None:
        """What a paper does after the generator moved."""

    def training_step(self, batch: Batch, batch_idx: int) -> None:
        """Gather batches until an update is full, then take the turns."""
        self._group.append(batch)
        if len(self._group) < self.accumulate and not self.trainer.is_last_batch:
            return
        group, self._group = self._group, []
        generator_moves = (self.updates + 1) % self.critic_updates == 0
        drawn: list[Any] = []
        if self.order == "joint":
            self._joint_turn(group, generator_moves)
        elif self.order == "critic_first":
            self._critic_turn(group, drawn)
            if generator_moves:
                self._generator_turn(group, drawn)
        else:
            if generator_moves:
                self._generator_turn(group, drawn)
            self._critic_turn(group, drawn)
        self.updates += 1
        self._step_schedules("update")
        # All at the end: what is logged before the optimisers' hooks log is lost in an epoch's first batch.
        self._logged["step"] = torch.tensor(float(self.generator_updates))  # the loggers' x-axis
        self.log_dict(self._logged, batch_size=1)
        self._logged = {}

    def on_before_optimizer_step(self, optimizer: Optimizer) -> None:
        """Clip: after a gradient scaler has undone its scale, and after callbacks have seen the norm as it was."""
        if self.clip_norm is not None:
            self.clip_gradients(optimizer, gradient_clip_val=self.clip_norm, gradient_clip_algorithm="norm")

    def on_train_epoch_end(self) -> None:
        """Schedules by epoch."""
        self._step_schedules("epoch")

    def configure_optimizers(self) -> Any:
        """The generator's optimiser, then the critics' if there are any, each with the schedule."""
        optimizers = [self.generator_optimizer(self.generator.parameters())]
        if any(True for _ in self.critics.parameters()):
            optimizers.append(self.critic_optimizer(self.critics.parameters()))
        if self.schedule is None:
            return [{"optimizer": optimizer} for optimizer in optimizers]
        return [{"optimizer": optimizer, "lr_scheduler": self.schedule(optimizer)} for optimizer in optimizers]

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Counters beside the configuration."""
        super().on_save_checkpoint(checkpoint)
        checkpoint["updates"] = {"updates": self.updates, "generator_updates": self.generator_updates}

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Go on counting."""
        counts = checkpoint.get("updates", {"updates": 0, "generator_updates": 0})
        self.updates, self.generator_updates = counts["updates"], counts["generator_updates"]

    def _critic_turn(self, group: list[Batch], drawn: list[Any]) -> None:
        if not len(self.critics):
            return
        if not drawn:
            with torch.set_grad_enabled(self.fakes == "shared"):
                fakes = [self.draw(batch) for batch in group]
            if self.fakes == "shared":
                drawn.extend(fakes)
        else:
            fakes = drawn
        losses = (self.critic_losses(b, detached(f)) for b, f in zip(group, fakes, strict=True))
        self._backward(losses, len(group), critics=True)
        self._move(critics=True)

    def _generator_turn(self, group: list[Batch], drawn: list[Any]) -> None:
        fakes: Iterable[Any] = drawn or (self.draw(batch) for batch in group)
        if self.fakes == "shared" and not drawn:
            fakes = [self.draw(batch) for batch in group]
            drawn.extend(fakes)
        with frozen(self.critics):
            losses = (self.generator_losses(b, f) for b, f in zip(group, fakes, strict=True))
            self._backward(losses, len(group), critics=False)
        self._move(critics=False)

    def _joint_turn(self, group: list[Batch], generator_moves: bool) -> None:
        for batch in group:
            critic, generator = self.joint_losses(batch, self.draw(batch))
            self._backward([critic], len(group), critics=True)
            if generator_moves:
                self._backward([generator], len(group), critics=False)
        self._move(critics=True)
        if generator_moves:
            self._move(critics=False)

    def _backward(self, losses: Iterable[Losses], share: int, *, critics: bool) -> None:
        for terms in losses:
            if not terms:
                continue
            role = "critic" if critics else "generator"
            self.last_losses = {f"{role}/{name}": term.detach() for name, term in terms.items()}
            self._logged |= {f"train/{name}": value for name, value in self.last_losses.items()}
            total = torch.stack(list(terms.values())).sum()
            if total.requires_grad:
                self.manual_backward(total / share)

    def _move(self, *, critics: bool) -> None:
        optimizers = self.optimizers()
        optimizers = optimizers if isinstance(optimizers, list) else [optimizers]
        if critics and len(optimizers) == 1:
            return
        optimizer = optimizers[1 if critics else 0]
        optimizer.step()
        optimizer.zero_grad()
        if critics:
            self.after_critic_update()
        else:
            self.generator_updates += 1
            self.after_generator_update()

    def _step_schedules(self, interval: str) -> None:
        if self.schedule is None or interval != self.schedule_interval:
            return
        schedulers = self.lr_schedulers()
        for scheduler in schedulers if isinstance(schedulers, list) else [schedulers]:
            scheduler.step()  # type: ignore[union-attr]


class frozen:
    """Within it, a module's parameters take no gradient: none is computed that would be thrown away."""

    def __init__(self, module: nn.Module) -> None:
        self.parameters = [p for p in module.parameters() if p.requires_grad]

    def __enter__(self) -> None:
        for parameter in self.parameters:
            parameter.requires_grad_(False)

    def __exit__(self, *_: object) -> None:
        for parameter in self.parameters:
            parameter.requires_grad_(True)


def detached(fakes: Any) -> Any:
    """The fakes without their history."""
    return apply_to_collection(fakes, Tensor, Tensor.detach)
