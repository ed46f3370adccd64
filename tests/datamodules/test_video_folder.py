import os
import shutil
import threading
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose

from benchmarks.cli import benchmarks
from datamodules import video_folder
from datamodules.sampling import Regular
from datamodules.storage import prefetch
from datamodules.storage.container import VideoError
from datamodules.storage.store import ClipStore, StoreError
from datamodules.storage.video_writer import write_video
from datamodules.video_folder import VideoFolder, find_videos, prepare_folder, split_at_random
from support.preparing import films_of_each_origin


def film(path: Path, grey: int = 100, count: int = 12, rate: float = 25.0) -> Path:
    write_video(path, np.full((count, 3, 32, 48), grey, dtype=np.uint8), rate)
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "My films"
    for number in range(10):
        film(folder / ("wave" if number % 2 else "jump") / f"{number}.{'gif' if number == 3 else 'mp4'}", 20 * number)
    return folder


def data(folder: Path, **changes: Any) -> VideoFolder:
    options = {"sampling": Regular(num_frames=6), "batch_size": 2, "size": 16, "root": str(folder.parent / "data")}
    return VideoFolder(str(folder), **options | changes)


def names(module: VideoFolder) -> dict[str, list[str]]:
    return {split: [origin.name for origin in module.source(split).origins()] for split in ("train", "val", "test")}


def test_a_folder_becomes_a_data_set(folder: Path) -> None:
    module = data(folder)
    module.prepare_data()
    split = names(module)
    films = [f"{'wave' if n % 2 else 'jump'}/{n}.{'gif' if n == 3 else 'mp4'}" for n in range(10)]
    assert sorted(chain(*split.values())) == sorted(films)
    assert [len(split[name]) for name in ("train", "val", "test")] == [8, 1, 1]
    batch = next(iter(module.train_dataloader()))
    assert batch.clip.frames.shape == (2, 6, 3, 16, 16)
    for clip, label, pixels in zip(batch.ids >> 24, batch.labels, batch.clip.frames, strict=True):
        name = split["train"][clip]
        assert int(label) == name.startswith("wave")
        assert_allclose(pixels.float().mean(), 20 * int(name[5]), atol=4)
    assert films_of_each_origin(module.source("train")) == [1] * 8
    assert module.data_id("train").startswith("my-films-16px-3ch-train-")
    assert module.path.name.startswith("my-films-16px-3ch-")


def ids(module: VideoFolder) -> list[str]:
    return [module.data_id(split) for split in ("train", "val", "test")]


def test_files_are_decoded_once(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data(folder).prepare_data()
    before = ids(data(folder))
    monkeypatch.setattr("datamodules.video_folder.decode_shown", lambda *a, **k: pytest.fail("decoded again"))
    data(folder).prepare_data()
    assert ids(data(folder)) == before
    os.utime(folder / "wave" / "1.mp4", (0, 0))
    with pytest.raises(pytest.fail.Exception, match="decoded again"):  # the file may have changed
        data(folder).prepare_data()
    monkeypatch.undo()
    film(folder / "wave" / "1.mp4", 250)
    data(folder).prepare_data()
    after = data(folder)
    assert ids(after) != before
    assert len([*chain(*names(after).values())]) == 10


def test_other_settings_are_another_store(folder: Path) -> None:
    some = [data(folder), data(folder, size=(8, 16)), data(folder, channels=1), data(folder, frame_rate=12.5)]
    assert len({module.path for module in some}) == 4
    for module in some[1:]:
        module.prepare_data()
        height, width = module.size
        assert next(iter(module.test_dataloader())).clip.frames.shape[2:] == (module.channels, height, width)
    assert len(some[3].source("train").times(0)) == 6


def test_an_unprepared_folder_says_so(folder: Path) -> None:
    with pytest.raises(StoreError, match="Prepare the data first"):
        data(folder).setup()


def test_sub_folders_are_splits(folder: Path) -> None:
    shutil.move(folder / "wave" / "1.mp4", folder / "1.mp4")
    for number, path in enumerate(sorted(folder.rglob("*.mp4")) + sorted(folder.rglob("*.gif"))):
        new = folder / ("train", "test")[number % 2] / path.name
        new.parent.mkdir(exist_ok=True)
        path.rename(new)
    module = data(folder)
    module.prepare_data()
    assert all(name.startswith(split) for split, some in names(module).items() for name in some)
    assert [len(some) for some in names(module).values()] == [5, 0, 5]
    with pytest.raises(ValueError, match="has no val clips"):
        module.val_dataloader()
    film(folder / "stray.mp4")
    with pytest.raises(ValueError, match=r"stray\.mp4 is not"):
        find_videos(folder)


def test_the_same_film_in_train_and_test_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "films"
    film(folder / "train" / "a.mp4")
    (folder / "test").mkdir()
    shutil.copy(folder / "train" / "a.mp4", folder / "test" / "b.mp4")
    module = data(folder)
    module.prepare_data()
    with pytest.raises(ValueError, match=r"test/b\.mp4 and train/a\.mp4 have the same content"):
        module.setup()


def test_a_random_split_keeps_copies_together_and_does_not_depend_on_the_order() -> None:
    digests = [f"{number % 40}" for number in range(60)]
    splits = split_at_random(digests, 0.2, 0.1, seed=0)
    assert splits[:20] == splits[40:]
    assert splits[::-1] == split_at_random(digests[::-1], 0.2, 0.1, seed=0)
    assert [splits[:40].count(name) for name in ("train", "val", "test")] == [28, 8, 4]
    assert splits != split_at_random(digests, 0.2, 0.1, seed=1)
    assert split_at_random(["a", "b", "c"], 0.1, 0.1, seed=0).count("train") == 1
    assert split_at_random(["a"], 0.1, 0.1, seed=0) == ["train"]
    with pytest.raises(ValueError, match="sum below 1"):
        split_at_random(["a"], 0.5, 0.5, seed=0)


def test_a_broken_file_is_named_or_left_out_and_listed(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "wave" / "broken.avi").write_bytes(b"no video")
    with pytest.raises(VideoError, match=r"broken\.avi: it cannot be decoded .*on_error: skip"):
        data(folder).prepare_data()
    assert not list((folder.parent / "data").glob("my-films*"))
    module = data(folder, on_error="skip")
    with pytest.warns(UserWarning, match=r"1 damaged videos were left out:\n .*broken\.avi"):
        module.prepare_data()
    assert [item["name"] for item in ClipStore.open(module.path).skipped] == ["wave/broken.avi"]
    assert len([*chain(*names(module).values())]) == 10
    # what was skipped is refused again as soon as it is to be refused, and nothing is decoded for it
    monkeypatch.setattr("datamodules.video_folder.decode_shown", lambda *a, **k: pytest.fail("decoded again"))
    with pytest.raises(ValueError, match=r"broken\.avi: it cannot be decoded .*on_error: skip"):
        data(folder).prepare_data()
    data(folder, on_error="skip").prepare_data()


def test_other_settings_of_errors_decode_nothing_anew(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data(folder).prepare_data()
    monkeypatch.setattr("datamodules.video_folder.decode_shown", lambda *a, **k: pytest.fail("decoded again"))
    data(folder, on_error="skip").prepare_data()


def test_a_folder_is_decoded_on_all_cores(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    together = threading.Barrier(3, timeout=20)
    plain = video_folder.decode

    def waits_for_two_others(path: Path, **options: Any) -> Any:
        if path.name in ("0.mp4", "2.mp4", "4.mp4"):  # the first three
            together.wait()
        return plain(path, **options)

    monkeypatch.setattr(video_folder, "decode", waits_for_two_others)
    monkeypatch.setattr(prefetch, "cores", lambda: 3)
    module = data(folder)
    module.prepare_data()
    stored = ClipStore.open(module.path).index["clips"]
    assert [clip["origin"][0] for clip in stored] == [file.name for file in find_videos(folder)]


@pytest.mark.parametrize("size", [0, -64, (64, 0)])
def test_a_size_without_pixels_is_refused(folder: Path, size: Any) -> None:
    with pytest.raises(ValueError, match=r"size is the side of the frames in pixels, at least 1"):
        data(folder, size=size)


def test_frames_that_repeat_are_reported(folder: Path) -> None:
    film(folder / "slow.mp4", rate=10.0)
    with pytest.warns(UserWarning, match=r"1 videos have less than 20 frames per second.*slow\.mp4"):
        data(folder, frame_rate=20.0).prepare_data()


def test_folders_without_videos_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="is not a folder"):
        prepare_folder(tmp_path / "none", tmp_path / "set", size=(8, 8))
    (tmp_path / "note.txt").write_text("")
    with pytest.raises(ValueError, match="no videos"):
        prepare_folder(tmp_path, tmp_path / "set", size=(8, 8))


@pytest.mark.slow
def test_real_clips_of_every_container(shared: Path, tmp_path: Path) -> None:
    options: dict[str, Any] = {"sampling": Regular(num_frames=16), "batch_size": 4, "frame_rate": 25.0}
    module = VideoFolder(str(shared / "data" / "clips"), size=32, root=str(tmp_path), **options)
    module.prepare_data()
    assert len([*chain(*names(module).values())]) == 12
    assert not ClipStore.open(module.path).skipped
    batch = next(iter(module.train_dataloader()))
    assert batch.clip.frames.shape == (4, 16, 3, 32, 32)
    assert_allclose(batch.clip.times[0], np.arange(16) / 25, atol=1e-6)


def test_verify_reads_a_folder_again_whatever_is_noted(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["prepare", str(folder), "--size=16", f"--set=root={folder.parent / 'data'}", "--verify"]

    def verified() -> int:
        with pytest.raises(SystemExit) as ended:
            benchmarks(words)
        return int(ended.value.code or 0)

    assert verified() == 0
    (frames,) = (folder.parent / "data").rglob("frames.u8")
    stat = frames.stat()
    content = bytearray(frames.read_bytes())
    content[0] ^= 1
    frames.write_bytes(bytes(content))
    os.utime(frames, ns=(stat.st_atime_ns, stat.st_mtime_ns))  # so that its time does not tell
    assert verified() == 2
    assert "is not what was written" in capsys.readouterr().err
