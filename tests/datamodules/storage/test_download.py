"""Downloads: resumed, checked, fetched once by many, and nothing that is wrong keeps its name."""

import hashlib
import threading
from collections import namedtuple
from pathlib import Path

import pytest

from datamodules.storage import download as downloads
from datamodules.storage.download import DownloadError, check_free_space, download
from support.preparing import serving

CONTENT = bytes(range(256)) * 900
SHA256 = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture
def there(tmp_path: Path) -> Path:
    """The server's folder, with the file a.zip."""
    (tmp_path / "there").mkdir()
    (tmp_path / "there" / "a.zip").write_bytes(CONTENT)
    return tmp_path / "there"


def test_a_broken_off_download_is_resumed_by_a_later_call(
    there: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(downloads, "_ATTEMPTS", 1)
    to = tmp_path / "here" / "a.zip"
    with serving(there) as (address, handler):
        handler.breaks_off = 100_000
        with pytest.raises(DownloadError):
            download(f"{address}/a.zip", to)
        part = tmp_path / "here" / "a.zip.part"
        assert not to.exists()
        assert part.stat().st_size == 100_000
        handler.breaks_off = None
        handler.sent.clear()
        assert download(f"{address}/a.zip", to, sha256=SHA256) == SHA256
        assert to.read_bytes() == CONTENT
        assert handler.sent["a.zip"] == len(CONTENT) - 100_000
        assert not part.exists()


def test_a_broken_connection_is_tried_again_within_a_call(
    there: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("time.sleep", lambda _: None)
    with serving(there) as (address, handler):
        handler.breaks_off = 100_000  # of each answer: the file takes three
        assert download(f"{address}/a.zip", tmp_path / "a.zip") == SHA256
    assert (tmp_path / "a.zip").read_bytes() == CONTENT


def test_a_server_without_ranges_begins_anew(there: Path, tmp_path: Path) -> None:
    (tmp_path / "a.zip.part").write_bytes(b"something")
    with serving(there) as (address, handler):
        handler.ranges = False
        assert download(f"{address}/a.zip", tmp_path / "a.zip", sha256=SHA256) == SHA256


def test_a_complete_part_is_only_checked(there: Path, tmp_path: Path) -> None:
    (tmp_path / "a.zip.part").write_bytes(CONTENT)
    with serving(there) as (address, handler):
        download(f"{address}/a.zip", tmp_path / "a.zip", sha256=SHA256[:8])
        assert not handler.sent.get("a.zip")
    assert (tmp_path / "a.zip").read_bytes() == CONTENT


def test_a_wrong_sha256_is_not_kept(there: Path, tmp_path: Path) -> None:
    with serving(there) as (address, _), pytest.raises(DownloadError, match=SHA256):
        download(f"{address}/a.zip", tmp_path / "a.zip", sha256="00")
    assert not list(tmp_path.glob("a.zip*"))


def test_an_address_that_fails_is_named_without_its_password(there: Path, tmp_path: Path) -> None:
    with serving(there) as (address, _):
        with pytest.raises(DownloadError, match=r"/nothing could not be read: HTTP Error 404"):
            download(f"{address}/nothing", tmp_path / "a")
        assert downloads.without_password("https://me:secret@example.org/a") == "https://example.org/a"


def test_free_space_is_checked_before_anything_is_written(
    there: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = namedtuple("usage", "total used free")(10, 0, 200_000)
    monkeypatch.setattr("shutil.disk_usage", lambda _: usage)
    check_free_space(tmp_path, 199_999, "test")
    with serving(there) as (address, _), pytest.raises(DownloadError, match=r"To download a\.zip, 0\.00 GB must be"):
        download(f"{address}/a.zip", tmp_path / "a.zip")
    assert not (tmp_path / "a.zip.part").exists()


def test_many_that_want_one_file_download_it_once(there: Path, tmp_path: Path) -> None:
    found: list[str] = []
    ready = threading.Barrier(4)

    def want(address: str) -> None:
        ready.wait()
        found.append(download(f"{address}/a.zip", tmp_path / "a.zip", sha256=SHA256))

    with serving(there) as (address, handler):
        threads = [threading.Thread(target=want, args=(address,)) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert handler.sent["a.zip"] == len(CONTENT)
    assert found == [SHA256] * 4
