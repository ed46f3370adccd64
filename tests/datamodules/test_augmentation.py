import math

import pytest
import torch
from torch.testing import assert_close

from datamodules.augmentation import Augmentation, flip, rotate
from datamodules.clip import Batch, KeypointClip, Trajectory, VideoClip


def batch(height: int = 33, width: int = 33, count: int = 4) -> Batch:
    """Blobs whose centres are keypoints: joints 0 and 1 a left and a right one, 2 alone."""
    generator = torch.Generator().manual_seed(0)
    keypoints = torch.rand(count, 2, 3, 2, generator=generator) - 0.5
    clip = KeypointClip(
        torch.zeros(count, 2, 3, height, width),
        torch.tensor([[0.0, 0.1]]).expand(count, 2),
        keypoints,
        torch.rand(count, 2, 3, generator=generator),
    )
    clip = clip._replace(frames=drawn(keypoints, height, width))
    ids = torch.arange(count)
    return Batch(clip, ids, ids, torch.zeros(count).long(), torch.ones(count, 2, dtype=torch.bool))


def drawn(keypoints: torch.Tensor, height: int, width: int) -> torch.Tensor:
    """One channel for each joint, a blob at its place."""
    y = (torch.arange(height)[:, None] - (keypoints[..., 1, None, None] + 1) / 2 * (height - 1)) ** 2
    x = (torch.arange(width)[None, :] - (keypoints[..., 0, None, None] + 1) / 2 * (width - 1)) ** 2
    return 2 * torch.exp(-(x + y) / 12) - 1


def test_a_flip_is_an_involution_and_leaves_the_others_alone() -> None:
    start, chosen = batch(), torch.tensor([True, False, True, False])
    once = flip(start, chosen, joint_pairs=((0, 1),))
    assert_close(once.clip.frames[1], start.clip.frames[1])
    assert_close(once.clip.frames[0], start.clip.frames[0].flip(-1))
    twice = flip(once, chosen, joint_pairs=((0, 1),))
    assert_close(tuple(twice.clip), tuple(start.clip))


def test_a_flip_changes_left_and_right_joints() -> None:
    start = batch()
    once = flip(start, torch.ones(4, dtype=torch.bool), joint_pairs=((0, 1),)).clip
    mirror = torch.tensor([-1.0, 1.0])
    assert_close(once.keypoints[:, :, 0], start.clip.keypoints[:, :, 1] * mirror)
    assert_close(once.keypoints[:, :, 2], start.clip.keypoints[:, :, 2] * mirror)
    assert_close(once.confidence[..., 1], start.clip.confidence[..., 0])


@pytest.mark.parametrize(("height", "width"), [(33, 33), (33, 49)])
@pytest.mark.parametrize("degrees", [-10.0, 4.0, 90.0])
def test_keypoints_turn_with_the_pixels(height: int, width: int, degrees: float) -> None:
    turned = rotate(batch(height, width), torch.full((4,), math.radians(degrees))).clip
    inside = (turned.keypoints.abs() < 0.7).all(-1)[..., None, None]
    theirs = drawn(turned.keypoints, height, width)
    # blobs are round in pixels, so they only move; bilinear interpolation flattens their tips a little
    assert ((turned.frames - theirs).abs() * inside).max() < 0.12
    assert inside.sum() > 5


def test_keypoints_of_a_flip_follow_the_pixels() -> None:
    turned = flip(batch(), torch.ones(4, dtype=torch.bool)).clip
    assert_close(turned.frames, drawn(turned.keypoints, 33, 33))


def test_a_positive_angle_turns_counter_clockwise() -> None:
    start = batch(9, 9, 1)
    frames = torch.full((1, 2, 3, 9, 9), -1.0)
    frames[..., 4, 8] = 1.0  # at the right
    turned = rotate(start._replace(clip=start.clip._replace(frames=frames)), torch.tensor([math.pi / 2])).clip
    assert_close(turned.frames[..., 0, 4], torch.ones(1, 2, 3), atol=1e-5, rtol=0)  # at the top


def test_no_rotation_is_identity() -> None:
    start = batch()
    assert_close(tuple(rotate(start, torch.zeros(4)).clip), tuple(start.clip), atol=1e-5, rtol=0)


def test_there_and_back_is_identity_away_from_the_border() -> None:
    start, angles = batch(), torch.tensor([0.1, -0.1, 0.17, 0.05])
    back = rotate(rotate(start, angles), -angles).clip
    assert_close(back.keypoints, start.clip.keypoints)
    assert (back.frames - start.clip.frames)[..., 8:-8, 8:-8].abs().max() < 0.2


def test_what_comes_in_from_outside_is_black_and_not_valid() -> None:
    start = batch()._replace(valid=torch.ones(4, 2, 1, 33, 33, dtype=torch.bool))
    start = start._replace(clip=start.clip._replace(frames=torch.ones_like(start.clip.frames)))
    turned = rotate(start, torch.full((4,), math.radians(10)))
    assert_close(turned.clip.frames[..., 0, 0], torch.full((4, 2, 3), -1.0))
    assert not turned.valid[..., 0, 0].any()
    assert turned.valid[..., 16, 16].all()
    assert_close(turned.clip.frames[..., 16, 16], torch.ones(4, 2, 3))


def test_draws_depend_on_the_clip_and_not_on_its_place() -> None:
    augmentation, ids = Augmentation(), torch.arange(200) * 2**24 + 3
    flips, angles = augmentation.sample_parameters(ids, seed=0, epoch=4)
    order = torch.randperm(200)
    again = augmentation.sample_parameters(ids[order], seed=0, epoch=4)
    assert torch.equal(again[0], flips[order])
    assert torch.equal(again[1], angles[order])
    assert 60 < int(flips.sum()) < 140
    assert 0.16 < float(angles.abs().max()) <= math.radians(10)
    assert not torch.equal(augmentation.sample_parameters(ids, seed=0, epoch=5)[1], angles)


def test_all_frames_of_a_clip_are_changed_alike() -> None:
    start = batch()
    still = start._replace(clip=start.clip._replace(frames=start.clip.frames[:, :1].expand(-1, 2, -1, -1, -1)))
    frames = Augmentation()(still, seed=0, epoch=0).clip.frames
    assert_close(frames[:, 0], frames[:, 1])


def test_a_video_clip_without_joints_and_a_trajectory() -> None:
    start = batch()
    video = start._replace(clip=VideoClip(start.clip.frames, start.clip.times))
    ours = Augmentation()(video, seed=0, epoch=0).clip
    assert_close(ours.frames, Augmentation()(start, seed=0, epoch=0).clip.frames)
    path = start._replace(clip=Trajectory(torch.zeros(4, 2, 2), start.clip.times))
    with pytest.raises(ValueError, match="augmentation: null"):
        Augmentation()(path, seed=0, epoch=0)
