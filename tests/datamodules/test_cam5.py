"""CAM5 from generated NetCDF, and NOAA's real winds: fields with gaps through the real command."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import xarray

from datamodules.base.gridded import basins
from datamodules.cam5 import Cam5, Event, shared_sources
from datamodules.noaa_winds import NoaaWinds
from datamodules.sampling import IrregularThenRegular, Regular
from datamodules.storage.store import ClipStore
from support.preparing import films_of_each_origin, run

SHOWN = IrregularThenRegular(window=6, inputs=3, outputs=2, start="first")


def maps(start: int, count: int, lat: np.ndarray, lon: np.ndarray, seed: int) -> xarray.Dataset:
    random = np.random.default_rng(seed)
    shape = (count, len(lat), len(lon))
    values = {
        "U850": random.normal(0, 10, shape),
        "V850": random.normal(0, 5, shape),
        "PSL": 1e5 + 1e3 * random.random(shape),
    }
    values["U850"][:, 0, 0] = np.nan
    return xarray.Dataset(
        {name: (("time", "lat", "lon"), value.astype(np.float32)) for name, value in values.items()},
        {
            "time": ("time", start + np.arange(count) / 8, {"units": "days since 1996-01-01", "calendar": "noleap"}),
            "lat": lat,
            "lon": lon,
        },
    )


@pytest.fixture
def tiles(tmp_path: Path) -> Path:
    lat, lon = np.linspace(0, 55, 6), np.linspace(0, 150, 16)
    for number in range(7):
        folder = tmp_path / "archives" / "cam5" / "cam5" / ("test" if number > 4 else "train")
        folder.mkdir(parents=True, exist_ok=True)
        maps(10 * number, 9 + number, lat, lon, number).to_netcdf(folder / f"tc{number}.nc", engine="h5netcdf")
    return tmp_path


def data(root: Path, **changes: Any) -> Cam5:
    return Cam5(**{"root": str(root), "size": (6, 16), "sampling": SHOWN, "batch_size": 2, **changes})


@pytest.mark.filterwarnings("ignore:cam5 has:UserWarning")
def test_the_tiles_through_the_command(tiles: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("prepare", "cam5", "--verify", "--set=size=[6,16]", f"--set=root={tiles}") == 0, capsys.readouterr().err
    assert "5 clips" in capsys.readouterr().out
    module = data(tiles)
    assert [len(module.source(split)) for split in ("train", "val", "test")] == [5, 0, 2]
    batch = next(iter(module.test_dataloader()))
    times = batch.clip.times[0]
    assert times[0] == 0
    assert torch.allclose(
        times[2:], 3 * 3600 * torch.arange(5.0, 8.0)
    )  # the last shown, and what follows, each 3 hours
    assert batch.clip.frames.dtype == torch.float32
    assert not batch.valid[..., 0, 0].any()
    assert batch.valid[..., 1:].all()
    assert (batch.clip.frames[..., 0, 0] == 0).all()
    low, high = np.array(module.bounds).T
    theirs = xarray.open_dataset(tiles / "archives/cam5/cam5/test/tc5.nc", decode_times=False)
    row = batch.clip.frames[0, -1].numpy()
    for channel, name in enumerate(("U850", "V850", "PSL")):
        ours = low[channel] + (row[channel] + 1) / 2 * (high[channel] - low[channel])
        value = theirs[name].to_numpy()[7]
        assert np.allclose(ours[1:], value[1:], atol=1e-4 * (high[channel] - low[channel]))


@pytest.mark.filterwarnings("ignore:cam5 has:UserWarning")
def test_whole_maps_are_cut_into_basins_while_there_is_a_hurricane(tmp_path: Path) -> None:
    folder = tmp_path / "archives" / "cam5" / "cam5"
    folder.mkdir(parents=True)
    lat, lon = np.linspace(-90, 90, 19), np.arange(0, 360, 10.0)
    for number in range(2):  # a film that begins in the first file and ends in the second
        maps(number, 8, lat, lon, number).to_netcdf(folder / f"h{number}.nc", engine="h5netcdf")
    (folder / "hurricanes.csv").write_text("name,start,end,lat,lon\nanna,0.5,1.5,20,170\nbert,0,0.875,-30,340\n")
    with pytest.raises(ValueError, match=r"bert at -30.0 N, 340.0 E .*basins"):
        data(tmp_path).prepare_data()
    (folder / "hurricanes.csv").write_text("name,start,end,lat,lon\nanna,0.5,1.5,20,170\nbert,0,0.875,-30,-190\n")
    module = data(tmp_path)
    module.prepare_data()
    entries = {entry["origin"][0]: entry for entry in ClipStore.open(module.path).index["clips"]}
    assert {name: entry["length"] for name, entry in entries.items()} == {"anna-north-160": 9, "bert-south-160": 8}
    source = module.open("test")
    assert np.allclose(source.times(0), 3 * 3600 * np.arange(9))
    values = ClipStore.open(module.path).split("all").read(np.array([0]), np.array([[8]]))[0, 0, 1]
    theirs = xarray.open_dataset(folder / "h1.nc", decode_times=False)["V850"].to_numpy()[4, 9:15, 16:32]
    assert np.array_equal(values, theirs)


def test_tiles_of_another_size_are_refused_with_theirs(tiles: Path) -> None:
    with pytest.raises(ValueError, match=r"no clip(?s:.*)set size: \[6, 16\], not \[8, 8\]"):
        data(tiles, size=(8, 8)).prepare_data()


def test_the_splits_have_the_published_sizes() -> None:
    module = data(Path())
    for entries in ([{"side": "train"}] * 280 + [{"side": "test"}] * 39, [{"side": ""}] * 319):
        clips = [{"length": 30, "origin": [f"tc{n:03}", str(n), ""], **entry} for n, entry in enumerate(entries)]
        store = ClipStore(Path(), {"channels": 3, "size": [6, 16], "about": {}, "skipped": [], "clips": clips})
        splits = module.splits(store)
        assert [len(splits[split]) for split in ("train", "val", "test")] == [280, 0, 39]
        assert len({piece.clip for pieces in splits.values() for piece in pieces}) == 319
    del clips[0]["origin"][2]
    with pytest.raises(ValueError, match=r"does not say which clips share a source.*benchmarks prepare cam5"):
        module.splits(store)


def test_hurricanes_that_share_maps_are_one_origin() -> None:
    def at(name: str, place: str, start: float, end: float) -> Event:
        return Event(name, place, start, end)

    events = [at("c", "north", 7, 9), at("a", "north", 0, 4), at("b", "north", 3, 7), at("d", "south", 3, 7)]
    assert shared_sources([*events, at("e", "north", 9.5, 10)]) == ["a", "a", "a", "d", "e"]


@pytest.mark.filterwarnings("ignore:cam5 has:UserWarning")
def test_tiles_of_one_place_and_time_are_one_origin(tiles: Path) -> None:
    lat, lon = np.linspace(0, 55, 6), np.linspace(0, 150, 16)
    maps(11, 9, lat, lon, 99).to_netcdf(tiles / "archives/cam5/cam5/train/tc9.nc", engine="h5netcdf")  # with tc1
    module = data(tiles)
    module.prepare_data()
    assert films_of_each_origin(module.source("train")) == [1, 1, 1, 1, 2]
    assert films_of_each_origin(module.source("test")) == [1, 1]


def test_basins_do_not_overlap() -> None:
    lat, lon = np.linspace(90, -90, 721), np.arange(0, 360, 0.3125)
    found = list(basins(lat, lon))
    assert [name for name, *_ in found] == ["north-0", "north-160", "south-0", "south-160"]
    seen = np.zeros((721, len(lon)), dtype=int)
    for _, rows, columns in found:
        seen[rows, columns] += 1
    assert seen.max() == 1
    assert {seen[rows, columns].shape for _, rows, columns in found} == {(240, 512)}
    assert np.abs(lat[seen.any(axis=1)]).max() <= 60


@pytest.mark.parametrize(("kind", "channels", "size"), [("navy", 2, (24, 64)), ("coads", 3, (30, 80))])
def test_the_real_winds(shared: Path, tmp_path: Path, kind: Any, channels: int, size: tuple[int, int]) -> None:
    folder = shared / "data" / "climate"
    before = set(folder.iterdir())
    copy = tmp_path / "archives"
    copy.mkdir()
    name = "navy_winds_uv.npz" if kind == "navy" else "coads_climatology.npz"
    (copy / name).symlink_to(folder / name)
    module = NoaaWinds(kind=kind, root=str(tmp_path), archives=str(copy), sampling=Regular(num_frames=6), batch_size=2)
    module.prepare_data()
    assert module.verify() == []
    batch = next(iter(module.train_dataloader()))
    assert batch.clip.frames.shape == (2, 6, channels, *size)
    assert max(map(len, map(films_of_each_origin, map(module.source, ("train", "val", "test"))))) <= 4  # basins
    assert batch.clip.frames.abs().max() <= 1
    assert (batch.valid is None) == (kind == "navy")
    if batch.valid is not None:
        assert 0.3 < float(batch.valid.float().mean()) < 0.8
    assert set(folder.iterdir()) == before
