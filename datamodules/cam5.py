"""CAM5: simulated hurricanes, three fields every three hours, from NetCDF tiles or from whole maps and their tracks."""

import csv
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float32, Float64

from datamodules.base.gridded import GriddedDataModule, basins, timed_maps, value_ranges
from datamodules.base.metadata import Metadata
from datamodules.base.splits import Splits, by_side, check_sizes, check_sources
from datamodules.errors import UserError
from datamodules.storage.archives import Archive, MissingData
from datamodules.storage.clip_views import names_of
from datamodules.storage.decoding import Recording, TimedFrames
from datamodules.storage.store import ClipStore

_UNITS = {"seconds": 1.0, "minutes": 60.0, "hours": 3600.0, "days": 86400.0}


class Cam5(GriddedDataModule):
    """CAM5 hurricanes: 319 clips of zonal wind, meridional wind and pressure, one map every 3 hours, 1996 to 2015.

    Source: the CAM5 simulation of Kim, Park, Chung, Lee, Kang, Liu, Prabhat and others, Deep-Hurricane-Tracker:
    Tracking and Forecasting Extreme Climate Events, WACV 2019; NetCDF, about 0.25 degrees; available from the authors
    on request, on the terms of the simulation's owner (NERSC), without checksum. Vid-ODE uses U850, V850 (m/s) and PSL
    (Pa) for the duration of each hurricane, in basins of 60 x 160 degrees at their native resolution (256x512), 280
    training and 39 test clips: `sampling: IrregularThenRegular` (5 of 20 frames, gaps of up to 48 hours; then 5 frames
    every 3 hours). Two layouts are read:

    - tiles: one file for each clip with the variables over (time, lat, lon), in `train` and `test` where the split is
      known; otherwise the last 39 by name are the test split (ours: the paper publishes no list).
    - whole maps, any number of files, and `hurricanes.csv` with the columns name, start, end (the file's own unit of
      time), lat, lon: each hurricane is a clip of the basin that contains it (`datamodules.base.gridded.basins`).

    A missing value (_FillValue) is a gap: `Batch.valid` is False there. The origin of a clip is its hurricane, an event
    of its own; hurricanes that are in one basin at the same time are one origin, because their clips share maps.

    Args:
        size: rows and columns of a tile; never resized.
        val_share: the share of the train clips that is held out for validation.
        val_seed: chooses them.
        bounds: see `GriddedDataModule`.
        shared: see `PublishedDataModule`.
    """

    name = "cam5"
    variables = ("U850", "V850", "PSL")
    metadata = Metadata(
        source="authors of Deep-Hurricane-Tracker, on request",
        licence="on request, research use",
        citation="Kim et al., Deep-Hurricane-Tracker, WACV 2019",
        splits="Vid-ODE: 280 train, 39 test (which ones is not published)",
        rate="every 3 hours, 60x160 degrees, 256x512",
        checksum="none published; recorded on first use",
    )

    def __init__(
        self, *, size: tuple[int, int] = (256, 512), val_share: float = 0.0, val_seed: int = 0, **shared: Any
    ) -> None:
        super().__init__(size=size, **shared)
        self.val_share, self.val_seed = val_share, val_seed

    @property
    def request(self) -> str:
        """The data are available on request."""
        return (
            "Ask the authors of Deep-Hurricane-Tracker (Kim et al., WACV 2019) for the CAM5 fields U850, V850 and PSL; "
            "call the folder of .nc files `cam5` (tiles in `train` and `test`, or whole maps with hurricanes.csv)."
        )

    def wanted(self) -> tuple[Sequence[Archive], Sequence[Archive]]:
        """One folder, zip or tar of NetCDF files."""
        return [Archive("cam5")], []

    def recordings(self, folders: Mapping[str, Path]) -> Iterator[Recording]:
        """Each hurricane."""
        paths = sorted(folders["cam5"].rglob("*.nc"))
        if not paths:
            raise UserError(f"{self.folder}/cam5 has no .nc file. {self.request}")
        tracks = sorted(folders["cam5"].rglob("hurricanes.csv"))
        if tracks:
            yield from _cut([read_axes(path) for path in paths], read_tracks(tracks[0]), self.variables, self._size)
            return
        for path, source in zip(paths, shared_sources([_tile(path) for path in paths]), strict=True):
            notes: dict[str, Any] = {"side": path.parent.name if path.parent.name in ("train", "test") else ""}
            part = Part(path, slice(None), slice(None), slice(None))
            yield Recording(
                path.stem, partial(_film, [part], self.variables, self._size, notes), about=notes, source=source
            )

    def splits(self, store: ClipStore) -> Splits:
        """By folder, or the last 39 by name are test; warns if the sizes are not 280 and 39."""
        check_sources(store, self.name)
        return arrange(store, self.name, self.val_share, self.val_seed)


class Axes(NamedTuple):
    """The coordinate axes of a file."""

    path: Path
    clock: Float64[np.ndarray, " time"]
    """In the file's own unit of time."""
    unit: float
    """That unit in seconds."""
    lat: Float64[np.ndarray, " height"]
    lon: Float64[np.ndarray, " width"]
    since: str
    """The date that the clock counts from."""


class Event(NamedTuple):
    """When and where the maps of a clip are; only clips of equal places can share maps."""

    name: str
    place: str
    start: float
    end: float


class Part(NamedTuple):
    """A part of a file's maps."""

    path: Path
    when: slice
    rows: slice
    columns: slice


class Track(NamedTuple):
    """A hurricane: start and end in the file's own unit of time, and its position in degrees."""

    name: str
    start: float
    end: float
    lat: float
    lon: float


def read_axes(path: Path) -> Axes:
    """The axes of a NetCDF file.

    Raises:
        MissingData: if the reader is not installed.
        UserError: if it is not a NetCDF file, a coordinate is missing, or the unit of time is unknown.
    """
    with _open_netcdf(path, ("time", "lat", "lon")) as file:
        unit, _, since = (
            part.strip().lower() for part in str(file["time"].attrs.get("units", "")).partition(" since ")
        )
        if unit not in _UNITS:
            raise UserError(f"{path}: time must be in {', '.join(_UNITS)} since a date; its unit is '{unit}'.")
        clock, lat, lon = (file[name].to_numpy().astype(np.float64) for name in ("time", "lat", "lon"))
    return Axes(path, clock, _UNITS[unit], lat, lon, since)


def read_maps(part: Part, variables: Sequence[str]) -> Float32[np.ndarray, "time channel height width"]:
    """The variables of a part of a NetCDF file; gaps are NaN.

    Raises:
        UserError: if it is not a NetCDF file or lacks a variable.
    """
    with _open_netcdf(part.path, variables) as file:
        chosen = {"time": part.when, "lat": part.rows, "lon": part.columns}
        fields = [file[name].isel(chosen).transpose("time", "lat", "lon").to_numpy() for name in variables]
    return np.stack(fields, axis=1).astype(np.float32)


def read_tracks(path: Path) -> list[Track]:
    """The rows of hurricanes.csv."""
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    try:
        numbers = [[float(row[key]) for key in ("start", "end", "lat", "lon")] for row in rows]
        return [Track(row["name"], *values) for row, values in zip(rows, numbers, strict=True)]
    except (KeyError, TypeError, ValueError) as error:
        raise UserError(
            f"{path} must have the columns name, start, end, lat and lon, the last four as numbers ({error})."
        ) from error


def shared_sources(events: Sequence[Event]) -> list[str]:
    """The source of each event: the earliest event that it shares maps with, directly or through others."""
    sources: dict[int, str] = {}
    open_until: dict[str, tuple[float, str]] = {}
    for index in sorted(range(len(events)), key=lambda index: (events[index].start, index)):
        event = events[index]
        end, source = open_until.get(event.place, (-np.inf, ""))
        source = source if event.start <= end else event.name
        sources[index], open_until[event.place] = source, (max(end, event.end), source)
    return [sources[index] for index in range(len(events))]


def arrange(store: ClipStore, name: str, val_share: float, val_seed: int) -> Splits:
    """Train, val and test of a store whose entries have a `side`, which may be empty."""
    sides = [entry["side"] for entry in store.index["clips"]]
    if not any(sides):
        names = names_of(store)
        last = set(sorted(range(len(names)), key=lambda clip: names[clip])[-39:])
        sides = ["test" if clip in last else "train" for clip in range(len(names))]
    check_sizes(name, Counter(sides), {"train": 280, "test": 39})
    return by_side(sides, store, val_share, val_seed)


def _open_netcdf(path: Path, needed: Sequence[str]) -> Any:
    try:
        import xarray
    except ImportError as error:
        raise MissingData("NetCDF is read with xarray and h5netcdf: pip install 'chronoreel[data]'.") from error
    try:
        # CAM's calendar has no leap years; xarray decodes it only with another package, and differences do not need it
        file = xarray.open_dataset(path, decode_times=False)
    except (OSError, ValueError) as error:
        raise UserError(f"{path} is not a NetCDF file ({error}). Download it again.") from error
    if lacking := [name for name in needed if name not in file.variables]:
        there = ", ".join(map(str, file.variables))
        file.close()
        raise UserError(f"{path} has no {', '.join(lacking)}; it has {there}.")
    return file


def _cut(
    files: Sequence[Axes], tracks: Sequence[Track], variables: Sequence[str], size: tuple[int, int]
) -> Iterator[Recording]:
    """The clips of the hurricanes in whole maps; one may start in one file and end in the next."""
    found = []
    for track in tracks:
        parts, basin = [], ""
        for file in sorted(files, key=lambda file: float(file.clock[0])):
            first = int(np.searchsorted(file.clock, track.start - 1e-9))
            last = int(np.searchsorted(file.clock, track.end + 1e-9))
            if first < last:
                basin, rows, columns = _basin(file, track)
                parts.append(Part(file.path, slice(first, last), rows, columns))
        if not parts:
            raise UserError(f"No file of maps covers the time of {track.name}. Download the missing files.")
        found.append((Event(f"{track.name}-{basin}", basin, track.start, track.end), parts))
    for (event, parts), source in zip(found, shared_sources([event for event, _ in found]), strict=True):
        notes: dict[str, Any] = {"side": ""}
        yield Recording(event.name, partial(_film, parts, variables, size, notes), about=notes, source=source)


def _tile(path: Path) -> Event:
    """When and where a tile is; a file that cannot be read is left out later, and shares maps with no other."""
    try:
        axes = read_axes(path)
    except UserError:
        return Event(path.stem, str(path), 0.0, 0.0)
    corners = [float(axis[end]) for axis in (axes.lat, axes.lon) for end in (0, -1)]
    return Event(path.stem, f"{axes.since} {corners}", axes.clock[0] * axes.unit, axes.clock[-1] * axes.unit)


def _basin(file: Axes, track: Track) -> tuple[str, slice, slice]:
    row = int(np.abs(file.lat - track.lat).argmin())
    column = int(np.abs((file.lon - track.lon + 180) % 360 - 180).argmin())
    for name, rows, columns in basins(file.lat, file.lon):
        if rows.start <= row < rows.stop and columns.start <= column < columns.stop:
            return name, rows, columns
    raise UserError(f"{track.name} at {track.lat} N, {track.lon} E is in none of the basins of 60 x 160 degrees.")


def _film(parts: Sequence[Part], variables: Sequence[str], size: tuple[int, int], notes: dict[str, Any]) -> TimedFrames:
    """The maps and their times; the range of each variable is added to `notes`."""
    values = np.concatenate([read_maps(part, variables) for part in parts])
    if values.shape[2:] != size:
        raise UserError(
            f"{parts[0].path}: a tile has {values.shape[2]}x{values.shape[3]} points and is never resized; "
            f"set size: [{values.shape[2]}, {values.shape[3]}], not {list(size)}"
        )
    axes = [read_axes(part.path) for part in parts]
    seconds = np.concatenate([axis.clock[part.when] * axis.unit for axis, part in zip(axes, parts, strict=True)])
    notes |= value_ranges(values)
    yield from timed_maps(values, seconds)
