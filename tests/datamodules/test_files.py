"""Atomic writes: the old file or the new one, never a part; nothing is left behind."""

import os
import stat
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from datamodules.files import atomic_path, write_bytes, write_text

ROOT = Path(__file__).resolve().parents[2]


def test_a_file_is_made_with_its_folders_and_read_by_all(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b" / "note.txt"
    write_text(path, "naïve\n")
    assert path.read_bytes() == "naïve\n".encode()
    assert stat.S_IMODE(path.stat().st_mode) == 0o644
    assert list(path.parent.iterdir()) == [path]


def test_an_error_in_the_middle_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "old.bin"
    write_bytes(path, b"old")

    def write_half() -> None:
        with atomic_path(path) as temporary:
            temporary.write_bytes(b"half of the ne")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        write_half()
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_killed_process_leaves_the_old_file(tmp_path: Path) -> None:
    """The process ends without cleaning up, after half of the content and before the file has its name."""
    path = tmp_path / "old.bin"
    write_bytes(path, b"old")
    script = (
        "import os, sys; from pathlib import Path; from datamodules.files import atomic_path\n"
        "with atomic_path(Path(sys.argv[1])) as temporary:\n"
        "    temporary.write_bytes(b'half'); os._exit(9)\n"
    )
    assert subprocess.run([sys.executable, "-c", script, path], check=False).returncode == 9
    assert path.read_bytes() == b"old"


def test_a_disk_that_cannot_settle_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "old.bin"
    write_bytes(path, b"old")

    def full(_: int) -> None:
        raise OSError("No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        write_bytes(path, b"new")
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_of_two_writers_at_once_one_wins_whole(tmp_path: Path) -> None:
    path = tmp_path / "shared.bin"
    contents = [bytes([number]) * 500_000 for number in range(8)]
    with ThreadPoolExecutor(8) as pool:
        written = [pool.submit(write_bytes, path, content) for content in contents * 4]
        while not all(future.done() for future in written):
            if path.exists():
                assert path.read_bytes() in contents
    assert [future.exception() for future in written] == [None] * 32
    assert path.read_bytes() in contents
    assert list(tmp_path.iterdir()) == [path]


def test_libraries_see_the_suffix_they_choose_a_format_by(tmp_path: Path) -> None:
    with atomic_path(tmp_path / "Film.MP4") as temporary:
        assert temporary.suffix == ".mp4"
        assert temporary.parent == tmp_path
    assert (tmp_path / "Film.MP4").is_file()


def test_a_killed_writer_leaves_nothing_that_looks_like_a_record(tmp_path: Path) -> None:
    code = "import os, signal; from pathlib import Path; from datamodules import files; "
    code += "files.replace = lambda *_: os.kill(os.getpid(), signal.SIGKILL); files.write_text(Path('a.json'), '{}')"
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(ROOT)}, check=False)
    assert len(list(tmp_path.iterdir())) == 1
    assert list(tmp_path.rglob("*.json")) == []
