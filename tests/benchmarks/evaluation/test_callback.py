"""Evaluation: queries, measurements, logs and records, and random streams that are left as found."""

import itertools
import json
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from jaxtyping import Float, Int
from lightning import LightningDataModule, Trainer, seed_everything
from lightning.pytorch.loggers import CSVLogger
from torch import Tensor
from torch.testing import assert_close
from torch.utils.data import DataLoader, Dataset

from baselines.linear_blend import LinearBlend
from baselines.mean_frame import MeanFrame
from baselines.repeat_last import RepeatLast
from benchmarks.evaluation.callback import Evaluation
from benchmarks.evaluation.tasks import Generate, Interpolate, Predict
from benchmarks.metrics.base import ClipMetric
from benchmarks.metrics.diversity import Diversity
from benchmarks.metrics.features.extractor import UntrainedFeatures
from benchmarks.metrics.fvd import FrechetVideoDistance
from benchmarks.metrics.over_fresh_samples import OverFreshSamples
from benchmarks.metrics.reference import MSE, SSIM
from benchmarks.pretrained.registry import WeightsUnavailable
from benchmarks.records.parts import Measurement, Throughput
from benchmarks.records.record import read_record
from datamodules.bouncing_balls import BouncingBalls
from datamodules.clip import Batch, KeypointClip, Sample, Trajectory, VideoClip
from datamodules.sampling import Regular
from datamodules.storage.video import read_video
from lightning_modules.noise import normal
from lightning_modules.system import System


class SquaredError(ClipMetric):
    """Written here, so that a test of the callback does not stand on the metrics it serves."""

    higher_is_better = False
    total: Tensor
    count: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.add_state("total", torch.zeros((), dtype=torch.float64), dist_reduce_fx="sum")
        self.add_state("count", torch.zeros((), dtype=torch.int64), dist_reduce_fx="sum")

    @property
    def name(self) -> str:
        return "squared_error"

    def update(self, sample: Sample, target: Sample, ids: Int[Tensor, " batch"]) -> None:
        self.total += (sample[0] - target[0]).double().square().mean(dim=(1, 2, 3, 4)).sum()
        self.count += len(ids)

    def compute(self) -> Float[Tensor, ""]:
        return self.total / self.count

    def measurement(self) -> Measurement:
        return self._measured(float(self.compute()), int(self.count))


class NeedsWeights(SquaredError):
    @property
    def name(self) -> str:
        return "needs_weights"

    def update(self, sample: Sample, target: Sample, ids: Int[Tensor, " batch"]) -> None:
        raise WeightsUnavailable("the weights are on another planet")


class NeedsKeypoints(SquaredError):
    accepts = (VideoClip, KeypointClip)


class NeedsWeightsAtOnce(SquaredError):
    @property
    def name(self) -> str:
        return "needs_weights_at_once"

    @property
    def protocol(self) -> dict[str, str | float]:
        return {"extractor": "a network", "sha256": "0" * 64}

    def prepare(self) -> None:
        raise WeightsUnavailable("the weights are on Mars")


class NotANumber(SquaredError):
    @property
    def name(self) -> str:
        return "not_a_number"

    def compute(self) -> Float[Tensor, ""]:
        return torch.tensor(float("nan"))


class Clips(Dataset[VideoClip]):
    def __init__(self, count: int) -> None:
        self.frames = torch.rand(count, 7, 1, 8, 8, generator=torch.Generator().manual_seed(0)) * 2 - 1

    def __len__(self) -> int:
        return len(self.frames)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        return self.frames[index], index


def collate(samples: list[tuple[Tensor, int]]) -> Batch:
    frames = torch.stack([frame for frame, _ in samples])
    times = (torch.arange(7) / 25.0).expand(len(frames), -1)
    present = torch.ones(frames.shape[:2], dtype=torch.bool)
    ids = torch.tensor([index for _, index in samples])
    return Batch(VideoClip(frames, times), ids, ids, torch.full_like(ids, -1), present)


class TinyData(LightningDataModule):
    def __init__(self, count: int = 5) -> None:
        super().__init__()
        self.clips = Clips(count)

    def test_dataloader(self) -> DataLoader[Batch]:
        return DataLoader(self.clips, batch_size=2, collate_fn=collate, generator=torch.Generator())

    train_dataloader = val_dataloader = test_dataloader

    def data_id(self, split: str) -> str:
        return f"tiny-8px-1ch-{split}-00000000"


def evaluate(system: System, evaluation: Evaluation, folder: Path, stage: str = "test", **options: Any) -> Trainer:
    trainer = Trainer(
        accelerator="cpu",
        devices=1,
        logger=CSVLogger(folder, name="", version=""),
        callbacks=[evaluation],
        enable_progress_bar=False,
        enable_model_summary=False,
        enable_checkpointing=False,
        **options,
    )
    getattr(trainer, stage)(system, datamodule=TinyData())
    return trainer


def test_the_number_is_the_mean_over_clips_and_lands_in_log_results_and_record(tmp_path: Path) -> None:
    evaluation = Evaluation([Predict(context=3)], [SquaredError()], gallery=0, table="demo", row="repeat last")
    trainer = evaluate(RepeatLast(), evaluation, tmp_path)
    frames = TinyData().clips.frames
    theirs = (frames[:, 2:3] - frames[:, 3:]).square().mean()
    assert_close(trainer.callback_metrics["test/predict/squared_error"], theirs)
    ours = evaluation.results["predict"]["squared_error"]
    assert (ours.n, ours.higher_is_better) == (5, False)
    record = read_record(tmp_path / "record.json")
    assert evaluation.records == [tmp_path / "record.json"]
    assert record.metrics["squared_error"] == ours
    assert (record.table, record.row, record.data, record.split) == (
        "demo",
        "repeat last",
        TinyData().data_id("test"),
        "test",
    )
    assert record.protocol.id.startswith("predict-3to4-")
    assert (
        record.protocol.settings | {"n": 5, "fps": 25, "shape": [1, 8, 8], "context_frames": 3, "frames": 7}
        == record.protocol.settings
    )
    assert record.model["class_path"] == "baselines.repeat_last.RepeatLast"


def test_an_unsupported_task_and_a_metric_without_weights_are_not_available_with_reasons(tmp_path: Path) -> None:
    evaluation = Evaluation(
        [Predict(context=3), Interpolate(stride=2), Generate()],
        [SquaredError(), NeedsWeights(), NotANumber(), NeedsWeightsAtOnce()],
        gallery=0,
    )
    trainer = evaluate(RepeatLast(), evaluation, tmp_path)
    predict, interpolate = evaluation.results["predict"], evaluation.results["interpolate"]
    assert predict["squared_error"].value is not None
    assert predict["needs_weights"].reason == "the weights are on another planet"
    assert predict["needs_weights_at_once"].reason == "the weights are on Mars"
    assert read_record(tmp_path / "record-predict.json").protocol.settings["metrics"] == {
        "needs_weights_at_once": NeedsWeightsAtOnce().protocol
    }
    assert "not finite" in str(predict["not_a_number"].reason)
    assert "RepeatLast does not implement" in str(interpolate["squared_error"].reason)
    assert [name for name in trainer.callback_metrics if "/" in name] == ["test/predict/squared_error"]
    assert sorted(path.name for path in tmp_path.glob("record*.json")) == ["record-predict.json"]


def test_tasks_of_one_name_are_told_apart_by_their_settings(tmp_path: Path) -> None:
    evaluation = Evaluation([Predict(context=2), Predict(context=3)], [SquaredError()], gallery=0)
    evaluate(RepeatLast(), evaluation, tmp_path)
    assert list(evaluation.results) == ["predict-context2", "predict-context3"]
    with pytest.raises(ValueError, match="given twice"):
        Evaluation([Predict(context=2), Predict(context=2)])


def test_several_samples_have_seeds_of_their_own_and_count_each_clip_once(tmp_path: Path) -> None:
    seen_seeds: list[Tensor] = []

    class NoisyLast(RepeatLast):
        stochastic = True

        def predict(self, observed: VideoClip, times: Tensor, *, seeds: Tensor, **options: Any) -> VideoClip:
            seen_seeds.append(seeds)
            prediction = super().predict(observed, times, **options)
            # not torch.Generator().manual_seed(seed): on a CPU it keeps the low 32 bits, in which these seeds agree
            noise = normal(seeds, len(seeds), prediction.frames.shape[1:], stream="test")
            return prediction._replace(frames=(prediction.frames + 0.2 * noise).clamp(-1, 1))

    def evaluation(**settings: Any) -> Evaluation:
        metrics = [MSE(), FrechetVideoDistance(UntrainedFeatures(), frames=4), Diversity(UntrainedFeatures(), frames=4)]
        return Evaluation([Predict(context=3)], metrics, gallery=0, **settings)

    three = evaluation(num_samples=3, seed=1)
    evaluate(NoisyLast(), three, tmp_path / "three")
    assert len(torch.cat(seen_seeds).unique()) == len(torch.cat(seen_seeds)) == 15
    assert read_record(tmp_path / "three/record.json").protocol.settings["num_samples"] == 3
    results = three.results["predict"]
    assert {entry.n for entry in results.values()} == {5}
    each = [evaluation(seed=seed) for seed in (3, 4, 5)]
    for single in each:
        evaluate(NoisyLast(), single, tmp_path / "single")
    singles = [single.results["predict"] for single in each]
    mse, fvd, diversity = results
    assert results[mse].value == pytest.approx(np.mean([single[mse].value for single in singles]))
    assert results[fvd].value == pytest.approx(singles[0][fvd].value)  # a distance of sets takes the first sample
    assert results[diversity].value is not None
    assert results[diversity].value > 1e-4  # far above rounding, about 1e-16
    same = evaluation(num_samples=3)
    evaluate(RepeatLast(), same, tmp_path / "same")
    assert same.results["predict"][diversity].value == pytest.approx(0, abs=1e-6)
    assert "not finite" in str(singles[0][diversity].reason)  # one sample has no diversity
    with pytest.raises(ValueError, match="must not exceed 32768"):
        Evaluation(seed=400, num_samples=100)


def test_a_deterministic_system_is_asked_once_for_what_all_samples_would_be(tmp_path: Path) -> None:
    asked: list[int] = []

    class Last(RepeatLast):
        def predict(self, observed: VideoClip, times: Tensor, **options: Any) -> VideoClip:
            asked.append(len(times))
            return super().predict(observed, times, **options)

    class Seeded(Last):
        """The same answers from a system that does not say so."""

        stochastic = True

    found = {}
    for system in (Last(), Seeded()):
        network = UntrainedFeatures()
        metrics = [
            MSE(), FrechetVideoDistance(network, frames=4, num_samples=3), Diversity(network, frames=4),
            OverFreshSamples(MSE(), 3), OverFreshSamples(MSE(), 3, report="deviation"),
        ]  # fmt: skip
        folder = tmp_path / type(system).__name__
        evaluate(system, Evaluation([Predict(context=3)], metrics, gallery=0, num_samples=3), folder)
        found[system.stochastic] = sum(asked), read_record(folder / "record.json")
        asked.clear()
    (once, ours), (thrice, theirs) = found[False], found[True]
    assert (once, thrice) == (5, 15)
    assert ours.protocol == theirs.protocol  # it answers what the protocol asks: the rows stand in one table
    for name, entry in ours.metrics.items():
        assert entry.value == pytest.approx(theirs.metrics[name].value, abs=1e-6)
        assert entry.n == theirs.metrics[name].n == 5
        assert (entry.samples, theirs.metrics[name].samples) == (1, None)


def test_a_metric_that_cannot_measure_is_refused(tmp_path: Path) -> None:
    class Keypoints(System):
        sample_type = KeypointClip

    class Paths(System):
        sample_type = Trajectory

    with pytest.raises(ValueError, match=r"compares with KeypointClips, the data has VideoClips.*keypoints"):
        evaluate(RepeatLast(), Evaluation([Predict(context=3)], [NeedsKeypoints()]), tmp_path)
    with pytest.raises(ValueError, match=r"measures VideoClips, Paths predicts Trajectorys"):
        evaluate(Paths(), Evaluation([Generate()], [SquaredError()]), tmp_path)


def test_a_prediction_at_other_times_is_refused(tmp_path: Path) -> None:
    class Late(RepeatLast):
        def predict(self, observed: VideoClip, times: Tensor, **options: Any) -> VideoClip:
            return super().predict(observed, times + 0.04, **options)

    with pytest.raises(ValueError, match=r"task 'predict' at \[0.12, .* predicted \[0.16, "):
        evaluate(Late(), Evaluation([Predict(context=3)], [SquaredError()]), tmp_path)


class Learner(System):
    """Uses every global random stream, in training and in prediction."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(3))

    def on_train_start(self) -> None:
        seed_everything(0)  # here, because the type checks of a test run draw from Python's stream on the way

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        return (self.weight - torch.randn(3) - random.random() - np.random.rand()).square().sum()  # noqa: NPY002

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=0.1)

    def predict(self, observed: VideoClip, times: Tensor, *, seeds: Tensor | None = None) -> VideoClip:
        random.random(), np.random.rand()  # noqa: NPY002
        frames = observed.frames[:, :1].expand(-1, times.shape[1], -1, -1, -1)
        return VideoClip((frames + torch.randn_like(frames)).clamp(-1, 1), times)


def test_evaluation_leaves_the_training_unchanged(tmp_path: Path) -> None:
    weights, predictions = [], []
    for passes in (0, 1, 1):
        system = Learner()
        evaluation = Evaluation([Predict(context=3)] * passes, [SquaredError()], gallery=0)
        trainer = evaluate(system, evaluation, tmp_path, "fit", max_epochs=3, log_every_n_steps=1)
        weights.append(system.weight.detach().clone())
        predictions.append(trainer.callback_metrics.get("val/predict/squared_error"))
    assert torch.equal(weights[0], weights[1])
    assert predictions[1] == predictions[2]


def test_metrics_are_no_part_of_the_system(tmp_path: Path) -> None:
    system = Learner()
    evaluation = Evaluation([Predict(context=3)], [SquaredError()], gallery=0)
    evaluate(system, evaluation, tmp_path, "fit", max_epochs=1)
    assert list(system.state_dict()) == ["weight"]
    assert evaluation.state_dict() == {}


def test_every_n_epochs(tmp_path: Path) -> None:
    evaluation = Evaluation([Predict(context=3)], [SquaredError()], gallery=0, every_n_epochs=2)
    evaluate(Learner(), evaluation, tmp_path, "fit", max_epochs=3)
    with (tmp_path / "metrics.csv").open() as file:
        assert sum("val" in line for line in file) == 1
        file.seek(0)
        column = file.readline().rstrip().split(",").index("val/predict/squared_error")
        assert sum(bool(line.rstrip("\n").split(",")[column]) for line in file) == 1


@pytest.mark.parametrize("system", [MeanFrame(), LinearBlend()], ids=lambda system: type(system).__name__)
def test_predictions_have_the_precision_of_the_run(system: System, tmp_path: Path) -> None:
    evaluation = Evaluation([Interpolate(stride=2)], [SquaredError()], gallery=0)
    evaluate(system, evaluation, tmp_path, precision="bf16-mixed")
    frames = TinyData().clips.frames
    theirs = (
        (frames[:, :-1:2] + frames[:, 2::2]) / 2 if isinstance(system, LinearBlend) else frames[:, ::2].mean(1)[:, None]
    )
    value = evaluation.results["interpolate"]["squared_error"].value
    assert value == pytest.approx(float((theirs - frames[:, 1::2]).square().mean()), rel=1e-3)


def test_the_gallery_shows_target_prediction_and_observed_frames(tmp_path: Path) -> None:
    system, evaluation = RepeatLast(), Evaluation([Predict(context=3)], [SquaredError()], gallery=2)
    evaluate(system, evaluation, tmp_path)
    video = read_video(tmp_path / "samples" / "test-predict-0.mp4")
    assert len(video.frames) == 7
    assert 1 / np.diff(video.times).mean() == pytest.approx(25, rel=0.02)
    pictures = video.frames.astype(
        float
    )  # time channel height width: two clips below each other, target beside prediction
    height, width = pictures.shape[2] // 2, pictures.shape[3] // 2
    assert np.abs(pictures[:3, :, :, :width] - pictures[:3, :, :, width:]).mean() < 3  # what is given is the same
    assert np.abs(pictures[3:, :, :, :width] - pictures[3:, :, :, width:]).mean() > 20  # predicted frames are not
    assert np.abs(pictures[3:, :, :, width:] - pictures[2:3, :, :, width:])[..., 4:-4].mean() < 20  # the last is held
    green = pictures[:, 1] - pictures[:, 0]
    assert (green[:3, 1, :] > 60).all()  # a border around observed frames, none around predicted ones
    assert np.abs(green[3:, 1, :]).max() < 30
    assert height > 96


def test_settings_that_make_no_sense_are_refused() -> None:
    with pytest.raises(ValueError, match="every_n_epochs"):
        Evaluation(every_n_epochs=0)
    with pytest.raises(ValueError, match="squared_error appears twice"):
        Evaluation([Predict()], [SquaredError(), SquaredError()])


def test_a_record_carries_the_request_and_no_other_things(tmp_path: Path) -> None:
    evaluation = Evaluation([Predict(context=3)], [SquaredError()], gallery=0, request="0" * 64)
    evaluate(RepeatLast(), evaluation, tmp_path)
    assert json.loads((tmp_path / "record.json").read_text())["request"] == "0" * 64


def test_a_record_has_the_throughput(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = itertools.accumulate(itertools.chain([0.0], itertools.cycle([0.5, 100.0])))  # 0.5 s within, 100 s between
    monkeypatch.setattr("benchmarks.evaluation.task_evaluator.perf_counter", lambda: next(clock))
    evaluate(RepeatLast(), Evaluation([Predict(context=3)], [SquaredError()], gallery=0), tmp_path)
    sizes = [len(batch.ids) for batch in TinyData().test_dataloader()]
    theirs = np.median([size / 0.5 for size in sizes[1:]])
    assert read_record(tmp_path / "record.json").throughput == Throughput(theirs, max(sizes), "cpu")


def balls(clips: int) -> BouncingBalls:
    sampling = Regular(num_frames=7)
    counts = {"train_clips": 6, "val_clips": clips, "test_clips": clips}
    return BouncingBalls(**counts, length=8, size=16, batch_size=2, sampling=sampling)


@pytest.mark.parametrize("clips", [11, 13])
def test_two_processes_find_what_one_finds(clips: int, tmp_path: Path) -> None:
    found = []
    for devices in (1, 2):
        folder = tmp_path / str(devices)
        trainer = Trainer(
            accelerator="cpu",
            devices=devices,
            strategy="ddp_fork" if devices > 1 else "auto",
            logger=CSVLogger(folder, name="", version=""),
            callbacks=[Evaluation([Predict(context=3)], [SquaredError(), SSIM(), NeedsWeights()], gallery=1)],
            use_distributed_sampler=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            enable_checkpointing=False,
            default_root_dir=folder,
        )
        trainer.test(RepeatLast(), datamodule=balls(clips), verbose=False)
        found.append((read_record(folder / "record.json"), {k: float(v) for k, v in trainer.callback_metrics.items()}))
        assert len(list((folder / "samples").iterdir())) == 1
    (one, logged_by_one), (two, logged_by_two) = found
    assert two.protocol == one.protocol
    assert two.protocol.settings["n"] == clips
    assert logged_by_two == pytest.approx(logged_by_one, rel=1e-6)  # float32 in the log
    assert two.metrics["needs_weights"] == one.metrics["needs_weights"]
    assert [found.throughput and found.throughput.device for found in (one, two)] == ["cpu", "2 x cpu"]
    for name in ("squared_error", "ssim"):
        assert two.metrics[name].value == pytest.approx(one.metrics[name].value, rel=1e-12)
    assert two.metrics["ssim"].n == clips
    assert two.metrics["ssim"].interval == pytest.approx(one.metrics["ssim"].interval, rel=1e-12)
    assert two.metrics["ssim"].per_frame == pytest.approx(one.metrics["ssim"].per_frame, rel=1e-12)
