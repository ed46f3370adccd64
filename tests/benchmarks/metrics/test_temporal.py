"""The motion distance sees what frames alone cannot show, and not what they look like."""

import pytest
import torch
from torch import Tensor

from benchmarks.metrics.features.motion import MotionHistograms, block_motion
from benchmarks.metrics.fid import FrechetInceptionDistance
from benchmarks.metrics.temporal import TemporalDistance
from support.feature_maker import Tiny, clip, ids_of

COUNT, TIME = 24, 8


def squares(count: int, seed: int) -> Tensor:
    """A textured square on a textured ground, in uniform motion."""
    generator = torch.Generator().manual_seed(seed)
    ground = 0.3 * torch.rand(count, 1, 1, 64, 64, generator=generator).repeat(1, TIME, 1, 1, 1) - 0.5
    start = torch.randint(12, 32, (count, 2), generator=generator)
    velocity = torch.randint(-1, 2, (count, 2), generator=generator)
    texture = torch.rand(count, 20, 20, generator=generator)
    for i in range(count):
        for t in range(TIME):
            y, x = (start[i] + velocity[i] * t).tolist()
            ground[i, t, 0, y : y + 20, x : x + 20] = texture[i]
    return ground


def distance(metric: TemporalDistance | FrechetInceptionDistance, prediction: Tensor, target: Tensor) -> float:
    metric.update(clip(prediction), clip(target), ids_of(COUNT))
    return float(metric.compute())


def test_shuffled_frames_are_far_away_though_every_statistic_of_frames_is_equal() -> None:
    target, other = squares(COUNT, 0), squares(COUNT, 1)
    generator = torch.Generator().manual_seed(0)
    shuffled = torch.stack([one[torch.randperm(TIME, generator=generator)] for one in target])
    noisy = (0.7 * target + 0.1 + 0.05 * torch.randn(target.shape, generator=generator)).clamp(-1, 1)  # other looks

    def motion(prediction: Tensor) -> float:
        return distance(TemporalDistance(frames=TIME), prediction, target)

    def frames(prediction: Tensor) -> float:
        return distance(FrechetInceptionDistance(Tiny(), frames=TIME), prediction, target)

    print(f"motion: other {motion(other):.4f}, shuffled {motion(shuffled):.4f}, noisy {motion(noisy):.4f}")
    print(f"frames: other {frames(other):.4f}, shuffled {frames(shuffled):.2e}, noisy {frames(noisy):.4f}")
    assert frames(shuffled) < 1e-6 < 1e-3 < frames(noisy)  # a FID calls the shuffled clips perfect
    assert motion(shuffled) > 5 * motion(other)
    assert motion(shuffled) > 5 * motion(noisy)  # content does not bias it
    assert motion(target) == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize("shift", [(0, 0), (3, 0), (-2, 1), (4, -4)])
def test_block_motion_finds_a_known_shift(shift: tuple[int, int]) -> None:
    world = torch.rand(1, 96, 96, generator=torch.Generator().manual_seed(0)) * 2 - 1
    x, y = shift
    frames = torch.stack([world[:, 16 - t * y : 80 - t * y, 16 - t * x : 80 - t * x] for t in range(3)])[None]
    found = block_motion(frames)[0, :, :, 1:-1, 1:-1]  # what enters at the border has no match
    assert found[:, 0].eq(x).all()
    assert found[:, 1].eq(y).all()


def test_where_nothing_is_seen_nothing_moves() -> None:
    grey = torch.linspace(-1, 1, 5)[:, None, None, None].expand(1, 5, 3, 40, 56)  # it grows brighter
    assert MotionHistograms()(grey.contiguous()).abs().max() == 0


def test_it_is_blind_to_brightness_and_contrast() -> None:
    frames = squares(2, 3)
    ours, theirs = MotionHistograms()(frames), MotionHistograms()(0.8 * frames + 0.1)
    assert ours.shape == (2, 64)
    torch.testing.assert_close(ours, theirs, rtol=0, atol=0.1 * float(ours.max()))


def test_the_name_says_what_it_is() -> None:
    assert TemporalDistance(clips=256).name == "temporal256_16f_motion_histograms"
    with pytest.raises(ValueError, match="at least 3 frames"):
        TemporalDistance(frames=2)
