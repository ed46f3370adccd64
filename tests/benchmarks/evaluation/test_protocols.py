"""The papers' protocols, through the real `lightning test`: frame rates, sampling rates, many samples, long clips."""

import re
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from jsonargparse import ArgumentParser
from torch import Tensor

from benchmarks.config.resolve import full_class_paths, read_config
from benchmarks.evaluation import tasks as task_file
from benchmarks.evaluation.callback import Evaluation
from benchmarks.evaluation.checks import fill_invalid_pixels, task_labels
from benchmarks.evaluation.tasks import Generate, Inbetween, Interpolate, Predict
from benchmarks.leaderboard.formatting import split_in_words
from benchmarks.lightning_cli import main
from benchmarks.metrics.features.extractor import UntrainedFeatures
from benchmarks.metrics.frechet import frechet_distance
from benchmarks.metrics.fvd import FrechetVideoDistance
from benchmarks.records.record import Record, read_record
from datamodules.clip import Batch, Trajectory, VideoClip, sample_id
from datamodules.errors import UserError
from lightning_modules.dynamics.base import OffGridError, grid_steps
from lightning_modules.latent_dynamics import LatentDynamicsGAN

ROOT = Path(__file__).parents[3]
UNTRAINED = {"class_path": "benchmarks.metrics.features.extractor.UntrainedFeatures"}
QUIET = {"accelerator": "cpu", "devices": 1, "enable_progress_bar": False, "enable_model_summary": False}
CLIPS = 11


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def fvd(**settings: Any) -> dict[str, Any]:
    path = "benchmarks.metrics.fvd.FrechetVideoDistance"
    return {"class_path": path, "init_args": {"network": UNTRAINED, **settings}}


def shapes(frames: int, rate: float = 16) -> dict[str, Any]:
    return {
        "class_path": "MovingShapes",
        "init_args": {
            "size": 32,
            "frame_rate": rate,
            "length": max(frames, 32),
            "train_clips": 2,
            "val_clips": 2,
            "test_clips": CLIPS,
            "batch_size": 4,
            "sampling": {"class_path": "Regular", "init_args": {"num_frames": frames, "start": "first"}},
        },
    }


def mocogan(kind: str) -> dict[str, Any]:
    """A tiny untrained MoCoGAN: `ode1` knows all times, `original` those of its grid."""
    config: dict[str, Any] = full_class_paths(read_config(ROOT / f"configs/model/mocogan_{kind}.yaml"))
    for part in ("generator", "video_critic"):
        config["init_args"][part]["init_args"] |= {"size": 32, "width": 2}
    return config


def lightning_test(model: Any, data: dict[str, Any], **evaluation: Any) -> dict[str, Record]:
    """The records that the command writes, by task."""
    config = {"model": model, "data": data, "evaluation": {"gallery": 0, **evaluation}, "trainer": QUIET}
    Path("test.yaml").write_text(yaml.safe_dump(config))
    assert main(["test", "--config=test.yaml", "--untrained", "--trainer.default_root_dir=."]) == 0
    return {path.stem.removesuffix("-untrained"): read_record(path) for path in Path().glob("record*.json")}


def generate(**settings: Any) -> dict[str, Any]:
    return {"class_path": "Generate", "init_args": settings}


@pytest.mark.slow
def test_clips_are_generated_at_frame_rates_other_than_the_datas_and_off_the_grid_is_not_available(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps: set[float] = set()

    def noted(system: LatentDynamicsGAN, times: Tensor, **rest: Any) -> VideoClip:
        steps.update(times.diff().flatten().round(decimals=5).tolist())
        return plain(system, times, **rest)

    plain = LatentDynamicsGAN.generate
    monkeypatch.setattr(LatentDynamicsGAN, "generate", noted)
    tasks = [generate(fps=rate, frames=16) for rate in (16, 20)]
    found = lightning_test(mocogan("ode1"), shapes(32, rate=32), tasks=tasks, metrics=[fvd()])
    assert set(found) == {"record-generate-fps16", "record-generate-fps20"}
    values = [record.metrics["no_fvd_16f_untrained_seed0"] for record in found.values()]
    assert {value.n for value in values} == {CLIPS}
    assert sorted(steps) == pytest.approx([1 / 20, 1 / 16], rel=1e-4)
    settings = found["record-generate-fps20"].protocol.settings
    assert settings["task"] == {"name": "generate", "frames": 16, "fps": 20.0}
    assert (settings["fps"], settings["target_frames"]) == (20, 16)
    for path in Path().glob("record*"):
        path.unlink()
    with caplog.at_level("INFO", logger="lightning.pytorch.utilities.rank_zero"):
        found = lightning_test(mocogan("original"), shapes(32, rate=32), tasks=tasks, metrics=[fvd()])
    assert set(found) == {"record-generate-fps16"}  # what is refused everywhere leaves no record
    assert "generate-fps20: n/a (NoisyGRU only knows times on its grid" in caplog.text


def test_a_record_says_that_it_compares_with_the_training_clips() -> None:
    data = shapes(16)
    data["init_args"]["test_split"] = "train"
    (record,) = lightning_test(mocogan("ode1"), data, tasks=[generate()], metrics=[fvd()]).values()
    assert record.split == "train"
    assert "-train-" in record.data
    assert split_in_words(record.split) == "the training clips: nothing is held out"
    assert split_in_words("test") == "test split"


def batch(frames: int, rate: float = 16, clips: int = 3) -> Batch:
    pictures = torch.rand(clips, frames, 1, 4, 4, generator=torch.Generator().manual_seed(0)) * 2 - 1
    times = (torch.arange(frames) / rate).expand(clips, -1)
    ids = torch.tensor([sample_id(number, 0) for number in range(clips)])
    present = torch.ones(clips, frames, dtype=torch.bool)
    return Batch(VideoClip(pictures, times), ids, ids, torch.full((clips,), -1), present)


def test_generated_and_real_frames_show_the_same_seconds_at_the_same_rate() -> None:
    real = batch(25, rate=25)
    query = Generate(fps=20.0, frames=16).make_query(real, VideoClip)
    torch.testing.assert_close(query.times[0], torch.arange(16) / 20)
    assert query.target.times.equal(query.times)
    nearest = [0, 1, 2, 4, 5, 6, 7, 9, 10, 11, 12, 14, 15, 16, 17, 19]  # 2.5 is 2, and 7.5 is 7: the earlier one
    assert query.target.frames.equal(real.clip.frames[:, nearest])
    own = Generate(fps=25.0).make_query(real, VideoClip)
    assert own.target.frames.equal(real.clip.frames)
    assert Generate(fps=10.0).make_query(real, VideoClip).times[0, -1] == pytest.approx(0.9)
    with pytest.raises(UserError, match=r"26 frames per second can be .* frames 0\.04 s apart"):
        Generate(fps=26.0, frames=16).make_query(real, VideoClip)
    with pytest.raises(UserError, match=r"last 1\.45 s, but the real clips last 0\.96 s"):
        Generate(fps=20.0, frames=30).make_query(real, VideoClip)
    for wrong in ({"fps": 0.0}, {"frames": 0}):
        with pytest.raises(UserError, match="must be positive"):
            Generate(**wrong)
    assert task_labels([Generate(fps=16.0), Generate(fps=20.5)]) == ["generate-fps16", "generate-fps20.5"]


def test_each_clip_has_its_own_nearest_frames() -> None:
    real = batch(5, rate=5, clips=2)
    times = real.clip.times.clone()
    times[1, 1] += (
        0.06  # of 0.2 s, 0.26 s: the moment 0.25 s is shown by the second frame of either, 0.125 s by the first
    )
    clip = real.clip._replace(frames=times[..., None, None, None].expand(2, 5, 1, 4, 4).clone(), times=times)
    found = Generate(fps=3.75, frames=3).make_query(real._replace(clip=clip), VideoClip).target.frames[..., 0, 0, 0]
    torch.testing.assert_close(found, torch.tensor([[0.0, 0.2, 0.6], [0.0, 0.26, 0.6]]))


def test_a_perfect_model_is_as_good_at_every_rate() -> None:
    """Motions at constant speeds: new ones of the same law against the data, at 16 to 24 frames per second."""

    def motion(times: Tensor, seed: int) -> Tensor:
        speeds = torch.randn(len(times), 1, 1, generator=torch.Generator().manual_seed(seed))
        return (1 + speeds) * times[..., None]

    times = (torch.arange(49) / 48).expand(2000, -1)
    ids = torch.arange(2000)
    real = Batch(Trajectory(motion(times, 0), times), ids, ids, torch.full((2000,), -1), torch.ones(2000, 49).bool())
    distances = {}
    for rate in (16.0, 20.0, 24.0):
        query = Generate(fps=rate, frames=16).make_query(real, Trajectory)
        made, target = motion(query.times, 1).flatten(1), query.target
        assert isinstance(target, Trajectory)
        distances[rate] = frechet_distance(made, target.values.flatten(1))
    at_16 = real.clip.values[:, :46:3].flatten(1)  # type: ignore[union-attr]
    against_another_rate = frechet_distance(motion((torch.arange(16) / 24).expand(2000, -1), 1).flatten(1), at_16)
    assert max(distances.values()) < 0.1 * against_another_rate  # of chance: 2,000 motions each


def test_a_pixel_that_nobody_knows_is_no_error() -> None:
    data = batch(6)
    valid = torch.rand(3, 6, 1, 4, 4, generator=torch.Generator().manual_seed(1)) < 0.5
    query = Predict(context=2).make_query(data._replace(valid=valid), VideoClip)
    assert query.valid is not None
    assert query.valid.equal(valid[:, 2:])
    prediction = VideoClip(query.target.frames + 0.5, query.target.times)
    filled = fill_invalid_pixels(query, prediction)
    assert filled.frames[valid[:, 2:]].equal(prediction.frames[valid[:, 2:]])
    assert filled.frames[~valid[:, 2:]].equal(query.target.frames[~valid[:, 2:]])
    whole = Predict(context=2).make_query(data, VideoClip)
    assert fill_invalid_pixels(whole, prediction) is prediction
    with pytest.raises(ValueError, match="needs data without missing pixels"):
        Generate(fps=4.0).make_query(data._replace(valid=valid), VideoClip)


def test_tasks_keep_the_paths_that_configs_and_records_name() -> None:
    for task in (Generate, Interpolate, Predict, Inbetween):
        assert task.__module__ == "benchmarks.evaluation.tasks"
    for capability in ("Generates", "Predicts", "Interpolates", "Inbetweens", "Query"):
        assert hasattr(task_file, capability)


def test_settings_that_ask_for_nothing_special_are_no_part_of_a_protocol() -> None:
    assert Generate().settings == {"frames": None}
    assert Predict(context=3).settings == {"frames": None, "context": 3}
    assert Interpolate(frames=9, rate=0.5).settings == {"frames": 9, "stride": 2, "rate": 0.5}


def test_only_times_off_a_discrete_members_grid_are_not_available() -> None:
    with pytest.raises(OffGridError, match="only knows times on its grid"):
        grid_steps(torch.tensor([[0.0, 0.31]]), 0.25, "GRU")
    with pytest.raises(OffGridError, match="steps 0 to 1"):
        grid_steps(torch.tensor([[0.0, 0.5]]), 0.25, "GRU", last=1)


@pytest.mark.parametrize(("rate", "kept"), [(1.0, 5), (0.8, 4), (0.6, 3), (0.55, 3), (0.4, 2), (0.2, 1), (0.01, 1)])
def test_a_share_of_the_given_frames_is_there_and_more_at_a_higher_rate(rate: float, kept: int) -> None:
    many = batch(10, clips=40)
    query = Predict(context=5, rate=rate).make_query(many, VideoClip)
    assert query.present.sum(1).tolist() == [kept] * 40
    assert bool(query.present[:, 0].all())
    frames = many.clip.frames[:, :5]
    assert query.observed.frames[query.present].equal(frames[query.present])
    assert bool((query.observed.frames[~query.present] == -1).all())
    assert query.target.frames.equal(many.clip.frames[:, 5:])
    more = Predict(context=5, rate=min(1.0, rate + 0.2)).make_query(many, VideoClip)
    assert bool((more.present | ~query.present).all())
    assert Predict(context=5, rate=rate).make_query(many, VideoClip, seed=7).present.equal(query.present)
    assert len({tuple(row) for row in query.present.tolist()}) > 1 or kept in (1, 5)
    between = Interpolate(frames=9, rate=rate).make_query(many, VideoClip)
    assert between.present.sum(1).tolist() == [max(2, kept)] * 40
    assert bool(between.present[:, [0, -1]].all())


def test_sampling_rates_through_the_command() -> None:
    tasks = [{"class_path": "Predict", "init_args": {"context": 5, "rate": rate}} for rate in (1.0, 0.6, 0.2)]
    mse = [{"class_path": "MSE"}]
    found = lightning_test("MeanFrame", shapes(10), tasks=tasks, metrics=mse)
    values = [found[f"record-predict-rate{rate}"].metrics["mse"].value for rate in ("1", "0.6", "0.2")]
    assert len(set(values)) == 3
    assert found["record-predict-rate0.6"].protocol.settings["task"]["rate"] == 0.6
    for path in Path().glob("record*"):
        path.unlink()
    (whole,) = lightning_test(
        "MeanFrame", shapes(10), tasks=[{"class_path": "Predict", "init_args": {"context": 5}}], metrics=mse
    ).values()
    assert whole.metrics["mse"].value == values[0]
    assert "rate" not in whole.protocol.settings["task"]
    for path in Path().glob("record*"):
        path.unlink()

    class Whole:
        def predict(self, observed: VideoClip, times: Tensor, *, seeds: Tensor | None = None) -> VideoClip:
            raise AssertionError

    assert not Predict(context=5, rate=0.6).supported_by(Whole())
    assert Predict(context=5).supported_by(Whole())
    reason = "Whole does not implement the task 'predict', where observed frames are missing"
    assert Predict(context=5, rate=0.6).unsupported_reason(Whole()) == reason
    with pytest.raises(ValueError, match="above 0 and up to 1; got 0"):
        Predict(rate=0.0)


@pytest.mark.slow
def test_many_samples_through_the_command() -> None:
    metrics = [
        fvd(num_samples=3),
        fvd(),
        {"class_path": "Diversity", "init_args": {"network": UNTRAINED}},
        {"class_path": "BestOfSSIM", "init_args": {"num_samples": 3}},
        {"class_path": "SSIM"},
    ]
    (record,) = lightning_test(mocogan("ode1"), shapes(16), tasks=[generate()], metrics=metrics, num_samples=3).values()
    found = {name: entry.value for name, entry in record.metrics.items()}
    assert all(entry.n == CLIPS for entry in record.metrics.values())
    mean, first = (found[f"no_fvd_16f_untrained_seed0{end}"] or 0 for end in ("_mean_of_3", ""))
    assert abs(mean - first) > 1e-5 * first  # above the rounding of float32 features
    assert (found["no_diversity_16f_untrained_seed0"] or 0) > 0.01
    assert (found["ssim_best_of_3"] or 0) > 1.001 * (found["ssim"] or 1)
    assert record.protocol.settings["num_samples"] == 3


def test_the_distance_of_several_samples_is_the_mean_of_theirs() -> None:
    generator = torch.Generator().manual_seed(0)
    frames = torch.rand(4, 30, 4, 1, 8, 8, generator=generator) * 2 - 1
    times = torch.arange(4.0).expand(30, -1)
    ids = torch.tensor([sample_id(number, 0) for number in range(30)])
    target, num_samples = VideoClip(frames[0], times), [VideoClip(part, times) for part in frames[1:]]
    network = UntrainedFeatures()
    metric = FrechetVideoDistance(network, frames=4, num_samples=3, cap=5)
    for part in (slice(0, 11), slice(11, 30)):
        for prediction in num_samples:
            sides = (VideoClip(side.frames[part], side.times[part]) for side in (prediction, target))
            metric.update(*sides, ids[part])
    singles = [frechet_distance(network(prediction.frames), network(target.frames)) for prediction in num_samples]
    measurement = metric.measurement()
    assert measurement.value == pytest.approx(sum(singles) / 3, rel=1e-5)
    assert len({round(single, 6) for single in singles}) == 3
    assert measurement.n == 30
    assert measurement.interval is not None
    assert measurement.interval[0] < measurement.value < measurement.interval[1]
    assert metric.kept("target")[1].shape == (30, 16)
    metric.update(*(VideoClip(side.frames[:2], side.times[:2]) for side in (target, target)), ids[:2] + 2**40)
    with pytest.warns(UserWarning, match="2 of 32 clips have fewer"):
        assert metric.measurement() == measurement
    with pytest.raises(ValueError, match="num_samples at least 1"):
        FrechetVideoDistance(network, frames=4, num_samples=0)


@pytest.mark.slow
def test_long_clips_and_quality_against_horizon_through_the_command() -> None:
    windows = [{"frames": 16, "start": start} for start in (0, 48, 112)]
    metrics = [fvd(frames=128), fvd(frames=64, start=0), *(fvd(**window) for window in windows)]
    metrics.append({"class_path": "TemporalDistance", "init_args": {"frames": 16, "start": 112}})
    (record,) = lightning_test(mocogan("ode1"), shapes(128), tasks=[generate(frames=128)], metrics=metrics).values()
    names = [f"no_fvd_{part}" for part in ("128f_untrained_seed0", "64f_untrained_seed0_from0")]
    names += [f"no_fvd_16f_untrained_seed0_from{start}" for start in (0, 48, 112)]
    assert set(record.metrics) == {*names, "temporal_16f_motion_histograms_from112"}
    values = [record.metrics[name].value for name in names]
    assert None not in values
    assert len(set(values)) == len(names)


def test_a_window_is_what_its_frames_alone_would_give() -> None:
    generator = torch.Generator().manual_seed(0)
    frames = torch.rand(2, 20, 12, 1, 8, 8, generator=generator) * 2 - 1
    times = torch.arange(12.0).expand(20, -1)
    prediction, target = VideoClip(frames[0], times), VideoClip(frames[1], times)
    ids = torch.tensor([sample_id(number, 0) for number in range(20)])
    window, alone = (
        FrechetVideoDistance(UntrainedFeatures(), frames=4, start=5),
        FrechetVideoDistance(UntrainedFeatures(), frames=4),
    )
    window.update(prediction, target, ids)
    alone.update(*(VideoClip(side.frames[:, 5:9], side.times[:, 5:9]) for side in (prediction, target)), ids)
    assert window.measurement() == alone.measurement()
    other = FrechetVideoDistance(UntrainedFeatures(), frames=4, start=6)  # of the same tensors, which are remembered
    other.update(prediction, target, ids)
    assert not other.kept("prediction")[1].equal(window.kept("prediction")[1])
    assert FrechetVideoDistance(UntrainedFeatures(), frames=4, start=0).name == "no_fvd_4f_untrained_seed0_from0"
    with pytest.raises(ValueError, match=r"frames 9 to 12; these clips have 12"):
        FrechetVideoDistance(UntrainedFeatures(), frames=4, start=9).update(prediction, target, ids)
    with pytest.raises(ValueError, match="`start`"):
        alone.update(prediction, target, ids)
    with pytest.raises(ValueError, match="at least 0; got -1"):
        FrechetVideoDistance(UntrainedFeatures(), start=-1)


def test_the_yaml_of_the_documentation_is_what_the_command_takes() -> None:
    text = (ROOT / "docs/metrics.md").read_text()
    blocks = [yaml.safe_load(block) for block in re.findall(r"```yaml\n(.*?)```", text, re.DOTALL)]
    evaluations = [block["evaluation"] for block in blocks if "evaluation" in block]
    assert len(evaluations) == 4
    parser = ArgumentParser(exit_on_error=False)
    parser.add_class_arguments(Evaluation, "evaluation")
    for config in evaluations:
        evaluation = parser.instantiate(parser.parse_object({"evaluation": full_class_paths(config)})).evaluation
        assert len(evaluation.tasks) == len(config["tasks"])
        assert [metric.name for metric in evaluation.metrics] or "metrics" not in config
