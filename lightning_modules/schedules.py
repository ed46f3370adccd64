"""Learning-rate schedules that torch does not have."""

from torch import Tensor
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from datamodules.errors import UserError


class FlooredExponentialLR(LRScheduler):
    """lr = max(decay**(epoch + 1), floor) times the initial one: decayed in epoch 0 already, never below the floor.

    Vid-ODE's released code (`floor` 0.1); the paper names the decay of 0.99 per epoch and no floor (`floor` 0).

    Args:
        optimizer: whose learning rates are set.
        decay: factor per step of the schedule.
        floor: smallest learning rate, as a share of the initial one.
    """

    def __init__(self, optimizer: Optimizer, decay: float = 0.99, floor: float = 0.1, last_epoch: int = -1) -> None:
        if not (0 < decay <= 1 and 0 <= floor <= 1):
            raise UserError(f"decay must be in (0, 1] and floor in [0, 1]; got decay {decay} and floor {floor}.")
        self.decay = decay
        self.floor = floor
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[float | Tensor]:
        """The learning rate of each parameter group in the current epoch."""
        factor = max(self.decay ** (self.last_epoch + 1), self.floor)
        return [base * factor for base in self.base_lrs]
