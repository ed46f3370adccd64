import hashlib
import zipfile
from collections import namedtuple
from pathlib import Path

import pytest
from preparing import serving

from datamodules.storage.archives import (
    Archive,
    MissingData,
    check_free_space,
    check_recorded_sha256,
    fetch,
    find,
    unpacked,
)

CONTENT = bytes(range(256)) * 900


def test_a_broken_off_download_goes_on_where_it_was(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    (tmp_path / "there" / "a.zip").write_bytes(CONTENT)
    with serving(tmp_path / "there") as (address, handler):
        handler.breaks_off = 100_000
        with pytest.raises(OSError):  # noqa: PT011 - the server hangs up in the middle, however the library words it
            fetch(f"{address}/a.zip", tmp_path / "here" / "a.zip")
        part = tmp_path / "here" / "a.zip.part"
        assert not (tmp_path / "here" / "a.zip").exists()
        have = part.stat().st_size
        assert have == 100_000
        handler.breaks_off = None
        handler.sent.clear()
        path = fetch(f"{address}/a.zip", tmp_path / "here" / "a.zip", hashlib.sha256(CONTENT).hexdigest())
        assert path.read_bytes() == CONTENT
        assert handler.sent["a.zip"] == len(CONTENT) - have
        assert not part.exists()
        part.write_bytes(CONTENT)  # whole, but not yet renamed
        path.unlink()
        assert fetch(f"{address}/a.zip", path).read_bytes() == CONTENT


def test_another_sha256_is_not_kept(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    (tmp_path / "there" / "a.zip").write_bytes(CONTENT)
    with serving(tmp_path / "there") as (address, _), pytest.raises(OSError, match=r"is not 00, so it was deleted"):
        fetch(f"{address}/a.zip", tmp_path / "a.zip", "00")
    assert not list(tmp_path.glob("a.zip*"))


def test_room_is_looked_for_before_anything_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = namedtuple("usage", "total used free")(10, 0, 200_000)
    monkeypatch.setattr("shutil.disk_usage", lambda _: usage)
    check_free_space(tmp_path, 199_999, "test")
    (tmp_path / "there").mkdir()
    (tmp_path / "there" / "a.zip").write_bytes(CONTENT)
    with (
        serving(tmp_path / "there") as (address, _),
        pytest.raises(OSError, match=r"To download a\.zip, 0\.00 GB must be"),
    ):
        fetch(f"{address}/a.zip", tmp_path / "a.zip")
    with zipfile.ZipFile(tmp_path / "b.zip", "w", zipfile.ZIP_DEFLATED) as packed:
        packed.writestr("large", bytes(300_000))
    with pytest.raises(OSError, match=r"To unpack b\.zip.*CHRONOREEL_DATA"), unpacked({"b": tmp_path / "b.zip"}):
        pass


def test_what_is_there_missing_and_changed_is_said(tmp_path: Path) -> None:
    (tmp_path / "one.zip").write_bytes(b"PK no zip")
    wanted = [Archive("one"), Archive("two", "http://127.0.0.1:9/two.zip")]
    with pytest.raises(MissingData, match=r"Found: one\.zip\. Missing: two \(from http.*Ask anna\. Put them there"):
        find(tmp_path, wanted, request="Ask anna.")
    broken = unpacked({"one": tmp_path / "one.zip"})
    with pytest.raises(MissingData, match=r"one\.zip cannot be unpacked.*Fetch it again"), broken:
        pass
    assert check_recorded_sha256(tmp_path / "one.zip") is None
    assert check_recorded_sha256(tmp_path / "one.zip") is None
    (tmp_path / "one.zip").write_bytes(b"PK other")
    assert "but one.zip.sha256 noted" in str(check_recorded_sha256(tmp_path / "one.zip"))
