"""The motion course sees when pictures change: what jumps is far from what moves, and looks do not count."""

from pathlib import Path

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from baselines.linear_blend import LinearBlend
from baselines.nearest_frame import NearestFrame
from benchmarks.evaluation.query import Query, with_neighbours
from benchmarks.evaluation.task_evaluator import TaskEvaluator
from benchmarks.evaluation.tasks import Generate, Inbetween, Interpolate, Predict, Task
from benchmarks.metrics.motion_course import MotionCourse, MotionCourseDistance, energy_distance, pseudo_values
from datamodules.clip import Batch, VideoClip
from datamodules.storage.pictures import read_picture
from support.feature_maker import clip, ids_of

FRAMES = 9
STRIPS = Path(__file__).parents[4] / "shared/data/weizmann_actions"


def distance(prediction: Tensor, target: Tensor) -> float:
    metric = MotionCourseDistance(frames=target.shape[1])
    metric.update(clip(prediction), clip(target), ids_of(len(target)))
    return float(metric.compute())


def moving(count: int = 12, seed: int = 0) -> Tensor:
    """Edges that move by 0.5 to 3 pixels a frame, with a speed that varies by a tenth from step to step."""
    generator = torch.Generator().manual_seed(seed)
    speed = 0.5 + 2.5 * torch.rand(count, 1, generator=generator)
    steps = speed * (1 + 0.1 * torch.randn(count, FRAMES, generator=generator))
    place = 8 + steps.cumsum(dim=1)
    ramp = (torch.arange(64.0) - place[..., None, None, None]).clamp(-1, 1)
    return ramp.expand(count, FRAMES, 3, 8, 64)


def nearest(target: Tensor) -> Tensor:
    half = FRAMES // 2
    return torch.cat([target[:, :1].expand(-1, half, -1, -1, -1), target[:, -1:].expand(-1, half + 1, -1, -1, -1)], 1)


def test_the_shares_are_those_of_the_formula() -> None:
    frames = torch.rand(2, 5, 3, 4, 6)
    change = torch.tensor([[float((x[t + 1] - x[t]).abs().mean()) for t in range(4)] for x in frames])
    shares = MotionCourse()(frames)
    assert_close(shares[:, :4], change / change.sum(dim=1, keepdim=True))
    assert_close(shares.sum(dim=1), torch.ones(2))
    assert torch.equal(MotionCourse()(torch.zeros(1, 5, 3, 4, 6)), torch.tensor([[0.0, 0, 0, 0, 1]]))


def test_the_distance_is_that_of_the_definition() -> None:
    x, y = (torch.rand(n, 5, generator=torch.Generator().manual_seed(n)) for n in (4, 3))

    def mean(one: Tensor, two: Tensor) -> float:
        return sum(float((a - b).abs().sum()) / 2 for a in one for b in two) / (len(one) * len(two))

    assert energy_distance(x, y) == pytest.approx(mean(x, y) - mean(x, x) / 2 - mean(y, y) / 2, rel=1e-6)


def test_a_set_is_at_no_distance_from_itself_in_any_order_brightness_and_contrast() -> None:
    target = moving()
    assert distance(target, target) == 0
    assert distance(target.flip(0), target) == pytest.approx(0, abs=1e-9)
    assert distance(0.3 * target - 0.5, target) == pytest.approx(0, abs=1e-6)  # float32 frames


def test_what_holds_jumps_and_holds_is_far_from_what_moves_and_other_clips_are_near() -> None:
    target = moving()
    jump = distance(nearest(target), target)
    # all change in one of 8 steps, where real clips have an eighth: 1 - 1/8 less half the spread of real clips
    assert 0.8 < jump < 0.875
    assert distance(moving(seed=1), target) < 0.02 < jump
    even = torch.linspace(0, 1, FRAMES)[None, :, None, None, None]
    blend = target[:, :1] * (1 - even) + target[:, -1:] * even
    assert distance(blend, target) < 0.05  # a steady change against a steady motion
    held = torch.cat([target[:, :1].expand(-1, FRAMES - 1, -1, -1, -1), target[:, -1:]], 1)
    assert distance(held, target) > 0.8
    assert distance(target[:, :1].expand_as(target), target) > 0.9  # what stands still has no course


def test_pseudo_values_are_the_jackknifes_and_have_no_bias_from_the_number_of_clips() -> None:
    x, y = (MotionCourse()(moving(10, seed)) for seed in (1, 2))
    kept = [[j for j in range(10) if j != i] for i in range(10)]
    by_hand = [10 * energy_distance(x, y) - 9 * energy_distance(x[rest], y[rest]) for rest in kept]
    assert_close(pseudo_values(x, y), torch.tensor(by_hand, dtype=torch.float64))
    draws = [MotionCourse()(moving(10, seed)) for seed in range(40)]
    pairs = list(zip(draws[::2], draws[1::2], strict=True))
    plain = torch.tensor([energy_distance(*pair) for pair in pairs])
    corrected = torch.stack([pseudo_values(*pair).mean() for pair in pairs])
    # 20 pairs of sets of one distribution: the mean is 0 within three standard errors
    assert abs(float(corrected.mean())) < 3 * float(corrected.std()) / 20**0.5 < float(plain.mean())


def batch_of(frames: Tensor) -> Batch:
    count, length = frames.shape[:2]
    ids = ids_of(count)
    return Batch(clip(frames), ids, ids, torch.full((count,), -1), torch.ones(count, length, dtype=torch.bool))


def batch() -> Batch:
    return batch_of(torch.rand(3, 9, 1, 8, 8, generator=torch.Generator().manual_seed(0)))


@pytest.mark.parametrize(
    ("task", "kept"),
    [
        (Predict(context=4), range(3, 9)),
        (Inbetween(), range(9)),
        (Inbetween(count=3), range(2, 7)),
        (Inbetween(whole=True), range(9)),
        (Interpolate(stride=4), range(9)),
        (Generate(), range(9)),
    ],
    ids=lambda value: getattr(value, "name", ""),
)
def test_a_metric_gets_the_observed_frames_beside_the_predicted_ones(task: Task, kept: range) -> None:
    query = task.make_query(batch(), VideoClip)
    whole = with_neighbours(query, query.target)
    assert torch.equal(whole.frames, batch().clip.frames[:, list(kept)])  # type: ignore[union-attr]
    assert torch.equal(whole.times, batch().clip.times[:, list(kept)])


def test_a_missing_neighbour_adds_no_change() -> None:
    present = torch.ones(3, 9, dtype=torch.bool)
    present[1, 3] = False
    query = Predict(context=4).make_query(batch()._replace(present=present), VideoClip)
    assert isinstance(query, Query)
    frames = with_neighbours(query, query.target).frames
    assert torch.equal(frames[1, 0], frames[1, 1])
    assert not torch.equal(frames[0, 0], frames[0, 1])


@pytest.mark.parametrize("whole", [False, True])
def test_the_jump_at_an_end_counts_whatever_the_other_metrics_get(whole: bool) -> None:
    task = Inbetween(whole=whole)
    evaluator = TaskEvaluator(task, "inbetween", [MotionCourseDistance(frames=9)])
    query = task.make_query(batch(), VideoClip)
    start = query.observed.frames[:, :1].expand(-1, 7, -1, -1, -1)  # type: ignore[union-attr]
    evaluator.update(None, query, VideoClip(start, query.times), batch())
    (metric,) = evaluator.metrics
    assert metric.per_clip().values.shape == (3,)  # type: ignore[attr-defined]
    rows = metric.kept("prediction")[1]  # type: ignore[attr-defined]
    assert_close(rows, torch.tensor([0.0] * 7 + [1.0, 0.0]).expand(3, -1))


def windows(people: range) -> Tensor:
    """The consecutive windows of 16 frames of Weizmann's people, in [-1, 1]."""
    clips = []
    for action in sorted(STRIPS.iterdir()):
        for number in people:
            strip = torch.from_numpy(read_picture(sorted(action.glob("*.jpg"))[number])).float() / 127.5 - 1
            frames = strip.unflatten(1, (-1, 64)).permute(1, 3, 0, 2)
            clips += [part for part in frames.split(16) if len(part) == 16]
    return torch.stack(clips)


@pytest.mark.skipif(not STRIPS.is_dir(), reason=f"real data are not at hand: there is no folder {STRIPS}")
def test_real_people_are_nearest_to_other_people_then_to_a_blend_and_far_from_what_jumps() -> None:
    target = windows(range(7, 9))
    other = windows(range(7))
    other = other[torch.linspace(0, len(other) - 1, len(target)).long()]
    query = Inbetween().make_query(batch_of(target), VideoClip)
    found = {"other": distance(other, target)}
    for system in (LinearBlend(), NearestFrame()):
        answer = with_neighbours(query, Inbetween().run(system, query))
        assert isinstance(answer, VideoClip)
        found[type(system).__name__] = distance(answer.frames, target)
    # of all pairs of real clips a tenth of the change falls into other steps: two sets differ by 0.1 / 34 by chance
    assert found["other"] < 0.01 < found["LinearBlend"] < 0.1 < 0.8 < found["NearestFrame"]
