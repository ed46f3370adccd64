"""Clips in files: layouts, sizes, and files that hold no videos."""

from pathlib import Path

import numpy as np
import pytest

from benchmarks.evaluation.video_files import find_clips, read_clip
from benchmarks.utils.errors import UserError
from datamodules.storage.video import read_video
from datamodules.storage.video_writer import write_video
from support.tiny_videos import videos


def test_grey_and_layouts_are_read_as_one(tmp_path: Path) -> None:
    clip = videos(0, count=2, channels=1)
    np.save(tmp_path / "third.npy", clip)
    np.save(tmp_path / "last.npy", clip.transpose(0, 1, 3, 4, 2))
    np.savez(tmp_path / "one.npz", a=clip[0], b=clip[1])
    found = [
        [read_clip(entry) for entry in find_clips(tmp_path / name)] for name in ("third.npy", "last.npy", "one.npz")
    ]
    for entry in found:
        np.testing.assert_array_equal(np.stack(entry), np.repeat(clip, 3, axis=2))
    assert [entry.name for entry in find_clips(tmp_path)][:2] == ["last/000000", "last/000001"]
    assert [entry.name for entry in find_clips(tmp_path / "one.npz")] == ["a", "b"]


def test_arrays_are_resized_as_files_are(tmp_path: Path) -> None:
    write_video(tmp_path / "clip.mp4", videos(0, count=1, size=48)[0][..., 4:36, :], 10)
    np.save(tmp_path / "array.npy", read_video(tmp_path / "clip.mp4").frames)
    array, file = (read_clip(entry, frames=3, size=16) for entry in find_clips(tmp_path))
    assert array.shape == (3, 3, 16, 16)
    np.testing.assert_array_equal(array, file)


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.zeros((2, 4, 8, 8, 3)), "must hold uint8 videos"),
        (np.array([{}], dtype=object), "cannot be read as an array of numbers"),
        (np.zeros((2, 4, 3, 8, 3), np.uint8), "either its last and its third axis could be the channels"),
        (np.zeros((2, 4, 0, 8, 3), np.uint8), "has no pixels"),
        (np.zeros((2, 0, 8, 8, 3), np.uint8), "has no pixels"),
        (np.zeros((2, 4, 8, 8, 2), np.uint8), "neither its last and its third axis could be the channels"),
    ],
)
def test_arrays_that_are_no_videos_are_refused(array: np.ndarray, message: str, tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", array, allow_pickle=True)
    with pytest.raises(UserError, match=message):
        find_clips(tmp_path / "x.npy")


@pytest.mark.parametrize("name", ["x.npy", "x.npz"])
@pytest.mark.parametrize("kind", ["nothing", "text", "half an npz", "npz with a damaged array", "npy", "npz"])
def test_a_broken_array_file_is_named(kind: str, name: str, tmp_path: Path) -> None:
    """Whatever it holds: what a crashed job or a wrong ending leaves."""
    np.savez_compressed(tmp_path / "good.npz", a=videos(0, count=2))
    np.save(tmp_path / "good.npy", videos(0, count=2))
    npz = (tmp_path / "good.npz").read_bytes()
    damaged = bytearray(npz)
    damaged[len(npz) // 2] ^= 255
    contents = {
        "nothing": b"",
        "text": b"no array",
        "half an npz": npz[: len(npz) // 2],
        "npz with a damaged array": bytes(damaged),
        "npy": (tmp_path / "good.npy").read_bytes(),
        "npz": npz,
    }
    (tmp_path / name).write_bytes(contents[kind])
    if kind == name[2:]:
        assert len(find_clips(tmp_path / name)) == 2
        return
    with pytest.raises(UserError, match=r"x\.np[yz]"):
        find_clips(tmp_path / name)
