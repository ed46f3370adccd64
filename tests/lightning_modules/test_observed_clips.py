"""Laws of every system that is shown a clip: what it answers, what it refuses, and what it must not look at."""

from collections.abc import Iterator

import pytest
import torch
from torch import Tensor

from benchmarks.evaluation.tasks import Predict
from datamodules.clip import VideoClip
from datamodules.errors import UserError
from lightning_modules.system import System
from support.observing_systems import FAMILY, MODELS, RULES, VID_ODES, as_batch, clips, tiny, verbs

SHOWN, STEP = 5, 0.1
LEARNED = [*MODELS, *VID_ODES]
FILLERS = (0.0, 1e6, float("nan"))


def each() -> Iterator[tuple[str, str]]:
    for name in FAMILY:
        yield from ((name, verb) for verb in verbs(name))


ASKED = list(each())


def shown(clip: VideoClip, count: int = SHOWN) -> VideoClip:
    return VideoClip(clip.frames[:, :count], clip.times[:, :count])


def times_for(verb: str, count: int = 3, first: float = 0.0) -> Tensor:
    steps = [5.0, 6.0] if verb == "predict" else [1.0, 2.0]
    return first + STEP * torch.tensor(steps).expand(count, -1)


def ask(system: System, verb: str, clip: VideoClip, times: Tensor, **more: Tensor) -> Tensor:
    with torch.no_grad():
        answer = getattr(system, verb)(clip, times, seeds=torch.arange(len(times)), **more)
    assert isinstance(answer, VideoClip)
    assert torch.equal(answer.times, times)
    return answer.frames


def refused(system: System, verb: str, clip: VideoClip, times: Tensor, **more: Tensor) -> str:
    with pytest.raises(UserError) as caught:
        ask(system, verb, clip, times, **more)
    return str(caught.value)


def test_the_family_is_whole() -> None:
    """Every baseline with a file is a member: by name if it needs sizes, else by itself."""
    assert {"RepeatLast", "MeanFrame", "Constant", "LinearBlend", "NearestFrame"} <= set(RULES)
    assert len(ASKED) > len(FAMILY)


@pytest.mark.parametrize(("name", "verb"), ASKED)
@pytest.mark.parametrize(("height", "width"), [(17, 18), (16, 20), (15, 16)])
def test_an_answer_has_the_size_that_was_shown_or_there_is_none(name: str, verb: str, height: int, width: int) -> None:
    clip = shown(clips(height=height, width=width))
    try:
        frames = ask(tiny(name), verb, clip, times_for(verb))
    except UserError as error:
        message = str(error)
        assert name in LEARNED
        assert f"{height}x{width}" in message
        assert "`size`" in message
    else:
        assert frames.shape == (3, 2, 1, height, width)


@pytest.mark.parametrize(("name", "verb"), ASKED)
@pytest.mark.parametrize("channels", [3, 2])
def test_channels_are_the_models_own_or_refused(name: str, verb: str, channels: int) -> None:
    clip = shown(clips(channels=channels))
    if name in RULES:
        assert ask(tiny(name), verb, clip, times_for(verb)).shape[2] == channels
    else:
        assert f"built for frames of 1 channels and got {channels}" in refused(tiny(name), verb, clip, times_for(verb))


@pytest.mark.parametrize("name", LEARNED)
def test_training_refuses_the_same_frames(name: str) -> None:
    system = FAMILY[name]()
    train = getattr(system, "generate_fakes", None) or system.training_output  # type: ignore[union-attr]
    for wrong in (clips(channels=3), clips(height=17, width=18)):
        with pytest.raises(UserError, match=r"built for|must be multiples"):
            train(as_batch(wrong))


@pytest.mark.parametrize(("name", "verb"), ASKED)
@pytest.mark.parametrize("count", [1, 2, 4, 6])
def test_another_number_of_observed_frames_is_answered_or_refused(name: str, verb: str, count: int) -> None:
    clip, system = shown(clips(), count), tiny(name)
    times = clip.times[:, -1:] + STEP * torch.arange(1, 3) if verb == "predict" else clip.times[:, :1] + torch.zeros(2)
    times = times + (torch.tensor([0.0, 0.05]) if verb == "interpolate" and name != "vid_rnn" else 0.0)
    if verb == "interpolate" and name == "vid_rnn":
        times = times[:, :1]
    if name in ("ode_conv", "ode_fc", "vid_ode_ablation_a"):
        assert f"got {count}" in refused(system, verb, clip, times)
    else:
        assert ask(system, verb, clip, times).shape == (3, times.shape[1], 1, 16, 16)


@pytest.mark.parametrize(("name", "verb"), ASKED)
def test_no_clip_and_no_time_are_answered_with_none_and_no_frame_is_refused(name: str, verb: str) -> None:
    system, clip = tiny(name), shown(clips())
    assert ask(system, verb, shown(clips(0)), times_for(verb, 0)).shape == (0, 2, 1, 16, 16)
    assert ask(system, verb, shown(clips(1)), times_for(verb, 1)).shape == (1, 2, 1, 16, 16)
    assert ask(system, verb, clip, times_for(verb)[:, :0]).shape == (3, 0, 1, 16, 16)
    assert "present frames" in refused(system, verb, shown(clip, 0), times_for(verb))
    nothing = torch.ones(3, SHOWN, dtype=torch.bool)
    nothing[1] = False
    assert "present frames" in refused(system, verb, clip, times_for(verb), present=nothing)


@pytest.mark.parametrize(("name", "verb"), ASKED)
def test_what_stands_in_a_missing_frame_changes_nothing(name: str, verb: str) -> None:
    system, clip = tiny(name), shown(clips())
    present = torch.tensor([[True, False, True, True, False], [False, True, True, False, True], [True] * 5])
    there = present[..., None, None, None]
    times = times_for(verb)
    answers = [
        ask(system, verb, VideoClip(torch.where(there, clip.frames, filler), clip.times), times, present=present)
        for filler in FILLERS
    ]
    for answer in answers:
        assert bool(answer.isfinite().all())
        assert torch.equal(answer, answers[0])


@pytest.mark.parametrize("name", LEARNED)
def test_what_stands_in_a_missing_frame_or_pixel_teaches_nothing(name: str) -> None:
    """The same loss terms, finite, whatever is there."""
    present = torch.ones(3, 10, dtype=torch.bool)
    present[0, [1, 4, 7]] = False
    valid = torch.ones(3, 10, 1, 16, 16, dtype=torch.bool)
    valid[1:, :, :, 3:6, 3:6] = False
    known, losses = present[..., None, None, None] & valid, []
    for filler in FILLERS:
        system, clip = tiny(name), clips()
        batch = as_batch(VideoClip(torch.where(known, clip.frames, filler), clip.times), present)
        torch.manual_seed(0)
        batch = batch._replace(valid=valid)
        if name in MODELS:
            terms = system.losses(batch, system.training_output(batch))  # type: ignore[operator]
        else:
            critic, generator = system.joint_losses(batch, system.generate_fakes(batch))  # type: ignore[operator]
            terms = {**generator, **{f"critic {key}": value for key, value in critic.items()}}
        losses.append(torch.stack(list(terms.values())).detach())
    for one in losses:
        assert bool(one.isfinite().all())
        assert torch.equal(one, losses[0])


@pytest.mark.parametrize("name", [name for name in FAMILY if "predict" in verbs(name)])
def test_predict_answers_after_the_last_shown_frame_alone(name: str) -> None:
    system, clip = tiny(name), shown(clips())
    present = torch.ones(3, SHOWN, dtype=torch.bool)
    for steps in ([4.0, 5.0], [2.0, 5.0], [-1.0, 5.0]):
        message = refused(system, "predict", clip, STEP * torch.tensor(steps).expand(3, -1))
        assert "after the last observed one" in message
        assert "`interpolate`" in message
    assert "finite" in refused(system, "predict", clip, torch.full((3, 1), torch.nan))
    present[:, -1] = False  # the last that is shown is the one before
    assert ask(system, "predict", clip, clip.times[:, -1:] + 0.0, present=present).shape == (3, 1, 1, 16, 16)
    refused(system, "predict", clip, clip.times[:, -2:-1] + 0.0, present=present)


@pytest.mark.parametrize("name", [name for name in FAMILY if "interpolate" in verbs(name)])
def test_interpolate_answers_from_the_first_shown_frame_on(name: str) -> None:
    system, clip = tiny(name), shown(clips())
    assert ask(system, "interpolate", clip, clip.times[:, :2] + 0.0).shape == (3, 2, 1, 16, 16)
    assert "from the first observed frame on" in refused(system, "interpolate", clip, torch.tensor([[-0.1]] * 3))
    present = torch.ones(3, SHOWN, dtype=torch.bool)
    present[:, 0] = False
    refused(system, "interpolate", clip, clip.times[:, :1] + 0.0, present=present)


@pytest.mark.parametrize("name", [name for name in FAMILY if "predict" in verbs(name)])
def test_a_task_shows_no_missing_pixel(name: str) -> None:
    """What a system is shown in an evaluation is black where a pixel is missing, as in training."""
    valid = torch.ones(3, 10, 1, 16, 16, dtype=torch.bool)
    valid[:, 2:5, :, 4:9, 4:9] = False
    answers = []
    for filler in FILLERS:
        clip = clips()
        batch = as_batch(VideoClip(torch.where(valid, clip.frames, filler), clip.times))._replace(valid=valid)
        query = Predict(context=5).make_query(batch, VideoClip)
        answers.append(ask(tiny(name), "predict", query.observed, query.times))  # type: ignore[arg-type]
    for answer in answers:
        assert bool(answer.isfinite().all())
        assert torch.equal(answer, answers[0])
