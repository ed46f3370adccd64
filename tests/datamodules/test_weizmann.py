import json
import pickle
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch

from benchmarks.cli import benchmarks
from datamodules.sampling import Regular
from datamodules.storage.archives import MissingData
from datamodules.storage.clip_views import ClipView
from datamodules.storage.video_writer import write_video
from datamodules.weizmann import ACTIONS, PEOPLE, Weizmann, WeizmannStrips, consecutive_views
from support.preparing import films_of_each_origin

LOADING = {"sampling": Regular(num_frames=4), "batch_size": 2, "size": 16}


@pytest.fixture
def zips(tmp_path: Path) -> Path:
    """A zip for each action, with a film for two people and for lena's two walks."""
    folder = tmp_path / "archives" / "weizmann"
    folder.mkdir(parents=True)
    for grey, action in enumerate(ACTIONS):
        with zipfile.ZipFile(folder / f"{action}.zip", "w") as packed:
            for place, person in enumerate(["daria", "moshe", "shahar"]):
                film = tmp_path / "film.mp4"
                write_video(film, np.full((9, 3, 16, 20), 20 * grey + 5 * place, dtype=np.uint8), 25)
                packed.write(film, f"{person}_{action}.avi")
    return tmp_path


def run(*words: str) -> int:
    with pytest.raises(SystemExit) as end:
        benchmarks(list(words))
    return int(end.value.code or 0)


def test_the_owners_zips_become_splits_by_person(zips: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("prepare", "weizmann", "--size=16", "--verify", f"--set=root={zips}") == 0
    out = capsys.readouterr().out
    assert "10 clips" in out
    data = Weizmann(root=str(zips), **LOADING)
    assert [len(data.source(split)) for split in ("train", "val", "test")] == [10, 10, 10]
    assert {origin.name.partition("_")[0].partition("/")[2] for origin in data.source("test").origins()} == {"shahar"}
    everybody = Weizmann(root=str(zips), val_people=[], test_people=[], **LOADING)
    assert films_of_each_origin(everybody.source("train")) == [10, 10, 10]  # three people
    assert not list((zips / "archives" / "weizmann").glob(".*.zip-*"))  # what was unpacked is gone
    resampled = Weizmann(root=str(zips), frame_rate=16.0, **LOADING)
    assert np.allclose(resampled.source("train").times(0), np.arange(6) / 16)
    assert resampled.data_id("train") != data.data_id("train")


def test_an_old_store_has_the_people_as_origins(zips: Path) -> None:
    data = Weizmann(root=str(zips), val_people=[], test_people=[], **LOADING)
    data.prepare_data()
    index = json.loads((data.path / "index.json").read_text())
    for entry in index["clips"]:
        entry["origin"] = entry["origin"][:2]  # as it was before sources were kept
    new = data.dataset("train").__getitems__([(0, n) for n in range(30)]).origins
    (data.path / "index.json").write_text(json.dumps(index))
    old = Weizmann(root=str(zips), val_people=[], test_people=[], **LOADING).dataset("train")
    assert torch.equal(old.__getitems__([(0, n) for n in range(30)]).origins, new)


def test_what_is_missing_is_named_with_its_place(zips: Path) -> None:
    (zips / "archives" / "weizmann" / "run.zip").unlink()
    data = Weizmann(root=str(zips), download=False, **LOADING)
    with pytest.raises(MissingData, match=r"Found: bend.zip.*Missing: run .*wisdom.weizmann.ac.il"):
        data.prepare_data()


def test_a_broken_film_is_named_and_the_rest_goes_on(zips: Path) -> None:
    with zipfile.ZipFile(zips / "archives" / "weizmann" / "run.zip", "a") as packed:
        packed.writestr("eli_run.avi", b"not a film")
    data = Weizmann(root=str(zips), **LOADING)
    with pytest.warns(UserWarning, match="run/eli_run"):
        data.prepare_data()
    assert len(data.source("train")) == 10


def test_damage_is_found(zips: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = Weizmann(root=str(zips), **LOADING)
    data.prepare_data()
    assert data.verify() == []
    with (data.path / "frames.u8").open("r+b") as file:
        file.write(b"\x01\x02\x03")
    assert run("prepare", "weizmann", "--size=16", "--verify", f"--set=root={zips}") == 2
    assert "bend/daria_bend" in capsys.readouterr().err
    (zips / "archives" / "weizmann" / "run.zip").write_bytes(b"PK")
    assert any("run.zip" in problem for problem in data.verify())


def test_nobody_is_in_two_splits() -> None:
    with pytest.raises(ValueError, match=r"anna.*daria"):
        Weizmann(test_people=["anna"], **LOADING)
    with pytest.raises(ValueError, match="in val_people and in test_people"):
        Weizmann(test_people=["eli"], val_people=["eli"], **LOADING)
    assert len(PEOPLE) == 9


def test_the_real_strips(shared: Path, tmp_path: Path) -> None:
    (tmp_path / "archives").mkdir()
    (tmp_path / "archives" / "strips").symlink_to(shared / "data" / "weizmann_actions")
    data = WeizmannStrips(
        root=str(tmp_path), archives=str(tmp_path / "archives"), sampling=Regular(num_frames=16), size=64
    )
    data.prepare_data()
    assert [len(data.source(split)) for split in ("train", "val", "test")] == [28, 4, 4]
    source = data.source("test")
    assert source.labels().tolist() == [0, 1, 2, 3]
    frames = sum(
        len(data.source(split).times(i)) for split in ("train", "val", "test") for i in range(len(data.source(split)))
    )
    assert frames == 2645
    here = source.read(np.array([0, 1]), np.array([[0, 50], [3, 7]]))
    there = pickle.loads(pickle.dumps(source)).read(np.array([0, 1]), np.array([[0, 50], [3, 7]]))
    assert here.shape == (2, 2, 3, 64, 64)
    assert (here == there).all()
    cut = WeizmannStrips(
        root=str(tmp_path),
        frames_per_clip=16,
        test_people=[7, 8],
        val_people=[6],
        sampling=Regular(num_frames=16),
        size=64,
    )
    assert [len(cut.source(split)) for split in ("train", "val", "test")] == [24, 16, 34]
    assert {len(cut.source("test").times(index)) for index in range(34)} == {16}
    assert len(cut.source("train").times(0)) > 16  # a training sample lies anywhere
    people = cut.dataset("test")[0, 0].origins, cut.dataset("test").__getitems__([(0, n) for n in range(34)]).origins
    assert (len(people[0]), len(people[1].unique())) == (1, 2)  # 34 pieces of eight films of two people


def test_a_clip_is_cut_into_pieces_and_its_end_is_left() -> None:
    pieces = consecutive_views([ClipView(1), ClipView(0)], [15, 40], 16)
    assert pieces == [ClipView(1, 0, 16), ClipView(1, 16, 32)]
    with pytest.raises(ValueError, match="frames_per_clip"):
        WeizmannStrips(frames_per_clip=0, **LOADING)
