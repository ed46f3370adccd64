"""`progress.json` grows from 0 to 1 with whatever limit will be reached first, and guesses the time left."""

import json
from pathlib import Path
from typing import Any

import pytest
from lightning import Trainer
from lightning.pytorch.demos.boring_classes import BoringModel

from benchmarks.loggers.progress import ProgressFile
from lightning_modules.callbacks.budget import Budget


class Seen(ProgressFile):
    """Remembers all that was written."""

    def __init__(self) -> None:
        super().__init__(seconds=0)
        self.words: list[dict[str, Any]] = []

    def _write(self, trainer: Any, pl_module: Any, *, done: bool = False) -> None:
        super()._write(trainer, pl_module, done=done)
        self.words.append(json.loads((Path(trainer.default_root_dir) / "progress.json").read_text()))


@pytest.mark.parametrize(
    ("limits", "budget", "expected"),
    [
        ({"max_epochs": 2}, {}, [0, 0.25, 0.5, 0.75, 1]),
        ({"max_epochs": 10, "max_steps": 4}, {}, [0, 0.25, 0.5, 0.75, 1]),
        ({"max_epochs": 2}, {"generator_updates": 2}, [0, 0.5, 1]),
        ({"max_epochs": -1, "max_time": {"seconds": 0.5}}, {}, [None, None]),
    ],
)
def test_the_share_of_the_nearest_limit(
    limits: dict[str, Any], budget: dict[str, Any], expected: list[float | None], tmp_path: Path
) -> None:
    seen = Seen()
    trainer = Trainer(
        default_root_dir=tmp_path,
        callbacks=[seen, Budget(**budget)],
        limit_train_batches=2,
        limit_val_batches=0,
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        **limits,
    )
    trainer.fit(BoringModel())
    assert [word["fraction"] for word in seen.words[: len(expected)]] == expected
    last = seen.words[-1]
    assert (last["fraction"], last["seconds_left"], last["updates"]) == (1, 0, trainer.global_step)
    assert seen.words[0]["seconds_left"] is None
    assert all(word["seconds_left"] >= 0 for word in seen.words[1:] if word["fraction"] is not None)
