import struct
import zipfile
import zlib
from pathlib import Path

import numpy as np
import pytest

from benchmarks.cli import benchmarks
from datamodules.sampling import Regular
from datamodules.storage.video_writer import write_video
from datamodules.ucf101 import UCF101


def stored_rar(path: Path, files: dict[str, bytes]) -> None:
    """A RAR 4 archive whose members are stored, written from the format's description."""

    def block(kind: int, flags: int, body: bytes, data: bytes = b"") -> bytes:
        rest = struct.pack("<BHH", kind, flags, 7 + len(body)) + body
        return struct.pack("<H", zlib.crc32(rest) & 0xFFFF) + rest + data

    out = b"Rar!\x1a\x07\x00" + block(0x73, 0, bytes(6))
    for name, content in files.items():
        word = name.encode()
        head = struct.pack(
            "<IIBIIBBHI", len(content), len(content), 3, zlib.crc32(content), 0, 20, 0x30, len(word), 0o644
        )
        out += block(0x74, 0x8000, head + word, content)
    path.write_bytes(out + block(0x7B, 0x4000, b""))


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "archives" / "ucf101"
    folder.mkdir(parents=True)
    videos, train, test = {}, "", ""
    for number in range(12):
        kind = "Archery" if number % 2 else "Biking"
        name = f"{kind}/v_{kind}_g{number:02}_c01.avi"
        if number == 3:  # another clip of the first's group
            name = "Archery/v_Archery_g01_c02.avi"
        write_video(tmp_path / "film.mp4", np.full((8, 3, 12, 16), 20 * number, dtype=np.uint8), 25)
        videos[f"UCF-101/{name}"] = (tmp_path / "film.mp4").read_bytes()
        if number < 10:
            train += f"{name} {1 + number % 2}\r\n"
        else:
            test += f"{name}\r\n"
    stored_rar(folder / "UCF101.rar", videos)
    with zipfile.ZipFile(folder / "UCF101TrainTestSplits-RecognitionTask.zip", "w") as packed:
        packed.writestr("ucfTrainTestlist/trainlist01.txt", train)
        packed.writestr("ucfTrainTestlist/testlist01.txt", test)
    return tmp_path


def numbers(data: UCF101) -> list[int]:
    return [origin.number for origin in data.source("train").origins()]


def test_the_rar_and_its_lists_through_the_command(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        benchmarks(["prepare", "ucf101", "--size=16", f"--set=root={root}", "--set=val_share=0.2", "--verify"])
    assert not end.value.code, capsys.readouterr().err
    loading = {"root": str(root), "size": 16, "sampling": Regular(num_frames=5)}
    whole, carved, other = (
        UCF101(**loading),
        UCF101(val_share=0.2, **loading),
        UCF101(val_share=0.2, val_seed=1, **loading),
    )
    assert [len(whole.source(split)) for split in ("train", "val", "test")] == [10, 0, 2]
    assert [len(carved.source(split)) for split in ("train", "val", "test")] == [8, 2, 2]
    assert len({data.data_id("train") for data in (whole, carved, other)}) == 3
    assert {data.data_id("test") for data in (whole, carved)} == {whole.data_id("test")}
    assert whole.source("test").labels().tolist() == [0, 1]
    groups = dict(zip((origin.name for origin in whole.source("train").origins()), numbers(whole), strict=True))
    assert groups["Archery/v_Archery_g01_c01"] == groups["Archery/v_Archery_g01_c02"]
    assert len(set(groups.values())) == 9


def test_a_video_that_the_lists_name_is_not_left_out_in_silence(root: Path) -> None:
    stored_rar(root / "archives" / "ucf101" / "UCF101.rar", {})
    with pytest.raises(ValueError, match="name 12 videos that UCF101 lacks"):
        UCF101(root=str(root), sampling=Regular(num_frames=5)).prepare_data()
