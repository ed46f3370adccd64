"""What a store holds is what was written: changed bytes are noticed when it is opened, and every fault is one line."""

import errno
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from datamodules.base.clip_source import Origin
from datamodules.errors import UserError
from datamodules.storage import checking
from datamodules.storage import store as stores
from datamodules.storage.store import ClipStore, DamagedStoreError, StoredClip, StoreError


@pytest.fixture(autouse=True)
def own_notes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No note of another test or of this machine."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(checking, "_known", {})


def write(path: Path, **changes: Any) -> ClipStore:
    dice = np.random.default_rng(0)
    clips = [
        StoredClip(
            [(picture, time / 25) for time, picture in enumerate(dice.integers(0, 256, (5, 3, 4, 6), dtype=np.uint8))],
            "train",
            Origin(f"{number}.mp4", ""),
        )
        for number in range(3)
    ]
    return ClipStore.write(path, clips, channels=3, size=(4, 6), about={"a": 1}, **changes)


FRAME = 3 * 4 * 6


def poke(name: str, at: int) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        content = bytearray((folder / name).read_bytes())
        content[at] ^= 1
        (folder / name).write_bytes(bytes(content))

    return change


def swap(name: str, first: int, second: int, length: int) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        content = bytearray((folder / name).read_bytes())
        one, two = slice(first, first + length), slice(second, second + length)
        content[one], content[two] = content[two], content[one]
        (folder / name).write_bytes(bytes(content))

    return change


CHANGES = {
    "the first pixel": poke("frames.u8", 0),
    "the last pixel": poke("frames.u8", 15 * FRAME - 1),
    "a time": poke("times.f64", 8 * 7 + 6),
    "frames between clips": swap("frames.u8", 0, 5 * FRAME, FRAME),
    "frames of one clip": swap("frames.u8", 0, FRAME, FRAME),
    "times between clips": swap("times.f64", 8, 8 * 7, 8),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES.keys())
def test_what_changed_is_noticed_on_opening(change: Callable[[Path], None], tmp_path: Path) -> None:
    write(tmp_path / "set")
    change(tmp_path / "set")
    for _ in range(2):  # a refusal is not remembered as a success
        with pytest.raises(DamagedStoreError, match=r"of 3 clips are not what was written, the first \d\.mp4"):
            ClipStore.open(tmp_path / "set")
    with pytest.raises(DamagedStoreError):
        ClipStore.prepare(tmp_path / "set", {"a": 1}, lambda: pytest.fail("replaced without a word"))


@pytest.mark.parametrize("dtype", ["uint8", "float32"])
@pytest.mark.parametrize("shard_bytes", [None, 1, 5 * FRAME])
def test_what_did_not_change_is_opened(shard_bytes: int | None, dtype: Any, tmp_path: Path) -> None:
    pictures = np.random.default_rng(0).normal(size=(4, 1, 2, 2)).astype(dtype)
    clips = [StoredClip([(p, i / 4) for i, p in enumerate(pictures)], "train", Origin(str(n), "")) for n in range(3)]
    ClipStore.write(tmp_path / "set", clips, channels=1, size=(2, 2), about={}, dtype=dtype, shard_bytes=shard_bytes)
    shutil.copytree(tmp_path / "set", tmp_path / "copy")  # never seen, so it is read
    assert len(ClipStore.open(tmp_path / "copy").split("train")) == 3


def test_a_store_is_read_once_until_its_files_change(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[int] = []
    whole = stores.changed_clips
    monkeypatch.setattr(stores, "changed_clips", lambda *words: read.append(1) or whole(*words))
    write(tmp_path / "set")
    ClipStore.open(tmp_path / "set")
    assert not read, "what was just written is known"
    monkeypatch.setattr(checking, "_known", {})  # another process
    ClipStore.open(tmp_path / "set")
    assert not read
    os.utime(tmp_path / "set" / "frames.u8", ns=(1, 1))
    ClipStore.open(tmp_path / "set")
    ClipStore.open(tmp_path / "set")
    assert len(read) == 1
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "set" / "index.json"))  # no folder: nothing can be noted
    os.utime(tmp_path / "set" / "frames.u8", ns=(2, 2))
    ClipStore.open(tmp_path / "set")
    ClipStore.open(tmp_path / "set")
    assert len(read) == 2


def index_with(**changes: Any) -> Callable[[dict[str, Any]], Any]:
    return lambda index: index | changes


def clip_with(**changes: Any) -> Callable[[dict[str, Any]], Any]:
    return lambda index: index | {"clips": [index["clips"][0] | changes, *index["clips"][1:]]}


FORMS = {
    "a list": lambda index: [index],
    "a text": lambda index: "index",
    "nothing": lambda index: None,
    "no clips": lambda index: {key: value for key, value in index.items() if key != "clips"},
    "clips of texts": index_with(clips=["a"]),
    "clips a mapping": index_with(clips={}),
    "no size": index_with(size=None),
    "one side": index_with(size=[4]),
    "a side of 0": index_with(size=[0, 6]),
    "channels a text": index_with(channels="3"),
    "another type": index_with(dtype="object"),
    "a type of types": index_with(dtype=["u8"]),
    "no about": index_with(about=None),
    "shards a text": index_with(shards="5"),
    "shards of too few": index_with(shards=[1]),
    "a negative length": clip_with(length=-5),
    "a broken length": clip_with(length=2.5),
    "an endless length": clip_with(length=10**400),
    "no origin": clip_with(origin=None),
    "an origin of numbers": clip_with(origin=[1, 2]),
    "no sha256": clip_with(sha256=None),
    "no label": clip_with(label=None),
}


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS.keys())
def test_an_index_of_a_wrong_form_is_one_error_and_heals(form: Callable[[Any], Any], tmp_path: Path) -> None:
    index = write(tmp_path / "set").path / "index.json"
    index.write_text(json.dumps(form(json.loads(index.read_text()))))
    with pytest.raises(StoreError, match="Delete the folder and prepare the data again") as said:
        ClipStore.open(tmp_path / "set")
    assert len(str(said.value).splitlines()) == 1
    healed = ClipStore.prepare(tmp_path / "set", {"a": 1}, lambda: write(tmp_path / "set"))
    assert len(healed.split("train")) == 3


@pytest.mark.parametrize("content", [b"\xff\xfe", b"[" * 100_000, b"", b'{"format": 1e999}'])
def test_an_index_that_is_no_json_is_one_error_and_heals(content: bytes, tmp_path: Path) -> None:
    (write(tmp_path / "set").path / "index.json").write_bytes(content)
    with pytest.raises(StoreError):
        ClipStore.open(tmp_path / "set")
    assert ClipStore.prepare(tmp_path / "set", {"a": 1}, lambda: write(tmp_path / "set")).about == {"a": 1}


def test_where_nothing_can_be_written_a_store_opens_without_a_lock(tmp_path: Path) -> None:
    write(tmp_path / "set")
    (tmp_path / ".set.lock").mkdir()  # no file can be opened there, as on a disk that is only read
    assert ClipStore.prepare(tmp_path / "set", {"a": 1}, lambda: pytest.fail("made anew")).about == {"a": 1}
    with pytest.raises(OSError, match="lock"):
        ClipStore.prepare(tmp_path / "set", {"a": 2}, lambda: pytest.fail("made anew"))


def test_a_full_disk_says_where_and_how_much(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(stores, "_sync_to_disk", full)
    with pytest.raises(
        UserError, match=rf"The disk of .*set is full: .* MB .* written.*{FRAME} bytes a frame.* MB are free"
    ):
        write(tmp_path / "set")
    assert not list(tmp_path.iterdir())
