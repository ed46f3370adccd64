"""NaNGuard: logs gradient norms and stops training at the first loss or gradient that is not finite."""

from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from lightning import Callback, LightningModule, Trainer
from torch import Tensor

from datamodules.files import atomic_path
from lightning_modules.callbacks.budget import updates_of


class NotFiniteError(ArithmeticError):
    """A loss or a gradient became NaN or infinite."""


class NaNGuard(Callback):
    """Logs gradient norms, and stops at the first loss or gradient that is not finite, saving the batch.

    Before each backward pass it checks the system's `last_losses` (name -> scalar) and the loss itself.
    """

    def __init__(self) -> None:
        super().__init__()
        self._batch: Any = None
        self._batch_idx = 0
        self._owners: dict[int, str] = {}
        self._folder = Path()

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Determine the run's folder here, because that communicates between all processes."""
        self._folder = Path(trainer.log_dir or trainer.default_root_dir) / "health"

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        """Keep the batch, in case its loss is not finite."""
        self._batch, self._batch_idx = batch, batch_idx

    def on_train_batch_end(self, trainer: Trainer, pl_module: LightningModule, *_: Any) -> None:
        """Release the batch."""
        self._batch = None

    def on_before_backward(self, trainer: Trainer, pl_module: LightningModule, loss: Float[Tensor, "*any"]) -> None:
        """Stop if a loss term is not finite."""
        terms = {**(getattr(pl_module, "last_losses", None) or {}), "loss": loss.detach()}
        values = torch.stack([value.detach().float().mean() for value in terms.values()])
        if not bool(torch.isfinite(values).all()):
            known = {name: float(value) for name, value in zip(terms, values, strict=True)}
            bad = [name for name, value in known.items() if not abs(value) < float("inf")]
            self._stop(trainer, pl_module, [name for name in bad if name != "loss"] or bad, known)

    def on_before_optimizer_step(self, trainer: Trainer, pl_module: LightningModule, optimizer: Any) -> None:
        """Log the norm of the gradient that the optimiser uses (after clipping)."""
        gradients = [p.grad for group in optimizer.param_groups for p in group["params"] if p.grad is not None]
        if not gradients:
            return
        norm = torch.nn.utils.get_total_norm(gradients)
        owner = self._owner(pl_module, optimizer)
        pl_module.log(f"gradient_norm/{owner}", norm, batch_size=1)
        # A gradient scaler skips steps with infinite gradients itself.
        scaled = getattr(trainer.precision_plugin, "scaler", None) is not None
        if not scaled and not bool(torch.isfinite(norm)):
            self._stop(trainer, pl_module, [f"the gradient of {owner}"], {f"gradient_norm/{owner}": float(norm)})

    def _owner(self, pl_module: LightningModule, optimizer: Any) -> str:
        """The parts of the system that an optimiser updates."""
        if id(optimizer) not in self._owners:
            moved = {id(p) for group in optimizer.param_groups for p in group["params"]}
            parts = [name.partition(".")[0] for name, p in pl_module.named_parameters() if id(p) in moved]
            self._owners[id(optimizer)] = "+".join(dict.fromkeys(parts)) or "optimizer"
        return self._owners[id(optimizer)]

    def _stop(self, trainer: Trainer, pl_module: LightningModule, terms: list[str], values: dict[str, float]) -> None:
        step = updates_of(trainer, pl_module)
        path = self._folder / f"update-{step}-rank-{trainer.global_rank}.pt"
        content = {
            "generator_updates": step,
            "epoch": trainer.current_epoch,
            "batch_idx": self._batch_idx,
            "terms": terms,
            "values": values,
            "batch": _plain_tensors(self._batch),
        }
        with atomic_path(path) as temporary:
            torch.save(content, temporary)
        raise NotFiniteError(
            f"{' and '.join(terms)} became NaN or infinite after {step} generator updates. The batch is in {path} "
            "(torch.load opens it with weights_only). Lower the learning rate, clip gradients (`clip_norm`), or look "
            "at that batch; the last checkpoint precedes it."
        )


def _plain_tensors(value: Any) -> Any:
    """Named tuples as dictionaries, tensors on the CPU: what a weights_only load accepts."""
    if isinstance(value, Tensor):
        return value.detach().cpu()
    if hasattr(value, "_asdict"):
        return {name: _plain_tensors(entry) for name, entry in value._asdict().items()}
    if isinstance(value, dict):
        return {str(name): _plain_tensors(entry) for name, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_plain_tensors(entry) for entry in value]
    return value if isinstance(value, int | float | str | bool | None) else repr(value)
