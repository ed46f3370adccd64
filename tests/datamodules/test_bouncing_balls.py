"""Laws of the exact simulation: energy, walls, contact, and one motion whatever the frame rate."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

from datamodules.bouncing_balls import (
    BOX,
    RADIUS,
    SPEED,
    BouncingBalls,
    BouncingBallsSource,
    initial_state,
    render,
    simulate,
)
from datamodules.sampling import Regular


def motion_of(seeds: range, duration: float = 5.0):
    states = [initial_state(seed) for seed in seeds]
    return simulate(np.stack([p for p, _ in states]), np.stack([v for _, v in states]), duration)


def test_energy_is_kept_through_every_collision() -> None:
    motion = motion_of(range(20))
    energy = (motion.velocities**2).sum(axis=(2, 3))
    assert_allclose(energy, (SPEED * 20) ** 2, rtol=1e-9)
    assert np.isfinite(motion.starts).sum(axis=1).min() > 5  # there were collisions


def test_balls_stay_in_the_box_and_apart() -> None:
    times = np.broadcast_to(np.linspace(0, 5, 997), (20, 997))
    centres = motion_of(range(20)).at(times)
    assert centres.min() >= RADIUS - 1e-9
    assert centres.max() <= BOX - RADIUS + 1e-9
    for one, other in [(0, 1), (0, 2), (1, 2)]:
        assert np.linalg.norm(centres[:, :, one] - centres[:, :, other], axis=-1).min() >= 2 * RADIUS - 1e-9


def test_motion_run_backwards_returns_to_its_start() -> None:
    position, velocity = (np.stack(part) for part in zip(*(initial_state(seed) for seed in range(5)), strict=True))
    there = simulate(position, velocity, 0.8)
    ends = np.full((5, 1), 0.8)
    piece = (there.starts <= 0.8).sum(axis=1) - 1
    last_velocity = there.velocities[np.arange(5), piece]
    back = simulate(there.at(ends)[:, 0], -last_velocity, 0.8)
    assert_allclose(back.at(ends)[:, 0], position, atol=1e-6)


def test_four_times_the_frame_rate_passes_through_the_same_frames() -> None:
    coarse = BouncingBallsSource(range(3), 20, 20.0)
    fine = BouncingBallsSource(range(3), 77, 80.0)
    clips = np.arange(3)
    ours = fine.read(clips, np.tile(np.arange(0, 77, 4), (3, 1)))
    theirs = coarse.read(clips, np.tile(np.arange(20), (3, 1)))
    assert_allclose(ours, theirs, atol=1)  # one grey level of rounding
    assert coarse.fingerprint != fine.fingerprint


def test_keypoints_lie_where_the_light_is() -> None:
    source = BouncingBallsSource(range(1), 1, 20.0)
    keypoints, _ = source.read_keypoints(np.array([0]), np.array([[0]]))
    pixels = (keypoints[0, 0] + 1) / 2 * 31
    for x, y in pixels:
        alone = render((np.array([[x, y]], dtype=np.float64) + 0.5) * BOX / 32)[0].astype(float)
        rows, columns = np.mgrid[:32, :32]
        assert_allclose([(alone * columns).sum() / alone.sum(), (alone * rows).sum() / alone.sum()], [x, y], atol=0.02)
    frame = source.read(np.array([0]), np.array([[0]]))[0, 0, 0]
    for x, y in pixels:
        assert frame[round(float(y)), round(float(x))] > 250


def test_splits_share_no_seed_and_have_the_paper_sizes() -> None:
    data = BouncingBalls(sampling=Regular(20, start="first"))
    data.setup()  # proves disjointness
    assert [len(data.source(split)) for split in ("train", "val", "test")] == [1000, 50, 50]


def test_too_many_balls_are_refused() -> None:
    with pytest.raises(ValueError, match="do not fit"):
        initial_state(0, balls=12)
