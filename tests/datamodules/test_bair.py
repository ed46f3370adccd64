import struct
import tarfile
from pathlib import Path

import numpy as np
import pytest

from benchmarks.cli import benchmarks
from datamodules.bair import BAIR, arrange
from datamodules.sampling import Regular
from datamodules.storage.tfrecord import records
from support.preparing import films_of_each_origin


def varint(number: int) -> bytes:
    out = b""
    while number > 127:
        out, number = out + bytes([number & 127 | 128]), number >> 7
    return out + bytes([number])


def field(number: int, content: bytes) -> bytes:
    return varint(number << 3 | 2) + varint(len(content)) + content


def record(frames: np.ndarray) -> bytes:
    entries = b""
    for number, frame in enumerate(frames):
        value = field(1, field(1, frame.tobytes()))
        entries += field(1, field(1, f"{number}/image_aux1/encoded".encode()) + field(2, value))
        action = field(2, field(1, np.zeros(4, "<f4").tobytes()))
        entries += field(1, field(1, f"{number}/action".encode()) + field(2, action))
    example = field(1, entries)
    return struct.pack("<QI", len(example), 0) + example + bytes(4)


def frames_of(number: int) -> np.ndarray:
    return np.random.RandomState(number).randint(0, 256, (3, 64, 64, 3)).astype(np.uint8)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "archives" / "bair"
    folder.mkdir(parents=True)
    with tarfile.open(folder / "bair_robot_pushing_dataset_v0.tar", "w") as tar:
        for number, name in enumerate(["test/traj_0_to_255", "train/traj_1000_to_1255", "train/traj_256_to_511"]):
            path = tmp_path / "one.tfrecords"
            path.write_bytes(record(frames_of(2 * number)) + record(frames_of(2 * number + 1)))
            tar.add(path, f"softmotion30_44k/{name}.tfrecords")
    return tmp_path


def test_the_tar_of_records_through_the_command(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        benchmarks(["prepare", "bair", f"--set=root={root}"])
    err = capsys.readouterr().err
    assert "test clips" in err, err  # three frames are fewer than the sixteen of a sample
    source = BAIR(root=str(root), sampling=Regular(num_frames=3)).source("test")
    assert [origin.name for origin in source.origins()][::2] == [
        "test/traj_0_to_255/0",
        "train/traj_256_to_511/0",
        "train/traj_1000_to_1255/0",
    ]
    assert films_of_each_origin(source) == [1] * 6
    ours = source.read(np.arange(6), np.arange(3)[None].repeat(6, 0)).transpose(0, 1, 3, 4, 2)
    theirs = np.stack([frames_of(number) for number in (0, 1, 4, 5, 2, 3)])
    assert (ours == theirs).all()
    assert end.value.code == 2


def test_the_splits_have_the_published_sizes() -> None:
    splits = arrange(range(43_520))
    assert [len(splits[split]) for split in ("train", "val", "test")] == [40_960, 2_304, 256]
    assert len({piece.clip for pieces in splits.values() for piece in pieces}) == 43_520


def test_a_file_that_was_cut_off_is_named(tmp_path: Path) -> None:
    path = tmp_path / "cut.tfrecords"
    path.write_bytes(record(frames_of(0))[:-9])
    with pytest.raises(ValueError, match=r"cut\.tfrecords is truncated"):
        list(records(path))
