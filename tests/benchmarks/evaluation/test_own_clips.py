"""As many generated clips as are asked for, against a reference of any size: names, protocol, seeds, numbers."""

from pathlib import Path
from typing import Any

import pytest
import torch
from lightning import Trainer
from lightning.pytorch.loggers import CSVLogger
from torch import Tensor
from torch.testing import assert_close

from benchmarks.evaluation.callback import Evaluation
from benchmarks.evaluation.tasks import Generate
from benchmarks.metrics.base import ClipMetric
from benchmarks.metrics.features.extractor import UntrainedFeatures
from benchmarks.metrics.fid import FrechetInceptionDistance
from benchmarks.metrics.frechet import frechet_distance
from benchmarks.metrics.fvd import FrechetVideoDistance
from benchmarks.metrics.inception import InceptionScore
from benchmarks.metrics.mmd import MaximumMeanDiscrepancy
from benchmarks.metrics.over_fresh_samples import OverFreshSamples
from benchmarks.metrics.reference import MSE
from benchmarks.records.record import Record, read_record
from benchmarks.utils.errors import UserError
from datamodules.bouncing_balls import BouncingBalls
from datamodules.clip import VideoClip
from datamodules.sampling import Regular
from lightning_modules.noise import normal
from lightning_modules.system import System

REFERENCE, FRAMES = 23, 4


class Noise(System):
    """Frames that depend on the seed alone; it notes the seeds that it is asked with."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[Tensor] = []

    def generate(self, times: Tensor, *, seeds: Tensor, labels: Tensor | None = None) -> VideoClip:
        self.asked.append(seeds)
        frames = normal(seeds, len(seeds), (times.shape[1], 1, 16, 16), stream="test")
        return VideoClip(frames.mul(0.3).clamp(-1, 1), times)


def data(batch_size: int = 4) -> BouncingBalls:
    counts = {"train_clips": 2, "val_clips": 3, "test_clips": REFERENCE}
    return BouncingBalls(**counts, length=8, size=16, batch_size=batch_size, sampling=Regular(num_frames=FRAMES))


def metrics(clips: int) -> list[ClipMetric]:
    made = {"frames": FRAMES, "clips": clips}
    seen = UntrainedFeatures()
    return [
        FrechetVideoDistance(seen, reference_clips="all", **made),
        FrechetVideoDistance(seen, reference_clips=7, **made),
        FrechetInceptionDistance(seen, reference_clips="all", cap=16, **made),
        MaximumMeanDiscrepancy(seen, reference_clips="all", **made),
        InceptionScore(seen, splits=1, **made),
        OverFreshSamples(InceptionScore(seen, splits=1, **made), batches=2),
    ]


def record_of(
    clips: int, folder: Path, system: System | None = None, devices: int = 1, batch_size: int = 4, **options: Any
) -> Record:
    trainer = Trainer(
        accelerator="cpu",
        devices=devices,
        strategy="ddp_fork" if devices > 1 else "auto",
        logger=CSVLogger(folder, name="", version=""),
        callbacks=[Evaluation([Generate(clips=clips)], metrics(clips), gallery=0, num_samples=2, **options)],
        use_distributed_sampler=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        enable_checkpointing=False,
        default_root_dir=folder,
    )
    trainer.test(system or Noise(), datamodule=data(batch_size), verbose=False)
    return read_record(folder / "record.json")


@pytest.mark.parametrize("clips", [3, 30], ids=["fewer", "more"])
def test_the_counts_are_independent_and_stand_in_name_and_protocol(clips: int, tmp_path: Path) -> None:
    system = Noise()
    record = record_of(clips, tmp_path, system)
    assert (record.protocol.settings["n"], record.protocol.settings["n_reference"]) == (clips, REFERENCE)
    assert record.protocol.id.startswith(f"generate-0to{FRAMES}-{clips}vs{REFERENCE}-gen2-")
    asked = torch.cat(system.asked)
    assert len(asked) == len(asked.unique()) == 2 * clips
    first = asked[asked < 2**48].sort().values  # the first sample of each clip
    network, times = UntrainedFeatures(), torch.arange(FRAMES) / 25.0
    ours = network(system.generate(times.expand(clips, -1), seeds=first).frames)
    loaded = data()
    loaded.prepare_data()
    loaded.setup("test")
    batches = [loaded.on_after_batch_transfer(batch, 0) for batch in loaded.test_dataloader()]
    real = network(torch.cat([batch.clip.frames for batch in batches]))
    found = record.metrics
    name = f"no_fvd{clips}vsall_{FRAMES}f_untrained_seed0"
    assert found[name].value == pytest.approx(frechet_distance(ours, real), rel=1e-5)
    assert found[name].n == clips
    assert {entry.value is not None for entry in found.values()} == {True}
    assert f"no_fvd{clips}vs7_{FRAMES}f_untrained_seed0" in found
    if clips >= 20:  # of which an interval needs as many sources
        low, high = found[name].interval or (0.0, 0.0)
        assert low < found[name].value < high


def test_processes_and_batches_do_not_matter(tmp_path: Path) -> None:
    one, two, uneven = record_of(21, tmp_path / "1"), record_of(21, tmp_path / "2", devices=2), record_of(
        21, tmp_path / "5", batch_size=5
    )  # fmt: skip
    assert one.protocol == two.protocol == uneven.protocol
    for name, entry in one.metrics.items():
        # features of one clip depend on its batch by rounding in float32
        assert two.metrics[name].value == pytest.approx(entry.value, rel=1e-4), name
        assert uneven.metrics[name].value == pytest.approx(entry.value, rel=1e-4), name


def test_a_validation_has_other_seeds_than_the_test(tmp_path: Path) -> None:
    """A checkpoint that is chosen by its score on some seeds is reported on fresh ones."""
    asked = {}
    for stage in ("validate", "test"):
        system = Noise()
        evaluation = Evaluation([Generate(clips=9)], [metrics(9)[0]], gallery=0)
        trainer = Trainer(accelerator="cpu", logger=False, callbacks=[evaluation], default_root_dir=tmp_path,
                          enable_progress_bar=False, enable_checkpointing=False)  # fmt: skip
        getattr(trainer, stage)(system, datamodule=data(), verbose=False)
        asked[stage] = set(torch.cat(system.asked).tolist())
    assert len(asked["validate"]) == len(asked["test"]) == 9
    assert not asked["validate"] & asked["test"]


@pytest.mark.parametrize(
    ("metric", "message"),
    [
        (MSE(), "'mse' compares each clip with its target, but the task generates 9 clips of its own"),
        (FrechetVideoDistance(UntrainedFeatures(), frames=4, clips=9), "`clips: 9` and `reference_clips: all`"),
    ],
)
def test_a_metric_of_pairs_is_refused(metric: ClipMetric, message: str, tmp_path: Path) -> None:
    evaluation = Evaluation([Generate(clips=9)], [metric])
    trainer = Trainer(accelerator="cpu", logger=False, callbacks=[evaluation], default_root_dir=tmp_path,
                      enable_progress_bar=False, enable_checkpointing=False)  # fmt: skip
    with pytest.raises(UserError, match=message):
        trainer.test(Noise(), datamodule=data(), verbose=False)


def test_reference_clips_need_two_sides_and_a_number_of_clips() -> None:
    with pytest.raises(UserError, match="got clips=None and reference_clips=all"):
        FrechetVideoDistance(UntrainedFeatures(), reference_clips="all")
    with pytest.raises(UserError, match="looks at the prediction"):
        InceptionScore(UntrainedFeatures(), clips=40, reference_clips="all")


def test_too_few_are_not_available(tmp_path: Path) -> None:
    metric = FrechetVideoDistance(UntrainedFeatures(), frames=FRAMES, clips=9, reference_clips=REFERENCE + 1)
    evaluation = Evaluation([Generate(clips=9)], [metric], gallery=0, folder=str(tmp_path))
    trainer = Trainer(accelerator="cpu", logger=False, callbacks=[evaluation], default_root_dir=tmp_path,
                      enable_progress_bar=False, enable_checkpointing=False)  # fmt: skip
    with pytest.warns(UserWarning, match="needs 24 reference clips but got 23"):
        trainer.test(Noise(), datamodule=data(), verbose=False)
    assert evaluation.results["generate"][metric.name].value is None


def test_a_system_in_zero_to_one_is_refused(tmp_path: Path) -> None:
    class Unit(Noise):
        def generate(self, times: Tensor, *, seeds: Tensor, labels: Tensor | None = None) -> VideoClip:
            ramp = torch.linspace(0, 1, 16).expand(len(seeds), times.shape[1], 1, 16, 16)
            return VideoClip(ramp.clone(), times)

    assert_close(Unit().generate(torch.zeros(1, 2), seeds=torch.zeros(1)).frames.amax(), torch.tensor(1.0))
    with pytest.raises(UserError, match="prediction reach from 0 to 1, which is the other side's range"):
        record_of(9, tmp_path, Unit())
