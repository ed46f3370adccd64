"""The path of a moving shape is where the simulation knows it to be, and its distance sees motion and nothing else."""

import numpy as np
import torch
from torch import Tensor
from torch.testing import assert_close

from benchmarks.metrics.features.shape_path import shape_paths
from benchmarks.metrics.shape_path import ShapePathDistance
from datamodules.moving_shapes import MovingShapesSource
from support.feature_maker import clip, ids_of

COUNT, TIME, SIZE = 64, 16, 32


def shapes(first: int) -> tuple[Tensor, Tensor]:
    """Frames of moving shapes, and their true centres in the unit in which the picture is 2 wide."""
    source = MovingShapesSource(range(first, first + COUNT), TIME, 16.0, SIZE)
    clips, times = np.arange(COUNT), np.tile(np.arange(TIME) / 16.0, (COUNT, 1))
    frames = torch.from_numpy(source.render(clips, times)).float() / 127.5 - 1
    return frames, torch.from_numpy(source.centres(clips, times) * 2 / SIZE - 1).float()


def distance(prediction: Tensor, target: Tensor) -> float:
    metric = ShapePathDistance(frames=TIME)
    metric.update(clip(prediction), clip(target), ids_of(COUNT))
    return float(metric.compute())


def test_the_path_is_the_simulations_own() -> None:
    frames, centres = shapes(0)
    assert_close(shape_paths(frames), centres, rtol=0, atol=2 / SIZE / 8)


def test_a_black_clip_stays_in_the_middle() -> None:
    assert_close(shape_paths(torch.full((2, TIME, 3, SIZE, SIZE), -1.0)), torch.zeros(2, TIME, 2))


def test_it_sees_order_and_direction_and_is_blind_to_looks() -> None:
    target, other = shapes(0)[0], shapes(1000)[0]
    generator = torch.Generator().manual_seed(0)
    shuffled = torch.stack([one[torch.randperm(TIME, generator=generator)] for one in target])
    far = min(distance(prediction, target) for prediction in (shuffled, other.flip(1), other[:, :1].expand_as(other)))
    assert distance(0.5 * target - 0.5, target) < 1e-3 * far  # half as bright
    assert 3 * distance(other, target) < far


def test_its_name_says_what_it_looks_at() -> None:
    metric = ShapePathDistance(clips=512)
    assert metric.name == "distance512_16f_shape_path"
    assert not metric.higher_is_better
