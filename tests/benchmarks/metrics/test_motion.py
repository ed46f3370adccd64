"""Fréchet distances of motions: zero for the same clips, that of the flattened paths, sensitive to shuffled time."""

import pytest
import torch
from torch.testing import assert_close

from benchmarks.metrics.frechet import frechet_distance
from benchmarks.metrics.motion import FrechetMotionDistance, FrechetStepDistance, FrechetTrajectoryDistance
from datamodules.clip import KeypointClip, Trajectory


def paths(count: int = 40) -> torch.Tensor:
    start, speed = torch.randn(count, 1, 2), torch.randn(count, 1, 2)
    return start + speed * torch.arange(4.0)[:, None]


def test_it_is_the_distance_of_whole_paths_and_notices_shuffled_time() -> None:
    torch.manual_seed(0)
    ids, times = torch.arange(40), (torch.arange(4) / 10).expand(40, -1)
    real, made = paths(), paths()
    values = {}
    for name, prediction in (("same", real), ("made", made), ("shuffled", real[:, [2, 0, 3, 1]])):
        metric = FrechetTrajectoryDistance()
        metric.update(Trajectory(prediction, times), Trajectory(real, times), ids)
        values[name] = float(metric.compute())
        assert metric.measurement().n == 40
        assert_close(values[name], frechet_distance(prediction.flatten(1), real.flatten(1)))
    assert abs(values["same"]) < 1e-4
    assert values["shuffled"] > values["made"] > 0.01


def test_of_keypoints() -> None:
    torch.manual_seed(0)
    ids, times = torch.arange(40), (torch.arange(4) / 10).expand(40, -1)
    points = paths()[:, :, None]
    clip = KeypointClip(torch.zeros(40, 4, 0, 8, 8), times, points, torch.ones(40, 4, 1))
    metric = FrechetMotionDistance()
    metric.update(clip._replace(keypoints=points + 1), clip, ids)
    assert_close(float(metric.compute()), 8.0, atol=1e-4, rtol=0)  # a shift by 1 of 4 moments in 2 directions


def swings(count: int, phase: float = 0.0) -> KeypointClip:
    """Two joints that swing against each other."""
    times = (torch.arange(8) / 10).expand(count, -1)
    angle = 6 * times + 6.28 * torch.rand(count, 1) + phase
    points = torch.stack([angle.sin(), angle.cos(), -angle.sin(), 0.1 * torch.randn(count, 8)], -1).unflatten(
        -1, (2, 2)
    )
    return KeypointClip(torch.zeros(count, 8, 0, 8, 8), times, points, torch.ones(count, 8, 2))


def test_steps_are_poses_with_their_displacements() -> None:
    torch.manual_seed(0)
    real, made, ids = swings(30), swings(30), torch.arange(30)
    metric = FrechetStepDistance()
    metric.update(made, real, ids)
    moments = [clip.keypoints.flatten(2) for clip in (made, real)]
    theirs = [torch.cat([x[:, :-1], x[:, 1:] - x[:, :-1]], -1).reshape(-1, 8) for x in moments]
    assert_close(float(metric.compute()), frechet_distance(*theirs))
    assert metric.measurement().n == 30


def test_shuffled_motion_is_far_from_motion_whose_poses_are_the_same() -> None:
    torch.manual_seed(0)
    real, made, ids = swings(30), swings(30), torch.arange(30)
    values = {}
    for metric in (FrechetStepDistance(), FrechetStepDistance(shuffled=True)):
        for part in (slice(0, 12), slice(12, 30)):
            prediction, target = (KeypointClip(*(field[part] for field in clip)) for clip in (made, real))
            metric.update(prediction, target, ids[part])
        values[metric.name] = float(metric.compute())
    assert values["shuffled_frechet_step_distance"] > 5 * values["frechet_step_distance"]


def test_in_units_of_the_spread_no_joint_is_larger_and_standing_still_is_far() -> None:
    torch.manual_seed(0)
    real, made, ids = swings(30), swings(30), torch.arange(30)
    still = made._replace(keypoints=made.keypoints[:, :1].expand_as(made.keypoints))
    scale = torch.tensor([[1.0, 20.0], [0.05, 3.0]])

    def distance(prediction: KeypointClip, target: KeypointClip, standardised: bool = True) -> float:
        metric = FrechetStepDistance(standardised=standardised)
        metric.update(prediction, target, ids)
        assert metric.name == ("standardised_" if standardised else "") + "frechet_step_distance"
        return float(metric.compute())

    scaled = [clip._replace(keypoints=clip.keypoints * scale) for clip in (made, real)]
    assert_close(distance(*scaled), distance(made, real), rtol=1e-3, atol=1e-3)
    moments = [clip.keypoints.flatten(2) for clip in (made, real)]
    theirs = [torch.cat([x[:, :-1], x[:, 1:] - x[:, :-1]], -1).reshape(-1, 8) for x in moments]
    assert_close(distance(made, real), frechet_distance(*(x / theirs[1].std(0) for x in theirs)), rtol=1e-4, atol=1e-4)
    assert distance(still, real) > 5 * distance(made, real)
    with pytest.raises(ValueError, match=r"4 of .* 8 .*constant"):
        distance(made, still)
