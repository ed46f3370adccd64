"""Interrupted and resumed equals straight: ids, times, pixels and augmentation draws, bit for bit."""

from pathlib import Path
from typing import Any

import pytest
import torch
from lightning import Callback, LightningModule, Trainer, seed_everything
from lightning.pytorch.callbacks import ModelCheckpoint

from datamodules.augmentation import Augmentation
from datamodules.clip import Batch
from datamodules.sampling import Irregular
from support.counting import Counting


class Recorder(LightningModule):
    """Learns one number and remembers every batch it was given."""

    def __init__(self) -> None:
        super().__init__()
        self.automatic_optimization = False
        self.weight = torch.nn.Parameter(torch.zeros(()))
        self.seen: list[Any] = []
        self.tested: list[int] = []

    def training_step(self, batch: Batch, batch_idx: int) -> None:
        optimizer = self.optimizers()
        optimizer.zero_grad()
        loss = (self.weight - batch.clip.frames.mean()) ** 2
        self.manual_backward(loss)
        optimizer.step()
        self.seen.append((self.current_epoch, batch_idx, batch.ids, batch.clip.times, batch.clip.frames))

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        self.tested += batch.ids.tolist()
        frames = batch.clip.frames
        assert torch.equal(frames, frames[..., :1, :1].expand_as(frames)), "evaluation clips must not be augmented"

    test_step = validation_step

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), 0.1)


class StopAfter(Callback):
    def __init__(self, batches: int) -> None:
        self.left = batches

    def on_train_batch_end(self, trainer: Trainer, *args: Any) -> None:
        self.left -= 1
        if self.left == 0:
            trainer.save_checkpoint(self.path)
            raise KeyboardInterrupt


def data(**changes: Any) -> Counting:
    options = {"sampling": Irregular(window=8, inputs=2, outputs=2), "batch_size": 3, "augmentation": Augmentation()}
    return Counting(**options | changes)


def trainer(folder: Path, **options: Any) -> Trainer:
    quiet = {"logger": False, "enable_progress_bar": False, "enable_model_summary": False, "accelerator": "cpu"}
    return Trainer(default_root_dir=folder, **quiet | {"max_epochs": 3} | options)


def fit(
    folder: Path, ckpt_path: str | None = None, data_options: dict[str, Any] | None = None, **options: Any
) -> Recorder:
    system = Recorder()
    trainer(folder, **options).fit(system, datamodule=data(**data_options or {}), ckpt_path=ckpt_path)
    return system


def same(ours: list[Any], theirs: list[Any]) -> None:
    assert [x[:2] for x in ours] == [x[:2] for x in theirs]
    for a, b in zip(ours, theirs, strict=True):
        assert all(torch.equal(x, y) for x, y in zip(a[2:], b[2:], strict=True))


@pytest.mark.parametrize("moment", [1, 4, 5, 6, 9])
def test_a_run_broken_off_after_any_batch_goes_on_as_if_it_had_not_been(tmp_path: Path, moment: int) -> None:
    straight = fit(tmp_path / "straight", enable_checkpointing=False)
    stop = StopAfter(moment)
    stop.path = str(tmp_path / "stopped.ckpt")
    with pytest.raises((KeyboardInterrupt, SystemExit)):
        fit(tmp_path / "broken", callbacks=[stop], enable_checkpointing=False)
    resumed = fit(tmp_path / "resumed", ckpt_path=stop.path, enable_checkpointing=False)
    same(resumed.seen, straight.seen[moment:])


@pytest.mark.parametrize(
    "checkpoints",
    [
        {"every_n_epochs": 1, "save_on_train_epoch_end": True},
        {"every_n_epochs": 1, "save_on_train_epoch_end": False},
        {"every_n_train_steps": 2},
    ],
    ids=["epoch end", "validation end", "every two steps"],
)
def test_every_kind_of_checkpoint_resumes(tmp_path: Path, checkpoints: dict[str, Any]) -> None:
    saver = ModelCheckpoint(dirpath=tmp_path, save_top_k=-1, **checkpoints)
    straight = fit(tmp_path, callbacks=[saver])
    assert len(straight.seen) == 9
    files = sorted(tmp_path.glob("*.ckpt"))
    assert files
    for path in files:
        steps = torch.load(path, weights_only=True)["global_step"]
        resumed = fit(tmp_path, ckpt_path=str(path), enable_checkpointing=False)
        same(resumed.seen, straight.seen[steps:])


def test_workers_that_read_ahead_do_not_move_the_place(tmp_path: Path) -> None:
    straight = fit(tmp_path, enable_checkpointing=False)
    stop = StopAfter(4)
    stop.path = str(tmp_path / "stopped.ckpt")
    with pytest.raises((KeyboardInterrupt, SystemExit)):
        fit(tmp_path, callbacks=[stop], enable_checkpointing=False, data_options={"num_workers": 1})
    resumed = fit(tmp_path, ckpt_path=stop.path, enable_checkpointing=False, data_options={"num_workers": 1})
    same(resumed.seen, straight.seen[4:])


def test_epochs_differ_in_order_frames_and_augmentation(tmp_path: Path) -> None:
    seen = fit(tmp_path, enable_checkpointing=False).seen
    epochs = [torch.cat([x[2] for x in seen if x[0] == epoch]) for epoch in range(3)]
    assert not torch.equal(epochs[0], epochs[1])
    # turned clips have dark corners
    assert all((x[4][..., 0, 0] < x[4][..., 3, 4]).any() for x in seen)
    assert all(len(ids.unique()) == 9 for ids in epochs)


def test_overfitting_sees_the_same_batches_in_every_epoch(tmp_path: Path) -> None:
    seen = fit(tmp_path, enable_checkpointing=False, overfit_batches=2).seen
    assert len(seen) == 6
    assert torch.equal(seen[0][2], seen[2][2])
    assert torch.equal(seen[0][4], seen[2][4])


def test_evaluation_sees_every_clip_once_also_after_a_sanity_check(tmp_path: Path) -> None:
    system = Recorder()
    runner = trainer(tmp_path, enable_checkpointing=False, max_epochs=1, num_sanity_val_steps=2)
    module = data(eval_batch_size=1)
    runner.fit(system, datamodule=module)
    assert [i >> 24 for i in system.tested] == [2**22 + i for i in [0, 1, 0, 1, 2]]
    system.tested.clear()
    runner.test(system, datamodule=module, verbose=False)
    assert [i >> 24 for i in system.tested] == [2 * 2**22 + i for i in range(7)]


@pytest.mark.parametrize("option", [{}, {"seed": 1}])
def test_the_seed_of_the_run_moves_training_and_nothing_else(tmp_path: Path, option: dict[str, int]) -> None:
    """Order, frames and augmentation differ from seed to seed; clips, splits and what is evaluated do not."""
    runs, tested = [], []
    for seed in (0, 1, 2):
        module = data(**option)
        seed_everything(seed, verbose=False)
        system = Recorder()
        runner = trainer(tmp_path, enable_checkpointing=False, max_epochs=1)
        runner.fit(system, datamodule=module)
        runs.append(system.seen)
        batches = [*module.test_dataloader(), *module.val_dataloader(), *module.predict_dataloader()]
        tested.append((batches, [module.data_id(split) for split in ("train", "val", "test")]))
        assert module.train_seed == option.get("seed", seed)
    assert tested[0][1] == tested[1][1] == tested[2][1]
    for batches, _ in tested[1:]:
        for ours, theirs in zip(batches, tested[0][0], strict=True):
            assert torch.equal(ours.ids, theirs.ids)
            assert torch.equal(ours.clip.frames, theirs.clip.frames)
    if option:  # a seed of the data's own is fixed
        same(runs[1], runs[0])
        return
    for number in (2, 3, 4):  # ids, times, pixels
        first, second, third = (torch.cat([batch[number].flatten() for batch in seen]) for seen in runs)
        assert not torch.equal(first, second)
        assert not torch.equal(second, third)
        assert not torch.equal(first, third)


def test_a_run_is_resumed_with_its_own_seed_whatever_the_new_process_has(tmp_path: Path) -> None:
    seed_everything(3, verbose=False)
    straight = fit(tmp_path, enable_checkpointing=False)
    seed_everything(3, verbose=False)
    stop = StopAfter(4)
    stop.path = str(tmp_path / "stopped.ckpt")
    with pytest.raises((KeyboardInterrupt, SystemExit)):
        fit(tmp_path, callbacks=[stop], enable_checkpointing=False)
    seed_everything(8, verbose=False)
    resumed = fit(tmp_path, ckpt_path=stop.path, enable_checkpointing=False)
    same(resumed.seen, straight.seen[4:])
    assert not torch.equal(fit(tmp_path, enable_checkpointing=False).seen[0][2], straight.seen[0][2])
