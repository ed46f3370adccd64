"""Progress bar: Lightning's, for trainings that a budget ends and not a number of epochs."""

from lightning import Trainer
from lightning.pytorch.callbacks import RichProgressBar


class BudgetBar(RichProgressBar):
    """RichProgressBar without a last epoch where there is none: Lightning 2.6 prints `Epoch 3/-2`."""

    def _get_train_description(self, current_epoch: int) -> str:
        if self.trainer.max_epochs == -1:
            return f"{f'Epoch {current_epoch}':{len(self.validation_description)}}"
        return super()._get_train_description(current_epoch)


def use_budget_bar(trainer: Trainer) -> None:
    """Put it in the place of the trainer's own RichProgressBar, if it has one."""
    bars = [BudgetBar() if type(callback) is RichProgressBar else callback for callback in trainer.callbacks]  # type: ignore[attr-defined]
    trainer.callbacks[:] = bars  # type: ignore[attr-defined]
