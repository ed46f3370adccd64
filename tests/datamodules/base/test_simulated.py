import pytest

from datamodules.base.module import SPLITS
from datamodules.base.simulated import SimulatedDataModule
from datamodules.bouncing_balls import BouncingBalls
from datamodules.moving_shapes import MovingShapes
from datamodules.pendulum import Pendulum
from datamodules.sampling import Regular

IDS = {
    Pendulum: ["pendulum-1px-0ch-train-8ecde48c", "pendulum-1px-0ch-val-62fa9888", "pendulum-1px-0ch-test-62d30f74"],
    BouncingBalls: [
        "bouncing-balls-32px-1ch-train-16b1b627",
        "bouncing-balls-32px-1ch-val-41840781",
        "bouncing-balls-32px-1ch-test-a9f0088b",
    ],
    MovingShapes: [
        "moving-shapes-64px-3ch-train-781bb321",
        "moving-shapes-64px-3ch-val-947b21b8",
        "moving-shapes-64px-3ch-test-1465d1bf",
    ],
}


def data(kind: type[SimulatedDataModule], **changes: int) -> SimulatedDataModule:
    clips = {"train_clips": 20, "val_clips": 3, "test_clips": 4, **changes}
    return kind(**clips, sampling=Regular(num_frames=5))


@pytest.mark.parametrize("kind", IDS, ids=lambda kind: kind.name)
def test_ids_stay_what_they_were_when_records_were_made(kind: type[SimulatedDataModule]) -> None:
    """Another version of a simulation must say so: its clips are others, and so are its ids."""
    assert [data(kind).data_id(split) for split in SPLITS] == IDS[kind]


@pytest.mark.parametrize("kind", IDS, ids=lambda kind: kind.name)
def test_an_id_says_the_settings_and_splits_share_no_seed(kind: type[SimulatedDataModule]) -> None:
    ids = {
        data(kind, **changes).data_id("test") for changes in ({}, {"test_clips": 5}, {"length": 9}, {"val_clips": 4})
    }
    assert len(ids) == 3  # the clips of one split do not depend on the others
    seeds = [set(data(kind).seeds(split)) for split in SPLITS]
    assert [len(part) for part in seeds] == [20, 3, 4]
    assert len(set.union(*seeds)) == 27
