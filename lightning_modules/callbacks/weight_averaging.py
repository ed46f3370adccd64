"""Exponential moving average of the generator's weights, with its own batch-normalisation statistics."""

from typing import Any

import torch
from lightning import Callback, LightningModule, Trainer
from lightning.pytorch.utilities import rank_zero_warn
from torch import Tensor, nn

from datamodules.clip import Batch
from datamodules.errors import UserError
from lightning_modules.callbacks.batch_statistics import LastBatches, normalisations
from lightning_modules.callbacks.budget import updates_of
from lightning_modules.manual_optimization import ManualOptimizationSystem


class EMAWeights(Callback):
    """Keeps an exponential moving average of the generator's weights, counted in generator updates.

    EMA weights are used for validation, test and prediction, and are the weights in every checkpoint; the raw weights
    are saved beside them, for resuming. After training the module keeps the EMA weights.

    The running statistics of batch normalisation belong to the raw weights. With small batches re-estimate them for the
    EMA weights (`statistics`), or samples lose contrast; stochastic weight averaging does the same (Izmailov et al.,
    2018). They are computed whenever the EMA weights are evaluated or saved, and do not affect training. A resumed
    training uses the saved statistics until it has seen as many new batches.

    Args:
        decay: weight of the old average in each update, such as 0.999; 0 copies the weights; None: no averaging.
        start: number of generator updates during which the average is a copy of the weights.
        part: the attribute of the system whose weights are averaged.
        statistics: number of last training batches from which the average's statistics are estimated; they stay in
            memory. 0: use the raw weights' statistics.
    """

    def __init__(
        self, decay: float | None = None, start: int = 0, part: str = "generator", statistics: int = 0
    ) -> None:
        super().__init__()
        if decay is not None and not 0 <= decay < 1:
            raise UserError(f"decay must be from 0 to below 1, or None for no averaging; got {decay}.")
        if statistics < 0 or (statistics and decay is None):
            raise UserError(
                "`averaging.statistics` must be 0 or more batches, and needs averaged weights; got "
                f"{statistics} with decay {decay}. Set `averaging.decay` (0 copies the weights), or "
                "`averaging.statistics: 0`."
            )
        self.decay = decay
        self.start = start
        self.part = part
        self.statistics = statistics
        self._counted = 0
        self._batches = LastBatches(statistics)
        self._measured: dict[str, Tensor] = {}
        """The average's statistics, as last estimated or as loaded from a checkpoint."""
        self._measured_at: int | None = None
        """Number of batches seen when they were estimated; None: loaded from a checkpoint."""
        self._average: dict[str, Tensor] | None = None
        self._raw: dict[str, Tensor] | None = None
        """The raw weights and their statistics, while the module holds the average."""

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Start from the current weights, unless a checkpoint held an average."""
        if self.decay is None:
            return
        self._swap_back(pl_module)
        if self.statistics and (reason := self._no_statistics(pl_module)):
            raise UserError(f"{reason} Set `averaging.statistics: 0`.")
        self._batches.clear()
        if self._average is None:
            self._average = _copied(self._weights(pl_module))
            self._counted = updates_of(trainer, pl_module)
        self._average = {name: value.to(pl_module.device) for name, value in self._average.items()}

    @torch.no_grad()
    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Batch, batch_idx: int
    ) -> None:
        """Update the average once for each generator update since the last batch."""
        if self.decay is None or self._average is None:
            return
        if isinstance(pl_module, ManualOptimizationSystem) and self.statistics:
            self._batches.add(pl_module, batch)
        updates = updates_of(trainer, pl_module)
        new, self._counted = updates - self._counted, updates
        if new > 0:
            kept = 0.0 if updates <= self.start else self.decay**new
            weights = self._weights(pl_module)
            torch._foreach_lerp_([self._average[name] for name in weights], list(weights.values()), 1 - kept)

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Use the EMA weights for validation."""
        self._swap_in(trainer, pl_module)

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Continue training with the raw weights."""
        if trainer.state.fn == "fit":
            self._swap_back(pl_module)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Leave the EMA weights in the module."""
        self._swap_in(trainer, pl_module)
        self._batches.clear()

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        """Restore the raw weights."""
        self._swap_back(pl_module)

    @property
    def state_key(self) -> str:
        """The callback's key in checkpoints: that of its former name, so that older runs can be resumed."""
        return "WeightAveraging"

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
        inside = self._raw is not None
        self._swap_in(trainer, pl_module)
        assert self._raw is not None
        checkpoint["raw_weights"] = self._raw
        checkpoint["state_dict"] = {**checkpoint["state_dict"], **_copied(self._replaced(pl_module))}
        if not inside:
            self._swap_back(pl_module)

    def on_load_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        """Resuming: the raw weights into the module, the average here. Otherwise the module has what it needs."""
        self._average, self._raw = None, None
        self._measured, self._measured_at = {}, None
        if trainer.state.fn != "fit":
            return
        raw = checkpoint.get("raw_weights")
        if self.decay is None:
            if raw is not None:
                raise UserError(
                    "The checkpoint comes from a training with averaged weights; this one has averaging off. Resume "
                    "with the same `averaging.decay`."
                )
            return
        if raw is None:
            rank_zero_warn("The checkpoint holds no averaged weights: the average starts anew from its weights.")
            return
        weights, statistics = self._weights(pl_module), self._normalisations(pl_module)
        if missing := weights.keys() - raw.keys():
            raise UserError(
                f"The checkpoint's training averaged another part: it lacks {min(missing)}. "
                "Resume with the same `averaging.part`."
            )
        self._average = _copied({name: checkpoint["state_dict"][name] for name in weights})
        self._measured = _copied({name: checkpoint["state_dict"][name] for name in statistics.keys() & raw.keys()})
        _put(raw, {**weights, **statistics})

    def _weights(self, pl_module: LightningModule) -> dict[str, Tensor]:
        """The averaged part's parameters, by name in the system."""
        return {f"{self.part}.{name}": value for name, value in self._module(pl_module).named_parameters()}

    def _normalisations(self, pl_module: LightningModule) -> dict[str, Tensor]:
        """The running statistics of the averaged part's batch-normalisation layers, by name in the system."""
        return {
            f"{name}.{buffer}": value
            for name, norm in normalisations(pl_module, self.part).items()
            for buffer, value in norm.named_buffers()
        }

    def _replaced(self, pl_module: LightningModule) -> dict[str, Tensor]:
        """All values that the average replaces."""
        return {**self._weights(pl_module), **(self._normalisations(pl_module) if self.statistics else {})}

    def _module(self, pl_module: LightningModule) -> nn.Module:
        part = getattr(pl_module, self.part, None)
        if not isinstance(part, nn.Module):
            raise UserError(
                f"{type(pl_module).__name__} has no part '{self.part}' whose weights could be averaged. Name another "
                "in `averaging.part`, or set `averaging.decay: null`."
            )
        return part

    def _no_statistics(self, pl_module: LightningModule) -> str | None:
        """Why statistics cannot be estimated, or None if they can."""
        if not isinstance(pl_module, ManualOptimizationSystem):
            return f"{type(pl_module).__name__} has no `training_output`, so statistics cannot be re-estimated."
        if not self._normalisations(pl_module):
            return f"The {self.part} of this {type(pl_module).__name__} has no batch normalisation, so no statistics."
        return None

    def _swap_in(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if self._average is None or self._raw is not None:
            return
        self._raw = _copied(self._replaced(pl_module))
        _put(self._average, self._weights(pl_module))
        _put(self._statistics(trainer, pl_module), self._normalisations(pl_module))

    def _swap_back(self, pl_module: LightningModule) -> None:
        if self._raw is None:
            return
        _put(self._raw, self._replaced(pl_module))
        self._raw = None

    def _statistics(self, trainer: Trainer, pl_module: LightningModule) -> dict[str, Tensor]:
        """The statistics of the average, which the module holds: estimated at most once per batch."""
        batches, resumed = self._batches, bool(self._measured) and self._measured_at is None
        if batches.full if resumed else bool(batches.batches) and self._measured_at != batches.seen:
            assert isinstance(pl_module, ManualOptimizationSystem)
            self._measured = batches.statistics(trainer, pl_module, self.part)
            self._measured_at = batches.seen
        return self._measured


def _copied(values: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: value.detach().clone() for name, value in values.items()}


@torch.no_grad()
def _put(values: dict[str, Tensor], into: dict[str, Tensor]) -> None:
    """Copy the values whose names are in both."""
    for name in values.keys() & into.keys():
        into[name].copy_(values[name])
