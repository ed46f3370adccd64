"""One metric's failure is n/a with its reason, on every process alike, and the other metrics are measured."""

import logging
from pathlib import Path

import pytest
import torch.distributed as dist
from lightning import Trainer
from lightning.pytorch.loggers import CSVLogger
from torch import Tensor

from baselines.repeat_last import RepeatLast
from benchmarks.evaluation.callback import Evaluation
from benchmarks.evaluation.tasks import Predict
from benchmarks.metrics.base import ClipMetric
from benchmarks.metrics.reference import MSE
from benchmarks.records.parts import Measurement
from benchmarks.records.record import Record, read_record
from datamodules.bouncing_balls import BouncingBalls
from datamodules.clip import Sample
from datamodules.sampling import Regular


def on(rank: int) -> bool:
    """Whether this is that process; the only one there is counts as each."""
    return not dist.is_initialized() or dist.get_rank() == rank


class FailsAtUpdate(MSE):
    name = "fails_at_update"

    def measure(self, sample: Sample, target: Sample) -> Tensor:
        if on(1):
            raise RuntimeError("a matrix is singular\nand more")
        return super().measure(sample, target)


class FailsAtTheEnd(MSE):
    name = "fails_at_the_end"

    def measurement(self) -> Measurement:
        found = super().measurement()
        if on(1):
            raise ZeroDivisionError("division by zero")
        return found


class OtherWidths(MSE):
    name = "other_widths"

    def measure(self, sample: Sample, target: Sample) -> Tensor:
        found = super().measure(sample, target)
        return found[:, :1] if dist.is_initialized() and dist.get_rank() == 1 else found


def record_of(metrics: list[ClipMetric], folder: Path, devices: int = 1) -> Record:
    data = BouncingBalls(train_clips=6, val_clips=4, test_clips=5, length=8, size=16, batch_size=2,
                         sampling=Regular(num_frames=7))  # fmt: skip
    trainer = Trainer(
        accelerator="cpu",
        devices=devices,
        strategy="ddp_fork" if devices > 1 else "auto",
        logger=CSVLogger(folder, name="", version=""),
        callbacks=[Evaluation([Predict(context=3)], metrics, gallery=0)],
        use_distributed_sampler=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        enable_checkpointing=False,
        default_root_dir=folder,
    )
    trainer.test(RepeatLast(), datamodule=data, verbose=False)
    return read_record(folder / "record.json")


def test_one_metrics_failure_is_its_own(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.ERROR):
        found = record_of([MSE(), FailsAtUpdate(), FailsAtTheEnd()], tmp_path).metrics
    assert found["mse"].value is not None
    assert found["fails_at_update"].reason == (
        "it failed with RuntimeError: a matrix is singular (the traceback is in the log)"
    )
    assert "ZeroDivisionError: division by zero" in str(found["fails_at_the_end"].reason)
    assert {record.exc_info[0] for record in caplog.records if record.exc_info} == {RuntimeError, ZeroDivisionError}


def test_what_a_user_can_put_right_is_the_reason(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Frames that a metric cannot take are no bug: the reason is the sentence, without a traceback."""
    from benchmarks.metrics.features.extractor import UntrainedFeatures
    from benchmarks.metrics.fvd import FrechetVideoDistance

    fvd = FrechetVideoDistance(UntrainedFeatures(), frames=3)
    found = record_of([MSE(), fvd], tmp_path).metrics
    assert found["mse"].value is not None
    assert "compares clips of 3 frames; these have 4" in str(found[fvd.name].reason)
    assert not [record for record in caplog.records if record.exc_info]


def test_a_failure_of_one_process_is_that_of_all(tmp_path: Path) -> None:
    found = record_of([MSE(), FailsAtUpdate(), FailsAtTheEnd(), OtherWidths()], tmp_path, devices=2).metrics
    assert found["mse"].value is not None
    assert "RuntimeError: a matrix is singular" in str(found["fails_at_update"].reason)
    assert "ZeroDivisionError" in str(found["fails_at_the_end"].reason)
    assert "its rows differ between processes: 1 x torch.float64 and 4 x torch.float64" in str(
        found["other_widths"].reason
    )
