"""Two processes with half the batch each take the gradients of one process with all of it, for both players."""

from multiprocessing import get_context
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning import Callback, LightningDataModule, Trainer
from torch import Tensor
from torch.multiprocessing import start_processes
from torch.testing import assert_close
from torch.utils.data import DataLoader

from datamodules.clip import Batch, VideoClip
from support import vid_ode_maker

MODES = ("extrapolate", "interpolate")
CLIPS = 4

pytestmark = [
    pytest.mark.filterwarnings("ignore:Found .* in eval mode at the start of training"),
    pytest.mark.filterwarnings("ignore:You defined a `validation_step` but have no `val_dataloader`"),
]


class Share(LightningDataModule):
    """The clips of this process, as one batch."""

    def train_dataloader(self) -> DataLoader[Any]:
        rank, world = self.trainer.global_rank, self.trainer.world_size
        whole = vid_ode_maker.batch(CLIPS, 6)
        clip = VideoClip(*(field[rank::world] for field in whole.clip))
        return DataLoader([Batch(clip, *(field[rank::world] for field in whole[1:5]))], batch_size=None)


class Witness(Callback):
    """Sees that normalisation is in evaluation mode, and what the optimisers are given."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.gradients: dict[str, Tensor] = {}

    def on_train_batch_start(self, trainer: Trainer, system: Any, *_: Any) -> None:
        system.eval()

    def on_before_optimizer_step(self, trainer: Trainer, system: Any, optimizer: torch.optim.Optimizer) -> None:
        moved = {id(parameter) for group in optimizer.param_groups for parameter in group["params"]}
        for name, parameter in system.named_parameters():
            if id(parameter) in moved and parameter.grad is not None:
                self.gradients[name] = parameter.grad.clone()

    def on_train_end(self, trainer: Trainer, system: Any) -> None:
        assert (system.updates, system.generator_updates) == (1, 1)
        torch.save(self.gradients, f"{self.path}-{trainer.world_size}-{trainer.global_rank}.pt")


def _train(_: int, processes: int, folder: str) -> None:
    for mode in MODES:
        trainer = Trainer(
            accelerator="cpu",
            devices=processes,
            strategy="ddp_fork_find_unused_parameters_true" if processes > 1 else "auto",
            precision="64-true",
            max_epochs=1,
            use_distributed_sampler=False,
            callbacks=[Witness(f"{folder}/{mode}")],
            logger=False,
            enable_progress_bar=False,
            enable_checkpointing=False,
            enable_model_summary=False,
            default_root_dir=folder,
        )
        trainer.fit(vid_ode_maker.make(mode, observe=3, frames=6), datamodule=Share())


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The gradients of both modes, from one process and from two, which a fresh process forks."""
    folder = tmp_path_factory.mktemp("gradients")
    get_context("forkserver").set_forkserver_preload(["lightning_modules.vid_ode", "pytest"])
    two = start_processes(_train, args=(2, str(folder)), nprocs=1, join=False, start_method="forkserver")
    _train(0, 1, str(folder))
    while not two.join():
        pass
    return folder


@pytest.mark.parametrize("mode", MODES)
def test_two_processes_take_the_gradients_of_one(mode: str, folder: Path) -> None:
    (alone, first, second) = (torch.load(folder / f"{mode}-{place}.pt") for place in ("1-0", "2-0", "2-1"))
    names = [name for name, _ in vid_ode_maker.make(mode, observe=3, frames=6).named_parameters()]
    missing = set(names) - set(alone)
    assert not missing, missing
    assert {name.partition(".")[0] for name in alone} == {"generator", "critics"}
    for ours in (first, second):
        assert set(ours) == set(alone)
        for name, gradient in alone.items():
            assert gradient.dtype == torch.float64
            close = 1e-6 * float(gradient.abs().max()) + 1e-15
            assert_close(ours[name], gradient, rtol=0, atol=close, msg=lambda text, name=name: f"{name}: {text}")
    assert all(first[name].equal(second[name]) for name in first)
