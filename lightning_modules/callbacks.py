"""Callbacks of the training: averaged weights, budgets in generator updates, and the loggers' x-axis."""

import time
from collections.abc import Iterator
from typing import Any

import torch
from lightning import Callback, LightningModule, Trainer
from lightning.pytorch.utilities import rank_zero_warn
from torch import Tensor, nn


def updates_of(trainer: Trainer, pl_module: LightningModule) -> int:
    """Generator updates so far: the system's own count, or optimiser steps of a system that does not count."""
    count = getattr(pl_module, "generator_updates", None)
    return trainer.global_step if count is None else int(count)


class UpdateAxis(Callback):
    """Puts the generator updates on the loggers' x-axis where epochs end; systems do so themselves in their steps."""

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Name the step of what is logged once per epoch."""
        self._name(trainer, pl_module)

    def on_validation_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """As for training epochs."""
        self._name(trainer, pl_module)

    def on_test_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """As for training epochs."""
        self._name(trainer, pl_module)

    def _name(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if hasattr(pl_module, "generator_updates"):
            value = torch.tensor(float(updates_of(trainer, pl_module)), device=pl_module.device)
            pl_module.log("step", value, sync_dist=True, reduce_fx="max")


class WeightAveraging(Callback):
    """Keeps an exponential moving average of the generator's weights, counted in generator updates.

    The average sits the exams (validation, test, prediction) and is what every checkpoint holds as the weights; the raw
    ones lie beside it, for resuming. Buffers are not averaged. After training the average stays in the module.

    Args:
        decay: how much of the average survives an update (0.999, say); None: no averaging.
        start: generator updates before which the average is just a copy.
        part: the attribute of the system whose weights are averaged.
    """

    def __init__(self, decay: float | None = None, start: int = 0, part: str = "generator") -> None:
        super().__init__()
        if decay is not None and not 0 <= decay < 1:
            raise ValueError(f"decay must be from 0 to below 1, or None for no averaging; got {decay}.")
        self.decay = decay
        self.start = start
        self.part = part
        self._counted = 0
        self._average: dict[str, Tensor] | None = None
        self._raw: dict[str, Tensor] | None = None
        """The raw weights, while the average is in the module."""

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Start from the weights as they are, unless a checkpoint brought an average."""
        if self.decay is None:
            return
        self._swap_back(pl_module)
        if self._average is None:
            self._average = {name: value.detach().clone() for name, value in self._weights(pl_module)}
            self._counted = updates_of(trainer, pl_module)
        self._average = {name: value.to(pl_module.device) for name, value in self._average.items()}

    @torch.no_grad()
    def on_train_batch_end(self, trainer: Trainer, pl_module: LightningModule, *_: Any) -> None:
        """Average once for each generator update since the last batch."""
        if self.decay is None or self._average is None:
            return
        updates = updates_of(trainer, pl_module)
        new, self._counted = updates - self._counted, updates
        if new > 0:
            kept = 0.0 if updates <= self.start else self.decay**new
            names, current = zip(*self._weights(pl_module), strict=True)
            torch._foreach_lerp_([self._average[name] for name in names], list(current), 1 - kept)

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """The average sits the exam."""
        self._swap_in(pl_module)

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """The raw weights go on training."""
        if trainer.state.fn == "fit":
            self._swap_back(pl_module)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """The module goes into the world with its averaged weights."""
        self._swap_in(pl_module)

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        """The raw weights, wherever it happened."""
        self._swap_back(pl_module)

    def state_dict(self) -> dict[str, Any]:
        """How many updates are in the average."""
        return {"counted": self._counted}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on counting."""
        self._counted = state_dict["counted"]

    def on_save_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        """The averaged weights as the weights, the raw ones beside them."""
        if self._average is None:
            return
        raw = self._raw or {name: value.detach() for name, value in self._weights(pl_module)}
        checkpoint["raw_weights"] = dict(raw)
        checkpoint["state_dict"] = {**checkpoint["state_dict"], **self._average}

    def on_load_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        """Resuming: the raw weights into the module, the average here. Otherwise the module has what it needs."""
        self._average, self._raw = None, None
        if trainer.state.fn != "fit":
            return
        raw = checkpoint.get("raw_weights")
        if self.decay is None:
            if raw is not None:
                raise ValueError(
                    "The checkpoint comes from a training with averaged weights; this one has averaging off. Resume "
                    "with the same `averaging.decay`."
                )
            return
        if raw is None:
            rank_zero_warn("The checkpoint holds no averaged weights: the average starts anew from its weights.")
            return
        self._average = {name: checkpoint["state_dict"][name].detach().clone() for name in raw}
        with torch.no_grad():
            for name, value in self._weights(pl_module):
                value.copy_(raw[name])

    def _weights(self, pl_module: LightningModule) -> Iterator[tuple[str, nn.Parameter]]:
        """The averaged part's parameters by their names in the whole system."""
        part = getattr(pl_module, self.part, None)
        if not isinstance(part, nn.Module):
            raise ValueError(
                f"{type(pl_module).__name__} has no part '{self.part}' whose weights could be averaged. Name another "
                "in `averaging.part`, or set `averaging.decay: null`."
            )
        return ((f"{self.part}.{name}", value) for name, value in part.named_parameters())

    @torch.no_grad()
    def _swap_in(self, pl_module: LightningModule) -> None:
        if self._average is None or self._raw is not None:
            return
        self._raw = {name: value.detach().clone() for name, value in self._weights(pl_module)}
        for name, value in self._weights(pl_module):
            value.copy_(self._average[name])

    @torch.no_grad()
    def _swap_back(self, pl_module: LightningModule) -> None:
        if self._raw is None:
            return
        for name, value in self._weights(pl_module):
            value.copy_(self._raw[name])
        self._raw = None


class Budget(Callback):
    """Counts what a training costs, over all its sessions, and stops it when the budget is spent.

    Args:
        generator_updates: at most so many updates; None: no limit.
        seconds: at most so many seconds of training; validation does not count. None: no limit.
    """

    def __init__(self, generator_updates: int | None = None, seconds: float | None = None) -> None:
        super().__init__()
        for name, limit in (("generator_updates", generator_updates), ("seconds", seconds)):
            if limit is not None and not limit > 0:
                raise ValueError(f"The budget's {name} must be positive, or None for no limit; got {limit}.")
        self.generator_updates = generator_updates
        self.seconds = seconds
        self._spent = 0.0
        self._since: float | None = None
        self._device = "unknown"

    @property
    def elapsed(self) -> float:
        """Seconds of training so far, over all sessions."""
        return self._spent + (time.monotonic() - self._since if self._since is not None else 0.0)

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Start the clock; a resumed training may have spent everything already."""
        device = pl_module.device
        self._device = torch.cuda.get_device_name(device) if device.type == "cuda" else device.type
        self._since = time.monotonic()
        self._check(trainer, pl_module)

    def on_train_batch_end(self, trainer: Trainer, pl_module: LightningModule, *_: Any) -> None:
        """Show and check what is spent."""
        spent = self._check(trainer, pl_module)
        if spent is not None:
            pl_module.log("budget", min(spent, 1.0), prog_bar=True, logger=False, batch_size=1)

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Stop the clock."""
        self._stop()

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Go on, if within a training."""
        if trainer.state.fn == "fit" and not trainer.sanity_checking:
            self._since = time.monotonic()

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Stop the clock."""
        self._stop()

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        """Stop the clock."""
        self._stop()

    def state_dict(self) -> dict[str, Any]:
        """Seconds so far, and on what."""
        return {"elapsed": self.elapsed, "device": self._device}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Seconds of the sessions before."""
        self._spent, self._since = state_dict["elapsed"], None
        self._device = state_dict.get("device", self._device)

    def _stop(self) -> None:
        self._spent, self._since = self.elapsed, None

    def _check(self, trainer: Trainer, pl_module: LightningModule) -> float | None:
        """The share that is spent, None without a limit; sets `should_stop` in all processes at once."""
        shares = []
        if self.generator_updates is not None:
            shares.append(updates_of(trainer, pl_module) / self.generator_updates)
        if self.seconds is not None:
            shares.append(self.elapsed / self.seconds)
        if not shares:
            return None
        if trainer.strategy.reduce_boolean_decision(max(shares) >= 1, all=False):
            trainer.should_stop = True
        return max(shares)
