import zipfile
from collections import namedtuple
from pathlib import Path

import pytest

from datamodules.storage.archives import (
    Archive,
    MissingData,
    check_recorded_sha256,
    find,
    unpacked,
)


def test_an_archive_that_does_not_fit_is_not_unpacked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = namedtuple("usage", "total used free")(10, 0, 200_000)
    monkeypatch.setattr("shutil.disk_usage", lambda _: usage)
    with zipfile.ZipFile(tmp_path / "b.zip", "w", zipfile.ZIP_DEFLATED) as packed:
        packed.writestr("large", bytes(300_000))
    with pytest.raises(OSError, match=r"To unpack b\.zip.*CHRONOREEL_DATA"), unpacked({"b": tmp_path / "b.zip"}):
        pass


def test_what_is_there_missing_and_changed_is_said(tmp_path: Path) -> None:
    (tmp_path / "one.zip").write_bytes(b"PK no zip")
    wanted = [Archive("one"), Archive("two", "http://127.0.0.1:9/two.zip")]
    with pytest.raises(MissingData, match=r"Found: one\.zip\. Missing: two \(http.*Ask anna\. Put them there"):
        find(tmp_path, wanted, request="Ask anna.")
    broken = unpacked({"one": tmp_path / "one.zip"})
    with pytest.raises(MissingData, match=r"one\.zip cannot be unpacked"), broken:
        pass
    assert check_recorded_sha256(tmp_path / "one.zip") is None
    assert check_recorded_sha256(tmp_path / "one.zip") is None
    (tmp_path / "one.zip").write_bytes(b"PK other")
    assert "but one.zip.sha256 noted" in str(check_recorded_sha256(tmp_path / "one.zip"))
