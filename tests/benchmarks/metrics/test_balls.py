"""Ball-position error: exact on true frames, calm under blur, and the ignorant guess's error for who shows no ball."""

from itertools import permutations

import pytest
import torch
from torch import Tensor
from torchvision.transforms.functional import gaussian_blur

from benchmarks.metrics.balls import BallPositionError, find_balls
from datamodules.clip import KeypointClip, VideoClip, sample_id

SIZE, RADIUS = 32, 1.2 / 10 * 32


def render(centres: Tensor, size: int = SIZE, radius: float = RADIUS) -> Tensor:
    """Frames in [0, 1] of balls at `centres`, x then y in pixels."""
    place = torch.arange(size, dtype=torch.float64)
    squared = (place - centres[..., :1])[..., None, :] ** 2 + (place - centres[..., 1:])[..., :, None] ** 2
    return torch.exp(-((squared / radius**2) ** 4)).sum(-3).clamp(max=1)


def places(clips: int, frames: int, balls: int = 3, seed: int = 0, size: int = SIZE, radius: float = RADIUS) -> Tensor:
    """Centres at random, inside the walls, touching at most; every tenth clip has two that touch exactly."""
    generator = torch.Generator().manual_seed(seed)
    low, high = radius - 0.5, size - radius - 0.5
    kept: list[Tensor] = []
    while len(kept) < clips * frames:
        centres = torch.rand(balls, 2, generator=generator, dtype=torch.float64) * (high - low) + low
        if balls > 1 and len(kept) % 10 == 0:
            angle = torch.rand(1, generator=generator, dtype=torch.float64) * 2 * torch.pi
            centres[1] = centres[0] + 2 * radius * torch.cat([angle.cos(), angle.sin()])
        apart = torch.nn.functional.pdist(centres)
        inside = bool((centres >= low).all() and (centres <= high).all())
        if inside and (balls == 1 or float(apart.min()) >= 2 * radius - 1e-9):
            kept.append(centres)
    return torch.stack(kept).reshape(clips, frames, balls, 2)


def case(frames: Tensor, centres: Tensor) -> tuple[VideoClip, KeypointClip, Tensor]:
    """A prediction with frames in [0, 1], the target, and ids."""
    clips, length, balls = centres.shape[:3]
    times = torch.arange(float(length)).expand(clips, -1)
    prediction, target = (
        2 * (f.float() if f.ndim == 5 else f.float()[:, :, None]) - 1
        for f in (frames, render(centres, frames.shape[-1]))
    )
    target = target.expand_as(prediction)
    keypoints = (2 * centres / (frames.shape[-1] - 1) - 1).float()
    ids = torch.tensor([sample_id(source, 0) for source in range(clips)])
    return VideoClip(prediction, times), KeypointClip(target, times, keypoints, torch.ones(clips, length, balls)), ids


def error_of(frames: Tensor, centres: Tensor) -> float:
    metric = BallPositionError()
    metric.update(*case(frames, centres))
    return float(metric.compute())


def matched(found: Tensor, centres: Tensor) -> Tensor:
    """The least mean distance over all pairings, by trying each."""
    orders = torch.tensor(list(permutations(range(centres.shape[-2]))))
    return (found[..., orders, :] - centres[..., None, :, :]).norm(dim=-1).mean(-1).amin(-1)


@pytest.mark.parametrize("levels", [None, 255])
def test_true_frames_have_next_to_no_error(levels: int | None) -> None:
    centres = places(10, 10)
    frames = render(centres) if levels is None else (render(centres) * levels).round() / levels
    metric = BallPositionError()
    metric.update(*case(frames, centres))
    assert metric.compute() < 0.01
    assert metric.kept("values")[1].max() < 0.05


def test_a_known_shift_is_measured() -> None:
    centres = places(4, 5)
    moved = (centres + torch.tensor([0.6, -0.8])).clamp(RADIUS - 0.5, SIZE - RADIUS - 0.5)
    assert error_of(render(moved), centres) == pytest.approx(float((moved - centres).norm(dim=-1).mean()), abs=0.02)


@pytest.mark.parametrize(("sigma", "bound"), [(1.0, 0.12), (2.0, 0.4)])
def test_blur_and_dimming_move_the_balls_little(sigma: float, bound: float) -> None:
    centres = places(5, 4)
    assert error_of(gaussian_blur(render(centres), [17, 17], [sigma, sigma]), centres) < bound
    assert error_of(0.5 * render(centres), centres) < 0.02


def test_repeating_the_last_frame_costs_the_motion() -> None:
    centres = places(6, 5)
    frames = render(centres[:, :1].expand_as(centres))
    expected = matched(centres[:, :1], centres).mean()
    assert error_of(frames, centres) == pytest.approx(float(expected), abs=0.02)


@pytest.mark.parametrize("grey", [0.0, 0.2, 1.0])
def test_who_shows_no_ball_gets_the_error_of_the_middle(grey: float) -> None:
    centres = places(6, 5)
    expected = float((centres - (SIZE - 1) / 2).norm(dim=-1).mean())
    found = error_of(torch.full((6, 5, SIZE, SIZE), grey, dtype=torch.float64), centres)
    if grey < 1:
        assert found == pytest.approx(expected, abs=1e-4)
    assert found > 5  # a white frame is full of balls, and no better than none


def test_the_training_mean_shows_no_ball() -> None:
    centres = places(6, 5)
    mean = render(places(1000, 1, seed=1)).mean((0, 1)).expand(6, 5, -1, -1)
    assert error_of(mean, centres) == pytest.approx(float((centres - (SIZE - 1) / 2).norm(dim=-1).mean()), abs=1e-4)


def test_a_missing_ball_is_in_the_middle_and_the_others_where_they_are() -> None:
    centres = places(5, 4)
    middle = torch.full_like(centres[..., 2:, :], (SIZE - 1) / 2)
    expected = matched(torch.cat([centres[..., :2, :], middle], -2), centres).mean()
    assert error_of(render(centres[..., :2, :]), centres) == pytest.approx(float(expected), abs=0.01)


def test_a_frame_is_judged_by_itself() -> None:
    centres = places(7, 3)
    frames = gaussian_blur(render(centres), [9, 9], [1.5, 1.5])
    frames[0] = 0.3 * torch.rand(frames[0].shape, generator=torch.Generator().manual_seed(0))
    together, alone = BallPositionError(), BallPositionError()
    prediction, target, ids = case(frames, centres)
    together.update(prediction, target, ids)
    for i in reversed(range(7)):
        alone.update(VideoClip(*(f[[i]] for f in prediction)), KeypointClip(*(f[[i]] for f in target)), ids[[i]])
    torch.testing.assert_close(together.kept("values")[1], alone.kept("values")[1], rtol=1e-9, atol=1e-9)


def test_other_sizes_numbers_and_colours() -> None:
    centres = places(2, 3, balls=5, size=96, radius=2 * RADIUS)
    frames = render(centres, 96, 2 * RADIUS)[:, :, None].expand(-1, -1, 3, -1, -1)
    metric = BallPositionError(radius=2 * RADIUS)
    metric.update(*case(frames, centres))
    assert metric.compute() < 0.05


def test_brightness_says_how_much_of_a_ball_there_is() -> None:
    centre = torch.tensor([[[16.0, 16.0]]], dtype=torch.float64)
    for share in (0.2, 1.0):
        found = find_balls(share * render(centre), 1, RADIUS)
        assert float(found.brightness) == pytest.approx(share, rel=1e-9)
        assert float((found.centres - centre).abs().max()) < 1e-6


def test_targets_without_centres_are_refused() -> None:
    prediction, target, ids = case(render(places(1, 2)), places(1, 2))
    with pytest.raises(ValueError, match="needs the true centres"):
        BallPositionError().update(prediction, VideoClip(target.frames, target.times), ids)
    with pytest.raises(ValueError, match="must be finite"):
        BallPositionError().update(prediction, target._replace(keypoints=target.keypoints * torch.nan), ids)
    with pytest.raises(ValueError, match="radius must be positive"):
        BallPositionError(radius=0.0)
