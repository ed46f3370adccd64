import json
import pickle
from collections.abc import Iterator
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from datamodules.base.clip_source import Origin, Source
from datamodules.storage.store import ClipStore, StoredClip, StoreError

LENGTHS = [5, 9, 3, 7]
SPLITS = ["train", "train", "test", "train"]


def content(number: int) -> np.ndarray:
    return np.random.default_rng(number).integers(0, 256, (LENGTHS[number], 3, 4, 6), dtype=np.uint8)


def clips(**changes: Any) -> Iterator[StoredClip]:
    for number, split in enumerate(SPLITS):
        times = np.arange(LENGTHS[number]) / 25 * (number + 1)
        yield StoredClip(zip(content(number), times, strict=True), split, Origin(f"{number}.mp4", str(number)), number)


def write(path: Path, some: Any = None, **changes: Any) -> ClipStore:
    return ClipStore.write(
        path, clips() if some is None else some, channels=3, size=(4, 6), about={"a": [1]}, **changes
    )


def test_what_was_stored_is_read(tmp_path: Path) -> None:
    write(tmp_path / "set")
    store = ClipStore.open(tmp_path / "set")
    train, test, val = store.split("train"), store.split("test"), store.split("val")
    assert isinstance(train, Source)
    assert (len(train), len(val), len(test)) == (3, 0, 1)
    assert train.labels().tolist() == [0, 1, 3]
    assert train.origins()[2] == Origin("3.mp4", "3")
    assert_array_equal(train.times(2), np.arange(7) / 25 * 4)
    frames = np.array([[0, 6], [4, 1], [8, 8]])
    pixels = train.read(np.array([2, 0, 1]), frames)
    assert_array_equal(pixels, np.stack([content(3)[[0, 6]], content(0)[[4, 1]], content(1)[[8, 8]]]))
    assert pixels.flags.writeable
    assert_array_equal(test.read(np.array([0]), np.array([[2]])), content(2)[None, [2]])
    assert [path.name for path in tmp_path.iterdir()] == ["set"]


@pytest.mark.parametrize("frames", [[[5]], [[-1]]])
def test_frames_of_the_neighbour_are_out_of_reach(tmp_path: Path, frames: list[list[int]]) -> None:
    with pytest.raises(IndexError):
        write(tmp_path / "set").split("train").read(np.array([0]), np.array(frames))


def test_a_writer_that_dies_leaves_nothing_behind(tmp_path: Path) -> None:
    def dying() -> Iterator[StoredClip]:
        yield from list(clips())[:2]
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write(tmp_path / "set", dying())
    assert not list(tmp_path.iterdir())
    with pytest.raises(StoreError, match=r"no index\.json"):
        ClipStore.open(tmp_path / "set")


def test_a_writer_that_dies_leaves_the_old_store_as_it_was(tmp_path: Path) -> None:
    write(tmp_path / "set")
    with pytest.raises(ValueError, match="increase strictly"):
        write(tmp_path / "set", [StoredClip([(content(0)[0], 0.0)] * 2, "train", Origin("x", "y"))])
    assert len(ClipStore.open(tmp_path / "set").split("train")) == 3
    assert [path.name for path in tmp_path.iterdir()] == ["set"]


@pytest.mark.parametrize("file", ["frames.u8", "times.f64"])
def test_a_truncated_store_is_refused(tmp_path: Path, file: str) -> None:
    write(tmp_path / "set")
    path = tmp_path / "set" / file
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(StoreError, match=rf"{file} has \d+ bytes.*\d+.*Delete"):
        ClipStore.open(tmp_path / "set")
    path.unlink()
    with pytest.raises(StoreError, match=f"{file} has 0 bytes"):
        ClipStore.open(tmp_path / "set")


def test_a_damaged_or_foreign_index_is_refused(tmp_path: Path) -> None:
    write(tmp_path / "set")
    index = tmp_path / "set" / "index.json"
    known = json.loads(index.read_text())
    index.write_text(json.dumps({**known, "format": 99}))
    with pytest.raises(StoreError, match="format 99"):
        ClipStore.open(tmp_path / "set")
    index.write_text(index.read_text()[:20])
    with pytest.raises(StoreError, match="not JSON"):
        ClipStore.open(tmp_path / "set")


def test_a_broken_clip_is_left_out_whole_and_listed(tmp_path: Path) -> None:
    class BrokenError(ValueError):
        pass

    def broken() -> Iterator[tuple[np.ndarray, float]]:
        yield content(1)[0], 0.0
        raise BrokenError("bad.mp4: damaged")

    some = list(clips())
    some.insert(1, StoredClip(broken(), "train", Origin("bad.mp4", "b")))
    some.append(StoredClip(broken(), "train", Origin("last.mp4", "c")))
    store = write(tmp_path / "set", some, skip=BrokenError)
    assert store.skipped == [{"name": name, "reason": "bad.mp4: damaged"} for name in ("bad.mp4", "last.mp4")]
    train = store.split("train")
    assert_array_equal(train.read(np.array([1]), np.arange(9)[None])[0], content(1))
    some[1] = StoredClip(broken(), "train", Origin("bad.mp4", "b"))
    with pytest.raises(BrokenError):
        write(tmp_path / "set", [some[1]])


@pytest.mark.parametrize(
    ("timed_frames", "message"),
    [
        ([(np.zeros((3, 4, 5), np.uint8), 0.0)], r"uint8 \(3, 4, 6\)"),
        ([(np.zeros((3, 4, 6), np.float32), 0.0)], "float32"),
        ([(np.zeros((3, 4, 6), np.uint8), 1.0)], "begin at 0"),
        ([], "begin at 0"),
    ],
)
def test_clips_that_do_not_fit_are_refused(tmp_path: Path, timed_frames: list[Any], message: str) -> None:
    with pytest.raises((ValueError, TypeError), match=message):
        write(tmp_path / "set", [StoredClip(timed_frames, "train", Origin("x", "y"))])


def test_equal_content_has_an_equal_fingerprint(tmp_path: Path) -> None:
    ours, theirs = write(tmp_path / "a"), write(tmp_path / "b")
    assert ours.split("train").fingerprint == theirs.split("train").fingerprint
    assert ours.split("train").fingerprint != ours.split("test").fingerprint
    changed = [clip._replace(label=7) for clip in clips()]
    assert write(tmp_path / "c", changed).split("train").fingerprint != ours.split("train").fingerprint


def test_a_pickled_split_maps_the_file_again(tmp_path: Path) -> None:
    split = write(tmp_path / "set").split("train")
    parcel = pickle.dumps(split)
    assert len(parcel) < 1000
    assert_array_equal(pickle.loads(parcel).read(np.array([1]), np.array([[3]])), content(1)[None, [3]])


def _prepare(path: str) -> int:
    made = []
    ClipStore.prepare(path, {"a": [1]}, lambda: (made.append(1), write(Path(path)))[1])
    return len(made)


def test_two_processes_make_one_store(tmp_path: Path) -> None:
    with get_context("fork").Pool(2) as pool:
        assert sum(pool.map(_prepare, [str(tmp_path / "set")] * 4)) == 1


def test_prepare_makes_a_store_anew_when_it_is_about_something_else(tmp_path: Path) -> None:
    store = write(tmp_path / "set")
    assert ClipStore.prepare(tmp_path / "set", {"a": (1,)}, lambda: pytest.fail("made anew")).index == store.index
    made: list[int] = []
    ClipStore.prepare(tmp_path / "set", {"a": [2]}, lambda: (made.append(1), write(tmp_path / "set"))[1])
    assert made


def test_what_a_killed_process_left_goes_when_the_store_is_prepared_again(tmp_path: Path) -> None:
    for name in (".set-unfinished-ab12", ".settled-unfinished-ab12"):  # ours, and another store's
        (tmp_path / name).mkdir()
        (tmp_path / name / "frames.u8").write_bytes(b"some")
    ClipStore.prepare(tmp_path / "set", {"a": [1]}, lambda: write(tmp_path / "set"))
    assert sorted(path.name for path in tmp_path.iterdir() if path.is_dir()) == [".settled-unfinished-ab12", "set"]
