"""The callback that writes `progress.json` to the run's folder; the launchers' table reads it."""

import json
import time
from pathlib import Path
from typing import Any

from lightning import Callback, LightningModule, Trainer

from datamodules.files import write_text
from lightning_modules.callbacks.budget import Budget, updates_of


class ProgressFile(Callback):
    """Writes the progress of the training, at most every `seconds`.

    The file holds `fraction` (0 to 1, of the budget or limit that is reached first; null without limits),
    `updates` (of the generator), `seconds_left` (null until it can be estimated) and `time` (of writing, Unix seconds).

    Args:
        seconds: how often the file is written.
    """

    def __init__(self, seconds: float | int = 5.0) -> None:
        super().__init__()
        self.seconds = seconds
        self._started = 0.0
        self._start_fraction = 0.0
        self._written = 0.0

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Remember where this session starts."""
        self._started, self._start_fraction = time.monotonic(), fraction_of(trainer, pl_module) or 0.0
        self._write(trainer, pl_module)

    def on_train_batch_end(self, trainer: Trainer, pl_module: LightningModule, *_: Any) -> None:
        """Write, if it is time."""
        if time.monotonic() - self._written >= self.seconds:
            self._write(trainer, pl_module)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Write the final state."""
        self._write(trainer, pl_module, done=True)

    def _write(self, trainer: Trainer, pl_module: LightningModule, *, done: bool = False) -> None:
        self._written = time.monotonic()
        if not trainer.is_global_zero or trainer.fast_dev_run:  # type: ignore[attr-defined]
            return
        fraction = 1.0 if done else fraction_of(trainer, pl_module)
        gained = (fraction or 0.0) - self._start_fraction
        left = None
        if done:
            left = 0.0
        elif fraction is not None and gained > 0:
            left = (self._written - self._started) * (1 - fraction) / gained
        content = {
            "fraction": fraction,
            "updates": updates_of(trainer, pl_module),
            "seconds_left": left,
            "time": time.time(),
        }
        write_text(Path(trainer.default_root_dir) / "progress.json", json.dumps(content) + "\n")


def fraction_of(trainer: Trainer, pl_module: LightningModule) -> float | None:
    """The completed share of the training (0 to 1), of the limit that is reached first; None without limits."""
    shares = []
    if trainer.max_epochs is not None and trainer.max_epochs > 0:
        batches = float(trainer.num_training_batches)
        within = (trainer.fit_loop.batch_idx + 1) / batches if 0 < batches < float("inf") else 0.0
        shares.append((trainer.current_epoch + min(max(within, 0.0), 1.0)) / trainer.max_epochs)
    if trainer.max_steps > 0:
        shares.append(trainer.global_step / trainer.max_steps)
    for callback in trainer.callbacks:  # type: ignore[attr-defined]
        if isinstance(callback, Budget):
            if callback.generator_updates is not None:
                shares.append(updates_of(trainer, pl_module) / callback.generator_updates)
            if callback.seconds is not None:
                shares.append(callback.elapsed / callback.seconds)
    return min(max(shares), 1.0) if shares else None
