"""ManualOptimizationSystem: a system that steps its own optimisers and counts the generator's updates."""

from abc import ABC, abstractmethod
from collections.abc import Iterable
from typing import Any, Literal

import torch
from jaxtyping import Float
from lightning.pytorch.cli import LRSchedulerCallable
from torch import Tensor, nn
from torch.optim import Optimizer

from datamodules.clip import Batch
from datamodules.errors import UserError
from lightning_modules.system import System

Scalar = Float[Tensor, ""]
Losses = dict[str, Scalar]


class ManualOptimizationSystem(System, ABC):
    """What adversarial and supervised training share: accumulation, clipping, schedules, counters, logged losses.

    Lightning's automatic optimisation knows one optimiser and counts its steps. Budgets, checkpoints and weight
    averaging count updates of the generator, whatever else is optimised beside it, so all systems with a generator
    optimise manually and count here. One update uses `accumulate` batches; an epoch's last update uses those left.

    Args:
        generator: the network that makes frames or trajectories.
        schedule: learning-rate schedule of every optimiser, or None.
        schedule_interval: whether schedules step once per `epoch` or once per `update`.
        clip_norm: largest norm of an optimiser's gradient, or None.
        accumulate: batches per update.
        seconds_per_unit: see `System`.
        first_time: see `System`.
    """

    def __init__(
        self,
        generator: nn.Module,
        *,
        schedule: LRSchedulerCallable | None = None,
        schedule_interval: Literal["epoch", "update"] = "epoch",
        clip_norm: float | None = None,
        accumulate: int = 1,
        seconds_per_unit: float = 1.0,
        first_time: float = 0.0,
    ) -> None:
        super().__init__(seconds_per_unit=seconds_per_unit, first_time=first_time)
        self.automatic_optimization = False
        if accumulate < 1:
            raise UserError(f"accumulate must be at least 1; got {accumulate}.")
        self.generator = generator
        self.schedule = schedule
        self.schedule_interval = schedule_interval
        self.clip_norm = clip_norm
        self.accumulate = accumulate
        self.updates = 0
        self.generator_updates = 0
        self.last_losses: Losses = {}
        self._logged: Losses = {}
        self._group: list[Batch] = []

    @property
    def mid_update(self) -> bool:
        """Whether batches are waiting for an update to fill; a checkpoint saved now would lose them."""
        return bool(self._group)

    @abstractmethod
    def training_output(self, batch: Batch) -> Any:
        """The generator's output for a batch in training: tensors in any nesting."""

    @abstractmethod
    def update(self, group: list[Batch]) -> None:
        """One update from a full group of batches."""

    def training_step(self, batch: Batch, batch_idx: int) -> None:
        """Collect batches; update once there are `accumulate`, or once the epoch ends."""
        self._group.append(batch)
        if len(self._group) < self.accumulate and not self.trainer.is_last_batch:
            return
        group, self._group = self._group, []
        self.update(group)
        self.updates += 1
        self._step_schedules("update")
        # All at the end: what is logged before the optimisers' hooks log is lost in an epoch's first batch.
        self._logged["step"] = torch.tensor(float(self.generator_updates))  # the loggers' x-axis
        self.log_dict(self._logged, batch_size=1)
        self._logged = {}

    def on_before_optimizer_step(self, optimizer: Optimizer) -> None:
        """Clip: after a gradient scaler has undone its scale, and after callbacks have seen the unclipped norm."""
        if self.clip_norm is not None:
            self.clip_gradients(optimizer, gradient_clip_val=self.clip_norm, gradient_clip_algorithm="norm")

    def on_train_epoch_end(self) -> None:
        """Step the schedules that step by epoch."""
        self._step_schedules("epoch")

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Save the counters beside the configuration."""
        super().on_save_checkpoint(checkpoint)
        checkpoint["updates"] = {"updates": self.updates, "generator_updates": self.generator_updates}

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Restore the counters."""
        counts = checkpoint.get("updates", {"updates": 0, "generator_updates": 0})
        self.updates, self.generator_updates = counts["updates"], counts["generator_updates"]

    def after_generator_update(self) -> None:
        """Hook for what a paper does after each generator update."""

    def _with_schedules(self, optimizers: list[Optimizer]) -> Any:
        """The optimisers, each with the schedule, as `configure_optimizers` returns them."""
        if self.schedule is None:
            return [{"optimizer": optimizer} for optimizer in optimizers]
        return [{"optimizer": optimizer, "lr_scheduler": self.schedule(optimizer)} for optimizer in optimizers]

    def _backward(self, losses: Iterable[Losses], group_size: int, *, role: Literal["generator", "critic"]) -> None:
        """Accumulate the gradient of the mean over the group; remember and log each term."""
        for terms in losses:
            if not terms:
                continue
            self.last_losses = {f"{role}/{name}": term.detach() for name, term in terms.items()}
            self._logged |= {f"train/{name}": value for name, value in self.last_losses.items()}
            total = torch.stack(list(terms.values())).sum()
            if total.requires_grad:
                self.manual_backward(total / group_size)

    def _step_generator(self) -> None:
        """Step the generator's optimiser, which is the first, and count it."""
        self._optimizer_step(0)
        self.generator_updates += 1
        self.after_generator_update()

    def _optimizer_step(self, index: int) -> None:
        optimizer = self._optimizers()[index]
        optimizer.step()
        optimizer.zero_grad()

    def _optimizers(self) -> list[Any]:
        optimizers = self.optimizers()
        return optimizers if isinstance(optimizers, list) else [optimizers]

    def _step_schedules(self, interval: str) -> None:
        if self.schedule is None or interval != self.schedule_interval:
            return
        schedulers = self.lr_schedulers()
        for scheduler in schedulers if isinstance(schedulers, list) else [schedulers]:
            scheduler.step()  # type: ignore[union-attr]
