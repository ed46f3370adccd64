"""Training callbacks: a budget of generator updates or seconds, and the loggers' x-axis."""

import time
from typing import Any

import torch
from lightning import Callback, LightningModule, Trainer

from datamodules.errors import UserError
from lightning_modules.system import System


def updates_of(trainer: Trainer, pl_module: LightningModule) -> int:
    """Generator updates so far: the system's own count, or else the number of optimiser steps."""
    count = getattr(pl_module, "generator_updates", None)
    return trainer.global_step if count is None else int(count)


class GeneratorStepLogger(Callback):
    """Logs epoch-end values against generator updates; for training steps the systems do so themselves."""

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Set the x-axis of values logged once per epoch."""
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


class Budget(Callback):
    """Counts updates and seconds of a training, over all its sessions, and stops it when the budget is used up.

    Args:
        generator_updates: maximum number of updates; None: no limit.
        seconds: maximum seconds of training, without validation; None: no limit.
    """

    def __init__(self, generator_updates: int | None = None, seconds: float | None = None) -> None:
        super().__init__()
        for name, limit in (("generator_updates", generator_updates), ("seconds", seconds)):
            if limit is not None and not limit > 0:
                raise UserError(f"The budget's {name} must be positive, or None for no limit; got {limit}.")
        self.generator_updates = generator_updates
        self.seconds = seconds
        self._spent = 0.0
        self._since: float | None = None
        self._device = "unknown"

    @property
    def elapsed(self) -> float:
        """Seconds of training so far, over all sessions."""
        return self._spent + (time.monotonic() - self._since if self._since is not None else 0.0)

    @property
    def limited(self) -> bool:
        """Whether there is a limit."""
        return self.generator_updates is not None or self.seconds is not None

    def used_up(self, trainer: Trainer, pl_module: LightningModule) -> bool:
        """Whether the budget has a limit that is reached."""
        share = self._share(trainer, pl_module)
        return share is not None and share >= 1

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Start the clock; a resumed training may have used up its budget already."""
        if isinstance(pl_module, System):  # from here on its weights are no file's
            pl_module.checkpoint_sha256, pl_module.training_finished = None, None
        device = pl_module.device
        self._device = torch.cuda.get_device_name(device) if device.type == "cuda" else device.type
        self._since = time.monotonic()
        self._check(trainer, pl_module)

    def on_train_batch_end(self, trainer: Trainer, pl_module: LightningModule, *_: Any) -> None:
        """Show the used share of the budget, and check it."""
        spent = self._check(trainer, pl_module)
        if spent is not None:
            pl_module.log("budget", min(spent, 1.0), prog_bar=True, logger=False, batch_size=1)

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Stop the clock."""
        self._stop()

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Restart the clock during training."""
        if trainer.state.fn == "fit" and not trainer.sanity_checking:
            self._since = time.monotonic()

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Stop the clock."""
        self._stop()

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        """Stop the clock."""
        self._stop()

    def state_dict(self) -> dict[str, Any]:
        """Seconds so far, and the device."""
        return {"elapsed": self.elapsed, "device": self._device}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore the seconds of earlier sessions."""
        self._spent, self._since = state_dict["elapsed"], None
        self._device = state_dict.get("device", self._device)

    def _stop(self) -> None:
        self._spent, self._since = self.elapsed, None

    def _check(self, trainer: Trainer, pl_module: LightningModule) -> float | None:
        """The used share of the budget, or None without a limit; sets `should_stop` in all processes together."""
        share = self._share(trainer, pl_module)
        if share is None:
            return None
        if trainer.strategy.reduce_boolean_decision(share >= 1, all=False):
            trainer.should_stop = True
        return share

    def _share(self, trainer: Trainer, pl_module: LightningModule) -> float | None:
        shares = []
        if self.generator_updates is not None:
            shares.append(updates_of(trainer, pl_module) / self.generator_updates)
        if self.seconds is not None:
            shares.append(self.elapsed / self.seconds)
        return max(shares) if shares else None
