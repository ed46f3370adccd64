"""Systems that learn in no time, a team of callbacks around them, and what that leaves behind."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from lightning import Callback, Trainer
from lightning.pytorch.loggers import CSVLogger
from torch import Tensor, nn

from benchmarks.evaluation.callback import Evaluation
from benchmarks.evaluation.tasks import Generate
from datamodules.bouncing_balls import BouncingBalls
from datamodules.clip import Batch, VideoClip
from datamodules.sampling import Regular
from lightning_modules.adversarial import AdversarialSystem, Losses
from lightning_modules.callbacks.budget import Budget, GeneratorStepLogger
from lightning_modules.callbacks.checkpoint import Checkpoints
from lightning_modules.callbacks.nan_guard import NaNGuard
from lightning_modules.callbacks.rng_state import RandomState
from lightning_modules.callbacks.weight_averaging import EMAWeights
from lightning_modules.system import System

BATCHES = 5


def data() -> BouncingBalls:
    return BouncingBalls(
        train_clips=2 * BATCHES + 1,
        val_clips=2,
        test_clips=2,
        length=4,
        size=8,
        sampling=Regular(num_frames=3),
        batch_size=2,
    )


class TinyGAN(AdversarialSystem):
    """Draws from global streams: torch (also in dropout) and numpy. (Type checks draw from Python's while testing.)"""

    def __init__(self, poison: int | None = None, **options: Any) -> None:
        generator = nn.Sequential(nn.Linear(6, 8), nn.BatchNorm1d(8), nn.Dropout(0.3), nn.Linear(8, 64))
        super().__init__(
            generator,
            {"image": nn.Linear(64, 1)},
            generator_optimizer=lambda p: torch.optim.Adam(p, lr=0.01),
            critic_optimizer=lambda p: torch.optim.Adam(p, lr=0.01),
            schedule=lambda o: torch.optim.lr_scheduler.ExponentialLR(o, 0.7),
            **options,
        )
        self.poison = poison

    def generate_fakes(self, batch: Batch) -> Tensor:
        noise = torch.randn(len(batch.ids), 6, device=self.device)
        return self.generator(noise + np.random.rand())  # noqa: NPY002

    def critic_losses(self, batch: Batch, fakes: Tensor) -> Losses:
        real = self.critics["image"](batch.clip.frames[:, 0].flatten(1))
        return {"real": (real - 1).square().mean(), "fake": self.critics["image"](fakes).square().mean()}

    def generator_losses(self, batch: Batch, fakes: Tensor) -> Losses:
        bad = torch.tensor(float("nan")) if self.generator_updates == self.poison else 0.0
        return {"fool": (self.critics["image"](fakes) - 1).square().mean(), "size": fakes.square().mean() * 0.01 + bad}

    def generate(self, times: Tensor, *, seeds: Tensor, labels: Tensor | None = None) -> VideoClip:
        frames = self.generator(torch.ones(len(seeds), 6)).tanh().reshape(-1, 1, 1, 8, 8)
        return VideoClip(frames.expand(-1, times.shape[1], -1, -1, -1), times)


class Plain(System):
    """One optimiser, automatic optimisation, and no counter of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.generator = nn.Sequential(nn.Linear(64, 8), nn.Dropout(0.3), nn.Linear(8, 64))

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        loss = (self.generator(batch.clip.frames[:, 0].flatten(1)) - batch.clip.frames[:, 1].flatten(1)).square().mean()
        self.log("train/loss", loss)
        return loss

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.Adam(self.parameters(), lr=0.01)


def trainer_of(folder: Path, *callbacks: Callback, **options: Any) -> Trainer:
    return Trainer(
        **{"accelerator": "cpu", "devices": 1, "max_epochs": 3, **options},
        logger=CSVLogger(folder, name="", version=""),
        callbacks=list(callbacks),
        use_distributed_sampler=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        log_every_n_steps=1,
        default_root_dir=folder,
    )


def team(folder: Path, every: int | None = 1) -> list[Callback]:
    return [
        RandomState(),
        EMAWeights(0.8),
        Budget(),
        NaNGuard(),
        GeneratorStepLogger(),
        Evaluation([Generate()], [], gallery=0),
        Checkpoints(every_n_updates=every, every_n_seconds=None, dirpath=str(folder / "checkpoints")),
    ]


def contents(folder: Path) -> dict[str, Any]:
    return torch.load(folder / "checkpoints" / "last.ckpt", weights_only=True)


def flat(value: Any, name: str = "") -> dict[str, Any]:
    entries = (
        value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list | tuple) else None
    )
    if entries is None:
        return {name: value}
    return {key: leaf for label, entry in entries for key, leaf in flat(entry, f"{name}/{label}").items()}


def assert_same_state(ours: dict[str, Any], theirs: dict[str, Any]) -> None:
    """Weights, averages, optimisers, schedules, counters and random streams, bit for bit."""
    for part in ("state_dict", "raw_weights", "optimizer_states", "lr_schedulers", "random_states", "updates", "epoch"):
        mine, other = flat(ours.get(part), part), flat(theirs.get(part), part)
        mine, other = ({name: x for name, x in entries.items() if "/python/" not in name} for entries in (mine, other))
        assert mine.keys() == other.keys()
        for name in mine:
            same = torch.equal(mine[name], other[name]) if isinstance(mine[name], Tensor) else mine[name] == other[name]
            assert same, name
