"""Moving GIF and Penn Action, from generated archives of the owners' layouts."""

import tarfile
import warnings
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from scipy.io import savemat

from datamodules.moving_gif import MovingGif
from datamodules.penn_action import PennAction
from datamodules.sampling import Regular
from datamodules.storage.store import ClipStore
from support.preparing import film, films_of_each_origin, run

LOADING: dict[str, Any] = {"sampling": Regular(num_frames=5), "size": 16}


def stub(entries: list[dict[str, Any]]) -> ClipStore:
    clips = [{"length": 10, "origin": [f"clip {n}", str(n)], **entry} for n, entry in enumerate(entries)]
    return ClipStore(Path(), {"channels": 3, "size": [16, 16], "about": {}, "skipped": [], "clips": clips})


@pytest.fixture
def gifs(tmp_path: Path) -> Path:
    folder = tmp_path / "archives" / "moving-gif"
    folder.mkdir(parents=True)
    with zipfile.ZipFile(folder / "moving-gif.zip", "w") as packed:
        for number in range(10):
            path = film(tmp_path / "film.gif", 25 * number, rate=12.5)
            packed.write(path, f"moving-gif/{'test' if number > 7 else 'train'}/{number:05}.gif")
    return tmp_path


@pytest.fixture
def penn(tmp_path: Path) -> Path:
    folder = tmp_path / "archives" / "penn-action"
    folder.mkdir(parents=True)
    with tarfile.open(folder / "Penn_Action.tar.gz", "w:gz") as tar:
        for number in range(1, 7):
            for frame in range(1, 8):
                Image.new("RGB", (40, 30), (40 * number, 0, 4 * frame)).save(tmp_path / "f.jpg", quality=95)
                tar.add(tmp_path / "f.jpg", f"Penn_Action/frames/{number:04}/{frame:06}.jpg")
            action = ["bowl", "squat"][number % 2]
            label = {"action": action, "train": 1 if number < 5 else -1, "nframes": 7, "x": np.zeros((7, 13))}
            savemat(tmp_path / "l.mat", label)
            tar.add(tmp_path / "l.mat", f"Penn_Action/labels/{number:04}.mat")
    return tmp_path


def test_the_gifs_through_the_command(gifs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.warns(UserWarning, match="8 train clips where 900 were published"):
        code = run(
            "prepare",
            "moving_gif",
            "--size=16",
            "--verify",
            f"--set=root={gifs}",
            "--set=short_clips=exclude",
        )
    assert code == 0, capsys.readouterr().err
    data = MovingGif(root=str(gifs), val_share=0.25, **LOADING)
    with pytest.warns(UserWarning, match="do not compare"):
        assert [len(data.source(split)) for split in ("train", "val", "test")] == [6, 2, 2]
    assert np.allclose(data.source("test").times(0), np.arange(8) / 10)
    assert [origin.name for origin in data.source("test").origins()] == ["test/00008", "test/00009"]
    assert films_of_each_origin(data.source("train")) == [1] * 6
    own = MovingGif(root=str(gifs), assumed_rate=None, **LOADING)
    own.prepare_data()
    with pytest.warns(UserWarning, match="do not compare"):
        assert np.allclose(own.source("test").times(0), np.arange(8) / 12.5)


def test_the_frames_and_labels_through_the_command(penn: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.warns(UserWarning, match="4 train clips where 1258 were published"):
        code = run("prepare", "penn_action", "--size=16", f"--set=root={penn}", "--set=short_clips=exclude")
    assert code == 0, capsys.readouterr().err
    with pytest.warns(UserWarning, match="do not compare"):
        source = PennAction(root=str(penn), **LOADING).source("train")
    assert source.labels().tolist() == [11, 3, 11, 3]
    frames = source.read(np.array([1]), np.arange(7)[None])[0]
    assert abs(frames[:, 0].astype(float).mean() - 80) < 3
    assert (np.diff(frames[:, 2].astype(float).mean((1, 2))) > 1).all()  # in the order of their numbers


def test_a_film_without_frames_is_named_and_the_rest_goes_on(penn: Path) -> None:
    folder = penn / "archives" / "penn-action"
    with tarfile.open(folder / "Penn_Action.tar.gz") as tar:
        tar.extractall(folder, filter="data")
    (folder / "Penn_Action.tar.gz").unlink()
    (folder / "Penn_Action" / "frames" / "0002" / "000003.jpg").write_bytes(b"\xff\xd8 torn")
    for path in (folder / "Penn_Action" / "frames" / "0003").iterdir():
        path.unlink()
    data = PennAction(root=str(penn), **LOADING)
    with pytest.warns(UserWarning, match=r"2 damaged clips(?s:.*)0002: (?s:.*)0003: "):
        data.prepare_data()
    (folder / "Penn_Action" / "labels" / "0001.mat").write_bytes(b"no label")
    with pytest.raises(ValueError, match=r"0001\.mat"):
        PennAction(root=str(penn), size=8, sampling=Regular(num_frames=5)).prepare_data()


@pytest.mark.parametrize(
    ("data", "entries", "sizes"),
    [
        (MovingGif(**LOADING), [{"side": "train"}] * 900 + [{"side": "test"}] * 100, [900, 0, 100]),
        (MovingGif(val_share=0.1, **LOADING), [{"side": "train"}] * 900 + [{"side": "test"}] * 100, [810, 90, 100]),
        (PennAction(**LOADING), [{"train": n < 1258} for n in range(2326)], [1258, 0, 1068]),
    ],
)
def test_the_splits_have_the_published_sizes(data: Any, entries: list[dict[str, Any]], sizes: list[int]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        splits = data.splits(stub(entries))
    assert [len(splits[split]) for split in ("train", "val", "test")] == sizes
    assert len({piece.clip for pieces in splits.values() for piece in pieces}) == len(entries)


def test_what_to_request_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("prepare", "moving_gif", f"--set=root={tmp_path}") == 2
    err = capsys.readouterr().err
    assert "Missing: moving-gif. The page github.com/AliaksandrSiarohin/monkey-net" in err
    assert run("prepare", "penn_action", f"--set=root={tmp_path}") == 2
    assert "dreamdragon.github.io/PennAction" in capsys.readouterr().err
