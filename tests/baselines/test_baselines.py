"""The laws that the rule-based baselines keep, one list for the whole family."""

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from baselines.constant import Constant
from baselines.linear_blend import LinearBlend
from baselines.mean_frame import MeanFrame
from baselines.nearest_frame import NearestFrame
from baselines.previous_frame import PreviousFrame
from baselines.repeat_last import RepeatLast
from benchmarks.evaluation.tasks import Inbetween, Interpolate, Interpolates, Predict, Predicts
from datamodules.clip import Batch, VideoClip, take_times
from datamodules.errors import UserError

PREDICT = [RepeatLast(), MeanFrame(), Constant()]
INTERPOLATE = [MeanFrame(), Constant(), LinearBlend(), NearestFrame(), PreviousFrame()]


def name(system: object) -> str:
    return type(system).__name__


def clip(batch: int = 3, frames: int = 7, seed: int = 0) -> VideoClip:
    generator = torch.Generator().manual_seed(seed)
    times = torch.rand(batch, frames, generator=generator).add(0.1).cumsum(dim=1)
    return VideoClip(torch.rand(batch, frames, 2, 4, 5, generator=generator) * 2 - 1, times - times[:, :1])


def as_batch(sample: VideoClip, present: Tensor | None = None) -> Batch:
    count, length = sample.times.shape
    present = torch.ones(count, length, dtype=torch.bool) if present is None else present
    return Batch(sample, torch.arange(count), torch.arange(count), torch.full((count,), -1), present)


def without(sample: VideoClip, index: int) -> VideoClip:
    keep = [i for i in range(sample.times.shape[1]) if i != index]
    return VideoClip(sample.frames[:, keep], sample.times[:, keep])


def test_capabilities_are_structural() -> None:
    assert [isinstance(s, Predicts) for s in (*PREDICT, *INTERPOLATE)] == [True] * 5 + [False] * 3
    assert [isinstance(s, Interpolates) for s in (*PREDICT, *INTERPOLATE)] == [False] + [True] * 7


@pytest.mark.parametrize("system", PREDICT, ids=name)
def test_predict_answers_exactly_the_asked_times(system: Predicts) -> None:
    query = Predict(context=3).make_query(as_batch(clip()), VideoClip)
    answer = Predict(context=3).run(system, query)
    assert torch.equal(answer.times, query.target.times)
    assert answer.frames.shape == query.target.frames.shape


@pytest.mark.parametrize("system", [LinearBlend(), NearestFrame()], ids=name)
def test_times_that_are_none_and_two_frames_at_one_time_are_refused(system: LinearBlend | NearestFrame) -> None:
    sample, nan = clip(1, 3), float("nan")
    for known, asked in (([0.0, 1.0, 2.0], nan), ([0.0, nan, 2.0], 0.5), ([0.0, 1.0, 1.0], 0.5)):
        with pytest.raises(UserError, match=r"must (be finite|increase strictly)"):
            system.interpolate(VideoClip(sample.frames, torch.tensor([known])), torch.tensor([[asked]]))


@pytest.mark.parametrize("system", [*PREDICT, *INTERPOLATE], ids=name)
def test_a_system_that_says_so_answers_alike_whatever_the_seeds(system: Constant) -> None:
    assert not system.stochastic
    sample = clip()
    between = isinstance(system, Interpolates)
    observed = take_times(sample, torch.tensor([0, 1, 6] if between else [0, 1, 2]))
    answer, times = system.interpolate if between else system.predict, sample.times[:, 4:5]
    one, other = (answer(observed, times, seeds=torch.arange(3) + first).frames for first in (0, 100))
    assert torch.equal(one, other)


@pytest.mark.parametrize("system", INTERPOLATE, ids=name)
@pytest.mark.parametrize("task", [Interpolate(stride=3), Inbetween()], ids=lambda task: task.capability)
def test_interpolate_answers_exactly_the_asked_times(system: Interpolates, task: Interpolate | Inbetween) -> None:
    query = task.make_query(as_batch(clip()), VideoClip)
    answer = task.run(system, query)
    assert torch.equal(answer.times, query.target.times)
    assert answer.frames.shape == query.target.frames.shape


@pytest.mark.parametrize("system", PREDICT, ids=name)
@pytest.mark.parametrize("missing", [0, 2, 6])
def test_a_missing_frame_is_as_if_it_had_never_been_predict(system: Predicts, missing: int) -> None:
    whole, times = clip(), torch.tensor([[20.0, 21.0]] * 3)
    present = torch.ones(3, 7, dtype=torch.bool)
    present[:, missing] = False
    poisoned = VideoClip(whole.frames.clone(), whole.times)
    poisoned.frames[:, missing] = 0.77
    assert_close(system.predict(poisoned, times, present=present), system.predict(without(whole, missing), times))


@pytest.mark.parametrize("system", INTERPOLATE, ids=name)
@pytest.mark.parametrize("missing", [0, 2, 6])
def test_a_missing_frame_is_as_if_it_had_never_been_interpolate(system: Interpolates, missing: int) -> None:
    whole = clip()
    start = whole.times[:, 1:2] if missing == 0 else whole.times[:, :1]  # from the first that is there on
    times = start + torch.linspace(0.01, 6.0, 11)
    present = torch.ones(3, 7, dtype=torch.bool)
    present[:, missing] = False
    poisoned = VideoClip(whole.frames.clone(), whole.times)
    poisoned.frames[:, missing] = 0.77
    ours = system.interpolate(poisoned, times, present=present)
    assert_close(ours, system.interpolate(without(whole, missing), times))


@pytest.mark.parametrize("system", [*PREDICT, *INTERPOLATE], ids=name)
def test_a_clip_without_a_frame_is_refused(system: Predicts | Interpolates) -> None:
    present = torch.ones(3, 7, dtype=torch.bool)
    present[1] = False
    verb = system.predict if isinstance(system, Predicts) else system.interpolate
    with pytest.raises(ValueError, match="present"):
        verb(clip(), torch.ones(3, 1), present=present)


def test_repeat_last_repeats_the_last() -> None:
    whole = clip()
    assert torch.equal(
        RepeatLast().predict(whole, torch.full((3, 4), 9.0)).frames, whole.frames[:, -1:].expand(-1, 4, -1, -1, -1)
    )


def test_linear_blend_equals_numpy_interp_pixel_by_pixel() -> None:
    whole = clip()
    times = torch.linspace(0.0, 9.0, 23).expand(3, -1)  # also after the last frame
    ours = LinearBlend().interpolate(whole, times).frames
    for b, c, y, x in [(0, 0, 0, 0), (1, 1, 3, 4), (2, 0, 2, 1)]:
        theirs = np.interp(times[b], whole.times[b], whole.frames[b, :, c, y, x])
        assert_close(ours[b, :, c, y, x], torch.from_numpy(theirs).float(), atol=1e-5, rtol=0)


@pytest.mark.parametrize("system", [LinearBlend(), NearestFrame(), PreviousFrame()], ids=name)
def test_observed_times_give_the_observed_frames(system: Interpolates) -> None:
    whole = clip()
    assert_close(system.interpolate(whole, whole.times).frames, whole.frames)


@pytest.mark.parametrize("rate", [8.0, 25.0, 29.97])
def test_nearest_frame_takes_the_earlier_of_two(rate: float) -> None:
    query = Interpolate(stride=2).make_query(
        as_batch(VideoClip(clip(2, 31).frames, (torch.arange(31) / rate).expand(2, -1))), VideoClip
    )
    assert torch.equal(Interpolate(stride=2).run(NearestFrame(), query).frames, query.observed.frames[:, :-1])


def test_nearest_frame_is_nearest() -> None:
    observed = VideoClip(clip(1, 3).frames, torch.tensor([[0.0, 1.0, 10.0]]))
    answer = NearestFrame().interpolate(observed, torch.tensor([[0.4, 0.6, 5.4, 5.6]]))
    assert torch.equal(answer.frames[0], observed.frames[0, [0, 1, 1, 2]])


def test_constant_mean_is_the_mean_of_what_is_there_whatever_the_batches() -> None:
    whole, system = clip(6), Constant("mean")
    present = torch.rand(6, 7, generator=torch.Generator().manual_seed(1)) > 0.3
    valid = torch.rand(6, 7, 1, 4, 5, generator=torch.Generator().manual_seed(2)) > 0.3
    whole.frames.masked_fill_(~valid, torch.nan)  # what is missing may be anything
    for part in (slice(0, 4), slice(4, 6)):
        batch = as_batch(VideoClip(whole.frames[part], whole.times[part]), present[part])
        system.training_step(batch._replace(valid=valid[part]), 0)
    there = (present[:, :, None, None, None] & valid).expand_as(whole.frames)
    theirs = np.ma.masked_array(whole.frames.double().numpy(), ~there.numpy()).mean(axis=(0, 1)).filled(0.0)
    ours = system.predict(VideoClip(torch.zeros(1, 1, 2, 4, 5), torch.zeros(1, 1)), torch.ones(1, 1)).frames[0, 0]
    assert_close(ours, torch.from_numpy(theirs).float())
    assert system.generator_updates == 2


def test_constant_mean_travels_in_a_state_dict() -> None:
    fitted, fresh = Constant("mean"), Constant("mean")
    fitted.training_step(as_batch(clip()), 0)
    fresh.load_state_dict(fitted.state_dict())
    later = torch.full((3, 2), 9.0)
    assert_close(fresh.predict(clip(), later), fitted.predict(clip(), later))


def test_constant_mean_says_what_it_needs() -> None:
    system = Constant("mean")
    with pytest.raises(ValueError, match="lightning fit"):
        system.predict(clip(), torch.full((3, 2), 9.0))
    system.training_step(as_batch(clip()), 0)
    one = VideoClip(torch.zeros(3, 1, 1, 4, 5), torch.zeros(3, 1))
    with pytest.raises(ValueError, match="Fit it to this data"):
        system.predict(one, torch.ones(3, 2))


def test_previous_frame_holds_the_start_between_two_ends_and_skips_missing_frames() -> None:
    sample = clip(batch=2, frames=5)
    query = Inbetween().make_query(as_batch(sample), VideoClip)
    answer = Inbetween().run(PreviousFrame(), query)
    assert isinstance(answer, VideoClip)
    assert torch.equal(answer.frames, sample.frames[:, :1].expand(-1, 3, -1, -1, -1))
    present = torch.tensor([[True, False, True]] * 2)
    observed = VideoClip(sample.frames[:, :3], sample.times[:, :3])
    held = PreviousFrame().interpolate(observed, sample.times[:, [1, 3]], present=present)
    assert torch.equal(held.frames, sample.frames[:, [0, 2]])
    with pytest.raises(ValueError, match="from the first observed frame on"):
        PreviousFrame().interpolate(observed, sample.times[:, :1], present=~present)
