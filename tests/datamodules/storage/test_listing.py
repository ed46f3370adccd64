"""A folder's clips: linked folders once, hidden files never, and a word about everything that is left out."""

import warnings
from pathlib import Path

import pytest

from datamodules.storage.listing import files_of


def touch(root: Path, *names: str) -> None:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()


def listed(root: Path) -> list[str]:
    return [path.relative_to(root).as_posix() for path in files_of(root, (".mp4", ".mts"))]


def test_sub_folders_and_endings_in_any_case(tmp_path: Path) -> None:
    touch(tmp_path, "b/2.mp4", "a/1.MP4", "a/deep/CAM.MTS")
    with warnings.catch_warnings(action="error"):
        assert listed(tmp_path) == ["a/1.MP4", "a/deep/CAM.MTS", "b/2.mp4"]


def test_linked_folders_and_files_are_read_where_the_link_is(tmp_path: Path) -> None:
    touch(tmp_path, "elsewhere/run/3.mp4", "one/4.mp4", "films/walk/1.mp4")
    (tmp_path / "films" / "run").symlink_to(tmp_path / "elsewhere" / "run")
    (tmp_path / "films" / "2.mp4").symlink_to(tmp_path / "one" / "4.mp4")
    with warnings.catch_warnings(action="error"):
        assert listed(tmp_path / "films") == ["2.mp4", "run/3.mp4", "walk/1.mp4"]


def test_a_folder_is_read_once_where_it_lies_and_circles_end(tmp_path: Path) -> None:
    touch(tmp_path, "run/1.mp4")
    (tmp_path / "again").symlink_to(tmp_path / "run")
    (tmp_path / "run" / "up").symlink_to(tmp_path)
    with pytest.warns(UserWarning, match=r"again, a link to a folder that is read already; run/up, a link"):
        assert listed(tmp_path) == ["run/1.mp4"]


def test_hidden_files_are_no_clips_and_not_mentioned(tmp_path: Path) -> None:
    touch(tmp_path, "1.mp4", "._1.mp4", ".DS_Store", ".trash/2.mp4")
    with warnings.catch_warnings(action="error"):
        assert listed(tmp_path) == ["1.mp4"]


def test_other_files_are_counted_in_one_warning(tmp_path: Path) -> None:
    touch(tmp_path, "1.mp4", "a.xyz", "b.xyz", "README")
    (tmp_path / "gone.mp4").symlink_to(tmp_path / "nowhere.mp4")
    with pytest.warns(
        UserWarning, match=r"^4 of the files in .* left out: 2 \.xyz; 1 links that lead nowhere; 1 without"
    ):
        assert listed(tmp_path) == ["1.mp4"]
