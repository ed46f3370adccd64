import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from datamodules.base.clip_source import Source
from datamodules.base.module import check_disjoint, normalise
from datamodules.clip import check_clip
from datamodules.moving_shapes import CROSSING, WIDTHS, MovingShapes, MovingShapesSource
from datamodules.sampling import Regular

CLIPS = np.arange(20)


def source(rate: float = 16.0, frames: int = 32, **changes: int) -> MovingShapesSource:
    return MovingShapesSource(range(20), frames, rate, **changes)


def everything(of: MovingShapesSource, step: int = 1) -> np.ndarray:
    frames = np.arange(0, len(of.times(0)), step)
    return of.read(CLIPS, np.tile(frames, (20, 1)))


def test_four_times_the_frame_rate_is_the_same_motion() -> None:
    slow, fast = source(), source(64.0, 125)
    assert isinstance(slow, Source)
    assert_array_equal(everything(slow), everything(fast, step=4))
    assert_allclose(slow.times(0), fast.times(0)[::4])


def test_a_frame_does_not_depend_on_what_it_is_read_with() -> None:
    alone = source().read(np.array([3]), np.array([[17]]))
    assert_array_equal(alone[0, 0], everything(source())[3, 17])


def test_brightness_has_its_centre_where_the_shape_is() -> None:
    pictures = everything(source()).astype(float).sum(axis=2)
    centres = source().centres(CLIPS, np.tile(source().times(0), (20, 1)))
    pixel = np.arange(64) + 0.5
    total = pictures.sum(axis=(-2, -1))
    ours = np.stack([(pictures.sum(-2) @ pixel) / total, (pictures.sum(-1) @ pixel) / total], axis=-1)
    assert_allclose(ours, centres, atol=0.1)


def test_classes_cross_in_their_direction() -> None:
    of = source(classes=4)
    ends = of.centres(CLIPS, np.tile([0.0, CROSSING], (20, 1)))
    crossing = ends[:, 1] - ends[:, 0]
    labels = of.labels()
    assert set(labels) == {0, 1, 2, 3}
    assert (crossing[labels == 0, 1] < -45).all()  # to the top
    assert (crossing[labels == 1, 0] < -45).all()  # to the left
    assert (crossing[labels == 2, 1] > 45).all()
    assert (crossing[labels == 3, 0] > 45).all()
    assert set(source().labels()) == {0, 1}


def test_the_shape_comes_back_the_way_it_went() -> None:
    times = np.tile(np.linspace(0, CROSSING, 7), (20, 1))
    assert_allclose(source().centres(CLIPS, 2 * CROSSING - times), source().centres(CLIPS, times), atol=1e-9)


@pytest.mark.parametrize("size", [16, 32, 64, 100])
def test_shapes_are_whole_and_of_the_stated_size(size: int) -> None:
    pictures = everything(source(size=size)).astype(float)
    colour = pictures.max(axis=(1, 3, 4), keepdims=True)
    area = (pictures / colour).mean(axis=2).sum(axis=(-2, -1))
    scale = (size / 64) ** 2
    assert area.min() > 0.75 * (WIDTHS[0] * 0.9) ** 2 * np.pi / 4 * scale
    assert area.max() < 1.05 * WIDTHS[1] ** 2 * scale
    if size >= 64:
        assert_allclose(area, area[:, :1] * np.ones_like(area), rtol=0.02)  # nothing is cut off on the way


def test_drawing_is_exact_for_squares_and_close_for_discs() -> None:
    pictures = everything(source()).astype(float)
    widths, square = source()._widths, source()._square
    colour = source()._colours[:, None, :]
    area = (pictures.sum(axis=(-2, -1)) / colour).mean(axis=(1, 2))
    assert_allclose(area[square], widths[square] ** 2, rtol=0.01)
    assert_allclose(area[~square], np.pi / 4 * widths[~square] ** 2, rtol=0.02)


def test_splits_are_of_different_seeds_and_batches_keep_the_contract() -> None:
    data = MovingShapes(train_clips=30, val_clips=5, test_clips=7, sampling=Regular(num_frames=8), batch_size=4)
    data.setup()
    sources = {split: data.source(split) for split in ("train", "val", "test")}
    check_disjoint(sources)
    assert not np.array_equal(everything(source())[:7], sources["test"].read(CLIPS[:7], np.tile(np.arange(32), (7, 1))))
    batch = next(iter(data.train_dataloader()))
    assert batch.clip.frames.shape == (4, 8, data.channels, *data.size)
    check_clip(normalise(batch).clip)
    assert_array_equal(batch.labels, sources["train"].labels()[batch.ids >> 24])


def test_data_ids_follow_the_settings() -> None:
    ids = {MovingShapes(sampling=Regular(), **c).data_id("test") for c in ({}, {"frame_rate": 64.0}, {"classes": 4})}
    assert len(ids) == 3
    assert all(name.startswith("moving-shapes-64px-3ch-test-") for name in ids)
