"""MUG and UvA-NEMO, from generated archives of the owners' layouts."""

import zipfile
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from datamodules.mug import EXPRESSIONS, MUG
from datamodules.sampling import Regular
from datamodules.uva_nemo import UvANEMO
from support.preparing import film, films_of_each_origin, run

LOADING: dict[str, Any] = {"sampling": Regular(num_frames=4), "size": 16}


@pytest.fixture
def mug(tmp_path: Path) -> Path:
    folder = tmp_path / "archives" / "mug"
    folder.mkdir(parents=True)
    with zipfile.ZipFile(folder / "subjects3.zip", "w") as packed:
        for person in ("001", "002", "052"):
            for number, expression in enumerate((*EXPRESSIONS, "neutral")):
                for frame in range(21):
                    Image.new("RGB", (20, 20), (10 * frame, 30 * number, int(person))).save(tmp_path / "f.jpg")
                    packed.write(tmp_path / "f.jpg", f"subjects3/{person}/{expression}/take000/img_{frame}.jpg")
    return tmp_path


@pytest.fixture
def nemo(tmp_path: Path) -> Path:
    folder = tmp_path / "archives" / "uva-nemo" / "UvA-NEMO"
    folder.mkdir(parents=True)
    for person in range(1, 4):
        for kind in ("deliberate", "spontaneous"):
            film(folder / f"{person:03}_{kind}_smile_{person}.mp4", 30 * person + (kind == "spontaneous"), 40, 50.0)
    (folder / "readme.mp4").write_bytes(b"no smile")
    return tmp_path


def test_mug_through_the_command(mug: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = [f"--set=root={mug}", "--set=test_people=['052']"]
    assert run("prepare", "mug", "--size=16", "--verify", *words) == 0, capsys.readouterr().err
    assert "6 clips" in capsys.readouterr().out
    source = MUG(root=str(mug), val_people=["002"], test_people=["052"], frame_rate=16.0, **LOADING)
    assert [len(source.source(split)) for split in ("train", "val", "test")] == [6, 6, 6]
    assert source.source("train").labels().tolist() == list(range(6))
    assert len(source.source("train").times(0)) == 17  # 20 / 19 s at 16 a second
    whole = MUG(root=str(mug), **LOADING)
    assert [len(whole.source(split)) for split in ("train", "val", "test")] == [18, 0, 0]
    assert films_of_each_origin(whole.source("train")) == [6, 6, 6]
    pixels = whole.source("train").read(*_all(21))
    assert (pixels[0, 1:, 0].astype(int) > pixels[0, :-1, 0]).all()  # img_10 follows img_9


def test_uva_nemo_through_the_command(nemo: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("prepare", "uva_nemo", "--size=16", f"--set=root={nemo}") == 0, capsys.readouterr().err
    assert "6 clips" in capsys.readouterr().out
    data = UvANEMO(root=str(nemo), val_people=["002"], test_people=["003"], **LOADING)
    assert [len(data.source(split)) for split in ("train", "val", "test")] == [2, 2, 2]
    assert data.source("test").labels().tolist() == [0, 1]
    assert films_of_each_origin(data.source("test")) == [2]
    with pytest.raises(ValueError, match=r"009.* 001, 002, 003"):
        UvANEMO(root=str(nemo), test_people=["009"], **LOADING).setup()
    with pytest.raises(ValueError, match="001 is in val_people and in test_people"):
        UvANEMO(root=str(nemo), val_people=["001"], test_people=["001"], **LOADING).setup()


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("mug", "Missing: subjects3. Sign the licence at https://mug"),
        ("uva_nemo", "Missing: UvA-NEMO. Sign the licence at https://www.uva"),
    ],
)
def test_what_to_sign_and_where_to_put_it_is_said(
    name: str, words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("prepare", name, f"--set=root={tmp_path}") == 2
    err = capsys.readouterr().err
    assert words in err
    assert str(tmp_path / "archives" / name.replace("_", "-")) in err


def _all(frames: int) -> Any:
    import numpy as np

    return np.array([0]), np.arange(frames)[None]
