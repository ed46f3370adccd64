"""The end of a training: whether its epochs, updates or seconds were reached, or whether it only stopped."""

from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import EarlyStopping, Timer
from lightning.pytorch.callbacks.early_stopping import EarlyStoppingReason

from lightning_modules.callbacks.budget import Budget

ASKED_FOR = (
    EarlyStoppingReason.PATIENCE_EXHAUSTED,
    EarlyStoppingReason.STOPPING_THRESHOLD,
    EarlyStoppingReason.DIVERGENCE_THRESHOLD,
)
"""Why an `EarlyStopping` may end a training by its own rule. A metric that became NaN is no such end."""


def reached_its_end(trainer: Trainer, pl_module: LightningModule) -> bool:
    """Whether the training has reached what it was asked for: `max_epochs`, `max_steps`, the budget, or its own rule.

    A training that a signal, an exception, a NaN or `trainer.should_stop` ended has not. `max_time` is the time of one
    session, after which the training is to be continued, unless it is the only limit there is.
    """
    budgets = [one for one in trainer.callbacks if isinstance(one, Budget)]  # type: ignore[attr-defined]
    if 0 < trainer.max_steps <= trainer.global_step:
        return True
    epochs = trainer.max_epochs
    processed = trainer.fit_loop.epoch_progress.current.processed  # type: ignore[attr-defined]
    # an epoch that was cut short counts as processed too
    if epochs and 0 < epochs <= processed and trainer.is_last_batch:
        return True
    if any(budget.used_up(trainer, pl_module) for budget in budgets):
        return True
    for callback in trainer.callbacks:  # type: ignore[attr-defined]
        stopped = isinstance(callback, EarlyStopping) and callback.stopping_reason in ASKED_FOR
        if stopped and trainer.should_stop:
            return True
        if isinstance(callback, Timer) and epochs in (None, -1) and trainer.max_steps == -1:
            left = callback.time_remaining()
            if left is not None and left <= 0 and not any(budget.limited for budget in budgets):
                return True
    return False
