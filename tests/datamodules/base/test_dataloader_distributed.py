"""Two processes under Lightning's own strategy: our samplers stay, nothing is read twice, nothing is lost."""

from pathlib import Path

import pytest
import torch
from lightning import LightningModule, Trainer
from torch import Tensor

from datamodules.clip import Batch
from datamodules.sampling import Regular
from support.counting import Counting


class Watcher(LightningModule):
    """Writes down the ids that its process was given."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.folder = folder
        self.weight = torch.nn.Parameter(torch.zeros(()))
        self.seen: dict[str, list[list[int]]] = {"train": [], "val": [], "test": []}

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        self.seen["train"].append(batch.ids.tolist())
        return self.weight * batch.clip.frames.mean()

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        self.seen["val"].append(batch.ids.tolist())

    def test_step(self, batch: Batch, batch_idx: int) -> None:
        self.seen["test"].append(batch.ids.tolist())

    def on_fit_end(self) -> None:
        torch.save(self.seen, self.folder / f"fit-{self.global_rank}.pt")

    def on_test_end(self) -> None:
        torch.save(self.seen, self.folder / f"test-{self.global_rank}.pt")

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), 0.1)


def run(folder: Path, processes: int, batch_size: int) -> list[dict[str, list[list[int]]]]:
    folder.mkdir()
    trainer = Trainer(
        accelerator="cpu",
        devices=processes,
        strategy="ddp_fork" if processes > 1 else "auto",
        max_epochs=2,
        num_sanity_val_steps=0,
        logger=False,
        enable_progress_bar=False,
        enable_checkpointing=False,
        enable_model_summary=False,
        default_root_dir=folder,
    )
    data = Counting(train=11, test=7, sampling=Regular(num_frames=4), batch_size=batch_size, eval_batch_size=2)
    trainer.fit(Watcher(folder), datamodule=data)
    trainer.test(Watcher(folder), datamodule=data, verbose=False)
    seen = []
    for rank in range(processes):
        fitted, tested = (torch.load(folder / f"{stage}-{rank}.pt") for stage in ("fit", "test"))
        seen.append({**fitted, "test": tested["test"]})
    return seen


def test_two_processes_read_what_one_does(tmp_path: Path) -> None:
    (alone,) = run(tmp_path / "one", 1, batch_size=4)
    ours = run(tmp_path / "two", 2, batch_size=2)
    assert [a + b for a, b in zip(ours[0]["train"], ours[1]["train"], strict=True)] == alone["train"]
    for stage, per_epoch in [("val", 2), ("test", 1)]:
        together = sorted(i for rank in ours for batch in rank[stage] for i in batch)
        assert together == sorted(i for batch in alone[stage] for i in batch)
        assert len(set(together)) * per_epoch == len(together)


def test_fewer_clips_than_processes_are_refused_in_all_of_them(monkeypatch: pytest.MonkeyPatch) -> None:
    data = Counting(test=1, sampling=Regular(num_frames=4))
    for rank in range(2):
        monkeypatch.setattr(data, "_rank_and_world_size", lambda rank=rank: (rank, 2))
        with pytest.raises(ValueError, match=r"1 test clips.* 2 processes.*devices=1"):
            data.test_dataloader()
