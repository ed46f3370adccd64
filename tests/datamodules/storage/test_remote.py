import pickle
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from datamodules.base.clip_source import Origin
from datamodules.sampling import Regular
from datamodules.storage.remote import RemoteFolder, RemoteFrames
from datamodules.storage.store import ClipStore, StoredClip, StoreError
from datamodules.video_folder import VideoFolder
from support.preparing import Served, serving

CLIPS, FRAMES, SIDE = 12, 20, 64


@pytest.fixture
def served(tmp_path: Path) -> Iterator[tuple[str, type[Served]]]:
    with serving(tmp_path) as found:
        yield found


def write(path: Path, shard_bytes: int | None = None) -> ClipStore:
    random = np.random.default_rng(0)

    def clips() -> Iterator[StoredClip]:
        for number in range(CLIPS):
            pictures = random.integers(0, 256, (FRAMES + number, 3, SIDE, SIDE), dtype=np.uint8)
            timed_frames = [(picture, time / 25) for time, picture in enumerate(pictures)]
            split = ("train", "val", "test")[number % 3]
            yield StoredClip(timed_frames, split, Origin(f"clip {number}", str(number)), number)

    return ClipStore.write(path, clips(), channels=3, size=(SIDE, SIDE), about={}, shard_bytes=shard_bytes)


@pytest.mark.parametrize("shard_bytes", [None, 500_000])
def test_a_store_behind_an_address_reads_like_the_one_here_and_is_not_copied(
    tmp_path: Path, served: tuple[str, type[Served]], shard_bytes: int | None
) -> None:
    address, handler = served
    local = write(tmp_path / "set", shard_bytes)
    remote = ClipStore.open(f"{address}/set")
    here, there = local.split("train"), remote.split("train")
    assert there.fingerprint == here.fingerprint
    assert there.times(2).tolist() == here.times(2).tolist()
    clips, frames = np.array([3, 0, 3]), np.array([[0, 7, 19], [5, 6, 7], [7, 8, 0]])
    assert np.array_equal(there.read(clips, frames), here.read(clips, frames))
    again = pickle.loads(pickle.dumps(there))
    assert np.array_equal(again.read(clips, frames), here.read(clips, frames))
    pixels = sum(count for name, count in handler.sent.items() if name.startswith("frames"))
    whole = sum(path.stat().st_size for path in (tmp_path / "set").glob("frames*"))
    assert 0 < pixels < whole / 2
    assert len(list((tmp_path / "set").glob("frames*"))) == (1 if shard_bytes is None else 6)


def test_a_data_module_trains_from_an_address(tmp_path: Path, served: tuple[str, type[Served]]) -> None:
    address, _ = served
    write(tmp_path / "set")
    options: dict[str, Any] = {"sampling": Regular(num_frames=4), "batch_size": 2, "size": SIDE}
    near = VideoFolder("films", store=str(tmp_path / "set"), **options)
    far = VideoFolder("films", store=f"{address}/set", **options)
    far.prepare_data()
    assert far.data_id("train") == near.data_id("train")
    for one, other in zip(near.train_dataloader(), far.train_dataloader(), strict=True):
        assert np.array_equal(one.clip.frames, other.clip.frames)


def test_shards_hold_whole_clips_and_read_as_one(tmp_path: Path) -> None:
    whole, parts = write(tmp_path / "whole"), write(tmp_path / "parts", 700_000)
    assert sum(parts.index["shards"]) == sum(clip["length"] for clip in whole.index["clips"])
    clips, frames = np.arange(4), np.arange(4)[:, None] + np.array([[0, 5, 15]])
    for split in ("train", "val", "test"):
        assert np.array_equal(whole.split(split).read(clips, frames), parts.split(split).read(clips, frames))
        assert whole.split(split).fingerprint == parts.split(split).fingerprint
    (tmp_path / "parts" / "frames-00001.u8").write_bytes(b"short")
    with pytest.raises(StoreError, match=r"frames-00001\.u8 has 5 bytes"):
        ClipStore.open(tmp_path / "parts")


def test_a_server_without_ranges_is_named(tmp_path: Path, served: tuple[str, type[Served]]) -> None:
    address, handler = served
    write(tmp_path / "set")
    handler.ranges = False
    with pytest.raises((OSError, ValueError)):
        ClipStore.open(f"{address}/set").split("train").read(np.array([1]), np.array([[3]]))
    with pytest.raises(StoreError, match=r"no index\.json"):
        ClipStore.open(f"{address}/nothing")


def test_neighbours_come_in_one_range() -> None:
    class Folder(RemoteFolder):
        def __init__(self) -> None:
            self.spans: list[tuple[int, int]] = []

        def ranges(self, name: str, spans: list[tuple[int, int]]) -> list[bytes]:
            self.spans = spans
            return [
                bytes(np.arange(first // 20_000, last // 20_000, dtype=np.uint8).repeat(20_000))
                for first, last in spans
            ]

    folder = Folder()
    frames = RemoteFrames(folder, "frames", np.dtype(np.uint8), (200, 1, 100, 200))
    rows = np.array([[7, 9, 8], [7, 100, 103]])
    assert np.array_equal(frames.take(rows)[:, :, 0, 0, 0], rows)
    assert folder.spans == [(7 * 20_000, 10 * 20_000), (100 * 20_000, 104 * 20_000)]


def test_what_to_install_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "fsspec", None)
    with pytest.raises(ImportError, match=r"pip install 'chronoreel\[remote\]'"):
        ClipStore.open("s3://bucket/set")
