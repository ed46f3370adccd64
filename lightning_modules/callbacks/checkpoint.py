"""Checkpoints: `last.ckpt` at regular intervals, and `best.ckpt` by a monitored metric."""

import time
from pathlib import Path
from typing import Any, Literal

import torch
from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import ModelCheckpoint

from datamodules.errors import UserError
from datamodules.files import replace
from lightning_modules.callbacks.budget import updates_of
from lightning_modules.callbacks.training_end import reached_its_end


class Checkpoints(ModelCheckpoint):
    """Keeps `last.ckpt`, from which a killed run resumes, and `best.ckpt`.

    Lightning's ModelCheckpoint counts optimiser steps, of which a GAN takes two per batch, ignores time intervals under
    manual optimisation, and saves nothing for a system without optimiser. This one counts generator updates, writes
    files atomically, and says in `last.ckpt` whether the training has reached its end (`training_finished`).

    Args:
        monitor: the metric that selects the best checkpoint, such as `val/predict/ssim`; None: keep no best.
        mode: whether the metric's `min` or `max` is best.
        every_n_updates: save `last.ckpt` every n generator updates; None: not by updates.
        every_n_seconds: also save at the first update after n seconds; None: not by time.
        every_n_epochs: also save at the end of every n-th epoch.
        dirpath: the folder; None: `checkpoints` beside the run's log.
    """

    def __init__(
        self,
        monitor: str | None = None,
        mode: Literal["min", "max"] = "min",
        every_n_updates: int | None = None,
        every_n_seconds: float | None = 60.0,
        every_n_epochs: int = 1,
        dirpath: str | None = None,
    ) -> None:
        super().__init__(
            dirpath=dirpath,
            filename="best",
            monitor=monitor,
            mode=mode,
            save_last=True,
            save_top_k=1 if monitor else 0,
            every_n_epochs=every_n_epochs,
            save_on_train_epoch_end=False,
            enable_version_counter=False,
            auto_insert_metric_name=False,
        )
        self.every_n_updates = every_n_updates
        self.every_n_seconds = every_n_seconds
        self._saved_updates = -1
        self._saved_time = time.monotonic()
        self._judged_updates = -1
        self._ended: bool | None = None
        """What the file that is being written says of the training's end; None: nothing."""
        self._last_ended: bool | None = None
        """What `last.ckpt` says of it; None: there is none, or it does not say."""

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Start the clock."""
        self._saved_time = time.monotonic()
        self._saved_updates = updates_of(trainer, pl_module)

    def on_train_batch_end(self, trainer: Trainer, pl_module: LightningModule, *_: Any) -> None:
        """Save between two generator updates, never within one.

        After an epoch's last batch the epoch's end saves instead: a run resumed from here would skip its hooks.
        """
        updates = updates_of(trainer, pl_module)
        if self._idle(trainer) or updates == self._saved_updates or trainer.is_last_batch:
            return
        if getattr(pl_module, "mid_update", False):
            return
        stopping = trainer.should_stop or 0 <= trainer.max_steps <= trainer.global_step
        if stopping or self._due(trainer, updates):
            self._save_last(trainer, updates)

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Keep the weights that were just validated if they are the best so far."""
        updates = updates_of(trainer, pl_module)
        if self.monitor is None or self._idle(trainer) or updates == self._judged_updates:
            return
        score = trainer.callback_metrics.get(self.monitor)
        if score is None:
            known = ", ".join(sorted(name for name in trainer.callback_metrics if "/" in name)) or "none"
            raise UserError(
                f"The best checkpoint is selected by '{self.monitor}', which is not logged. Logged: {known}."
            )
        self._judged_updates = updates
        sign = 1.0 if self.mode == "min" else -1.0
        best = self.best_model_score
        if bool(torch.isfinite(score)) and (best is None or sign * float(score) < sign * float(best)):
            path = self._path("best")
            self.best_model_score, self.best_model_path, self.current_score = score.detach().cpu(), path, score
            self._write(trainer, path)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Save at the end of an epoch; a training that stopped within one has saved there."""
        if self._idle(trainer) or not trainer.is_last_batch:
            return
        updates = updates_of(trainer, pl_module)
        assert self.every_n_epochs is not None
        if (trainer.current_epoch + 1) % self.every_n_epochs == 0 or trainer.should_stop or self._due(trainer, updates):
            self._save_last(trainer, updates)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Save the final state in `last.ckpt`, and that it is the final one."""
        if self._idle(trainer):
            return
        updates = updates_of(trainer, pl_module)
        ended = self._last_ended is False and reached_its_end(trainer, pl_module)
        ended = trainer.strategy.reduce_boolean_decision(ended, all=False)
        if ended or updates != self._saved_updates:
            self._save_last(trainer, updates)

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        """No-op: training cannot resume from a state within a step."""

    def on_save_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        """Say in `last.ckpt` whether the training has reached its end; `best.ckpt` is written before that is known."""
        if self._ended is not None:
            checkpoint["training_finished"] = self._ended

    def on_load_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        """What the checkpoint says of the training's end."""
        self._last_ended = checkpoint.get("training_finished")

    def state_dict(self) -> dict[str, Any]:
        """The best score so far."""
        score = None if self.best_model_score is None else float(self.best_model_score)
        return {"monitor": self.monitor, "score": score, "updates": self._judged_updates}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore the best score of earlier sessions, if it is of the same metric."""
        if state_dict["monitor"] == self.monitor and state_dict["score"] is not None:
            self.best_model_score = torch.tensor(state_dict["score"])
            self.best_model_path = self._path("best")
            self._judged_updates = state_dict["updates"]

    def _due(self, trainer: Trainer, updates: int) -> bool:
        if self.every_n_updates is not None and updates - self._saved_updates >= self.every_n_updates:
            return True
        if self.every_n_seconds is None:
            return False
        late = time.monotonic() - self._saved_time >= self.every_n_seconds
        return bool(trainer.strategy.reduce_boolean_decision(late, all=False))

    def _idle(self, trainer: Trainer) -> bool:
        return bool(trainer.fast_dev_run) or trainer.state.fn != "fit" or trainer.sanity_checking  # type: ignore[attr-defined]

    def _path(self, name: str) -> str:
        return str(Path(self.dirpath or ".") / f"{name}{self.FILE_EXTENSION}")

    def _save_last(self, trainer: Trainer, updates: int) -> None:
        self.last_model_path = self._path(self.CHECKPOINT_NAME_LAST)
        self._ended = reached_its_end(trainer, trainer.lightning_module)
        try:
            self._write(trainer, self.last_model_path)
        finally:
            self._last_ended, self._ended = self._ended, None
        self._saved_updates, self._saved_time = updates, time.monotonic()

    def _write(self, trainer: Trainer, path: str) -> None:
        temporary = f"{path}.tmp"  # the same name on all processes: some strategies save from all of them
        trainer.save_checkpoint(temporary, weights_only=False)  # the whole state; `weights_only` matters when loading
        if trainer.is_global_zero:
            replace(Path(temporary), Path(path))
        trainer.strategy.barrier("checkpoint written")
