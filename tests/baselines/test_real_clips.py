"""The baselines that show real clips: what they show is real, is not what is evaluated, and fits every sample type."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from lightning import Trainer
from torch import Tensor
from torch.testing import assert_close

from baselines.black_clips import BlackClips
from baselines.blurred_clips import BlurredClips
from baselines.climatology import Climatology
from baselines.frozen_clips import FrozenClips
from baselines.real_clips import RealClips
from baselines.reversed_clips import ReversedClips
from baselines.slow_clips import SlowClips
from benchmarks.evaluation.callback import Evaluation
from benchmarks.evaluation.tasks import SEED_STEP, Generate, Generates, Inbetween, Predict
from benchmarks.metrics.reference import PSNR
from datamodules.base.clip_source import Origin
from datamodules.base.module import ClipDataModule
from datamodules.bouncing_balls import BouncingBalls
from datamodules.clip import Batch, KeypointClip, Trajectory, VideoClip
from datamodules.errors import UserError
from datamodules.pendulum import Pendulum
from datamodules.sampling import Regular
from lightning_modules.dynamics.base import OffGridError
from lightning_modules.system import System

SHOWN = [RealClips, FrozenClips, ReversedClips, SlowClips]
"""Those that show any type of sample."""


def balls(**options: object) -> BouncingBalls:
    settings = {"train_clips": 6, "val_clips": 1, "test_clips": 4, "length": 9, "size": 8, "batch_size": 2}
    data = BouncingBalls(sampling=Regular(4), eval_sampling=Regular(4, start="first"), **{**settings, **options})  # type: ignore[arg-type]
    data.setup("test")
    return data


def on(system: System, data: ClipDataModule) -> System:
    """The system, as in a run on the data."""
    system._trainer = SimpleNamespace(datamodule=data, training=False)  # type: ignore[assignment]
    return system


def evaluated(data: ClipDataModule) -> Batch:
    """All evaluated samples of the data, as the test sees them."""
    dataset = data.dataset(data.test_split, evaluated=True)
    batch = dataset.__getitems__([(0, index) for index in range(len(dataset))])
    return data.on_after_batch_transfer(batch, 0)


def shown(system: System, data: ClipDataModule, draw: int = 0) -> VideoClip:
    batch = evaluated(data)
    assert isinstance(system, Generates)
    return on(system, data).generate(batch.clip.times, seeds=batch.ids + draw * SEED_STEP)  # type: ignore[no-any-return, operator]


def training_clips(data: BouncingBalls) -> Tensor:
    source = data.source("train")
    frames = source.read(np.arange(len(source)), np.arange(data.length)[None].repeat(len(source), 0))
    return torch.from_numpy(frames).float() / 127.5 - 1


def test_real_clips_are_training_clips_at_the_evaluated_windows_each_once() -> None:
    data = balls()
    assert_close(shown(RealClips(), data).frames, training_clips(data)[:4, :4])
    again = shown(RealClips(), data, draw=1).frames
    assert_close(again, training_clips(data)[[4, 5, 0, 1], :4])


def test_real_clips_come_from_the_split_that_is_named() -> None:
    data = balls(val_clips=4)
    assert not torch.equal(shown(RealClips("val"), data).frames, shown(RealClips("train"), data).frames)


def test_where_clips_are_cut_out_of_longer_ones_the_windows_lie_anywhere() -> None:
    data = balls()
    source = data.source("test")
    source.times = lambda index: np.arange(4) / 20  # type: ignore[method-assign]
    frames = torch.cat([shown(RealClips(), data, draw=draw).frames for draw in range(6)])
    clips = training_clips(data)
    windows = {
        start
        for one in frames
        for start in range(6)
        if any(torch.allclose(one, clip[start : start + 4]) for clip in clips)
    }
    assert len(windows) > 2


@pytest.mark.parametrize("start", ["first", "centre", "random"])
def test_where_nothing_is_held_out_other_windows_are_shown(start: str) -> None:
    data = BouncingBalls(
        train_clips=5, val_clips=1, test_clips=1, length=12, size=8, sampling=Regular(4, start="first"),
        eval_sampling=Regular(4, start=start), test_split="train",  # type: ignore[arg-type]
    )  # fmt: skip
    data.setup("test")
    batch, other = evaluated(data), shown(RealClips(), data)
    clips = training_clips(data)
    assert isinstance(batch.clip, KeypointClip)
    for clip, mine, theirs in zip(clips, batch.clip.frames, other.frames, strict=True):
        starts = [[s for s in range(9) if torch.allclose(window, clip[s : s + 4])] for window in (mine, theirs)]
        assert len(starts[0]) == len(starts[1]) == 1
        assert abs(starts[0][0] - starts[1][0]) >= 4  # no frame is shared


def test_clips_without_another_window_are_refused() -> None:
    data = balls(length=4, test_split="train")
    with pytest.raises(UserError, match="no frame besides the evaluated"):
        shown(RealClips(), data)


@pytest.mark.parametrize("kind", SHOWN, ids=lambda kind: kind.__name__)
@pytest.mark.parametrize("sample", ["VideoClip", "KeypointClip", "Trajectory"])
def test_every_sample_type_is_shown_at_exactly_the_asked_times(kind: type[System], sample: str) -> None:
    data: ClipDataModule = (
        Pendulum(train_clips=3, val_clips=1, test_clips=3, length=6, sampling=Regular(6, start="first"))
        if sample == "Trajectory"
        else balls()
    )
    data.setup("test")
    system = kind(sample=sample)  # type: ignore[call-arg]
    answer, batch = shown(system, data), evaluated(data)
    assert (
        type(answer)
        is system.sample_type
        is {"VideoClip": VideoClip, "KeypointClip": KeypointClip, "Trajectory": Trajectory}[sample]
    )
    assert torch.equal(answer.times, batch.clip.times)
    for name, value in answer._asdict().items():
        assert value.shape == getattr(batch.clip, name).shape


def test_frozen_clips_stand_still_at_a_real_first_frame() -> None:
    data = balls()
    frames = shown(FrozenClips(), data).frames
    assert_close(frames, training_clips(data)[:4, :1].expand(-1, 4, -1, -1, -1))


def test_reversed_clips_end_with_a_real_first_frame() -> None:
    data = balls()
    assert_close(shown(ReversedClips(), data).frames, training_clips(data)[:4, :4].flip(1))


def test_slow_keypoints_take_twice_as_long_and_lie_between_real_ones() -> None:
    data = balls()
    slow, real = shown(SlowClips(sample="KeypointClip"), data), shown(RealClips(sample="KeypointClip"), data)
    assert isinstance(slow, KeypointClip)
    assert isinstance(real, KeypointClip)
    assert_close(slow.keypoints[:, ::2], real.keypoints[:, :2])
    assert_close(slow.keypoints[:, 1], (real.keypoints[:, 0] + real.keypoints[:, 1]) / 2)
    assert_close(slow.frames, real.frames[:, [0, 0, 1, 1]])


def test_blurred_clips_keep_brightness_and_lose_detail() -> None:
    data = balls()
    blurred, real = shown(BlurredClips(), data).frames, shown(RealClips(), data).frames
    assert float(blurred.var(dim=(-2, -1)).mean()) < 0.5 * float(real.var(dim=(-2, -1)).mean())
    point = torch.full((1, 1, 1, 33, 33), 0.0)
    point[..., 16, 16] = 1.0
    system = on(BlurredClips(sigma=2.0), data)
    system.clips.read = lambda *_: VideoClip(point, torch.zeros(1, 1))  # type: ignore[attr-defined]
    spread = system.generate(torch.zeros(1, 1), seeds=torch.zeros(1, dtype=torch.int64)).frames[0, 0, 0]  # type: ignore[operator]
    place = torch.arange(33) - 16.0
    assert float(spread.sum()) == pytest.approx(1, abs=1e-3)
    assert float((spread.sum(dim=0) * place**2).sum()) == pytest.approx(
        4, rel=0.02
    )  # sigma squared; sampled, cut at 4 sigma


def test_black_clips_have_the_size_of_the_data() -> None:
    data = balls()
    frames = shown(BlackClips(), data).frames
    assert frames.shape == evaluated(data).clip.frames.shape  # type: ignore[union-attr]
    assert float(frames.max()) == -1


@pytest.mark.parametrize("pace", [0.7, 1.3])
def test_real_clips_at_higher_rates_or_beyond_their_end_are_refused(pace: float) -> None:
    data = balls()
    times = evaluated(data).clip.times * pace
    with pytest.raises(OffGridError, match="own frames"):
        on(RealClips(), data).generate(times, seeds=torch.arange(4))  # type: ignore[operator]


def test_at_other_frame_rates_the_nearest_real_frames_are_shown_if_asked() -> None:
    data = balls()
    batch = evaluated(data)
    times = batch.clip.times[:, 1:3] + torch.tensor([0.4, -0.5]) * batch.clip.times[:, 1:2]
    system = on(RealClips(nearest=True), data)
    found = system.generate(times, seeds=batch.ids)
    whole = system.generate(batch.clip.times, seeds=batch.ids)
    assert isinstance(found, VideoClip)
    assert isinstance(whole, VideoClip)
    assert torch.equal(found.frames, whole.frames[:, [1, 1]])  # the earlier one of two that are as near
    assert torch.equal(found.times, times)
    with pytest.raises(OffGridError, match="beyond the last frame"):
        system.generate(batch.clip.times + 2 * batch.clip.times[:, 1:2], seeds=batch.ids)


def test_real_clips_at_lower_rates_show_the_nearest_frame() -> None:
    data = balls()
    batch = evaluated(data)
    answer = on(RealClips(), data).generate(batch.clip.times[:, :3] * 1.4, seeds=batch.ids)  # type: ignore[operator]
    assert_close(answer.frames, training_clips(data)[:4, [0, 1, 3]])


def test_between_two_ends_a_real_window_is_shown() -> None:
    data = balls()
    query = Inbetween().make_query(evaluated(data), VideoClip)
    answer = Inbetween().run(on(RealClips(), data), query)
    assert_close(answer.frames, training_clips(data)[:4, 1:3])  # type: ignore[union-attr]


def test_without_a_data_module_real_data_are_refused() -> None:
    with pytest.raises(UserError, match="data module"):
        RealClips().generate(torch.zeros(1, 1), seeds=torch.zeros(1, dtype=torch.int64))


def test_the_training_mean_is_that_of_all_training_frames() -> None:
    data = balls()
    query = Predict(context=2).make_query(evaluated(data), VideoClip)
    answer = Predict(context=2).run(on(Climatology(), data), query)
    mean = training_clips(data).mean(dim=(0, 1))
    assert_close(answer.frames, mean.expand_as(answer.frames))  # type: ignore[union-attr]


class Seasons(BouncingBalls):
    """A frame a month: its brightness is that of its month and place; the first clip misses some pixels in training."""

    def open(self, split):  # type: ignore[no-untyped-def]
        source = super().open(split)
        source._times = np.arange(self.length) * 1.0

        def read(clips, frames):  # type: ignore[no-untyped-def]
            months = (frames % 12) / 24 + 0.5 * np.asarray(clips)[:, None]
            maps = np.broadcast_to(months[..., None, None, None], (*frames.shape, 1, 8, 8)).astype(np.float32).copy()
            if split == "train":
                maps[(np.asarray(clips) == 0)[:, None] & (frames < 12), :, :, :4] = np.nan
            return maps

        source.read = read
        source.origins = lambda: [Origin(f"{split} {k}", f"{split} {k}", f"place {k}") for k in range(len(source))]
        return source


def test_climatology_gives_each_month_of_each_place_its_own_mean_wherever_the_window_starts() -> None:
    sampling: dict[str, Any] = {"sampling": Regular(6), "eval_sampling": Regular(6)}
    data = Seasons(train_clips=2, val_clips=1, test_clips=3, length=40, size=8, **sampling)
    data.setup("test")
    batch = evaluated(data)
    starts = batch.ids & 0xFFFFFF
    assert len(set(starts.tolist())) > 1  # windows start in different months
    query = Predict(context=2).make_query(batch, VideoClip, seed=1)
    answer = Predict(context=2).run(on(Climatology(parts=12, period=12.0), data), query)
    assert isinstance(answer, VideoClip)
    months = (starts[:, None] + torch.arange(2, 6)) % 12
    for place in (0, 1):
        expected = months[place] / 24 + 0.5 * place
        assert_close(answer.frames[place], expected[:, None, None, None].expand_as(answer.frames[place]))
    everywhere = months[2] / 24 + 0.25  # a place that was not trained on: the mean of the two, where both have pixels
    assert_close(answer.frames[2, ..., 4:], everywhere[:, None, None, None].expand(4, 1, 8, 4))
    with pytest.raises(UserError, match="seeds"):
        on(Climatology(parts=12), data).predict(query.observed, query.times)  # type: ignore[operator]


def test_an_evaluation_takes_real_clips_from_the_data_that_it_tests_on(tmp_path) -> None:  # type: ignore[no-untyped-def]
    """Against themselves real clips would have infinite PSNR; other real clips have a finite one."""
    evaluation = Evaluation([Generate()], [PSNR()], gallery=0, folder=str(tmp_path))
    trainer = Trainer(
        logger=False, callbacks=[evaluation], enable_progress_bar=False, enable_model_summary=False, accelerator="cpu"
    )
    trainer.test(RealClips(), datamodule=balls(), verbose=False)
    value = evaluation.results["generate"]["psnr_frames"].value
    assert value is not None
    assert 0 < value < 30
