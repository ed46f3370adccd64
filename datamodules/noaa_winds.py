"""NOAA winds: measured monthly winds and pressure, with or without gaps over land; CAM5's pipeline on public data."""

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np

from datamodules.base.gridded import GriddedDataModule, basins, timed_maps, value_ranges
from datamodules.base.metadata import Metadata
from datamodules.base.splits import Splits
from datamodules.storage.archives import Archive
from datamodules.storage.clip_views import ClipView
from datamodules.storage.decoding import Recording
from datamodules.storage.store import ClipStore

KINDS = {"navy": ("navy_winds_uv", ("u", "v")), "coads": ("coads_climatology", ("UWND", "VWND", "SLP"))}
MONTH = 730.485 * 3600
"""Seconds: a twelfth of a year of 365.2425 days."""


class NoaaWinds(GriddedDataModule):
    """NOAA winds: monthly maps in basins of 60 x 160 degrees, public domain; a public stand-in for CAM5.

    Source: two files of NOAA's Ferret distribution, as .npz. `navy`: winds u, v of the FNOC analysis at 2.5 degrees,
    132 months from 1982, no gaps. `coads`: the COADS climatology at 2 degrees, wind U, V and sea-level pressure, the
    twelve months of a mean year, 45 % of the points (land) missing. There are four non-overlapping basins
    (`datamodules.base.gridded.basins`). The splits are ours. navy: in each basin the first 84 months are train, the
    next 24 val, the last 24 test. coads: the two basins from 0 to 160 degrees of the map are train, the third is val,
    the fourth test. The origin of a clip is its basin: the months of one record are one series, whose windows are not
    independent. So no split has more than four sources, and its numbers have no interval.

    Args:
        kind: "navy" or "coads".
        bounds: see `GriddedDataModule`.
        shared: see `PublishedDataModule`; the size is that of the kind's own grid.
    """

    name = "noaa-winds"
    metadata = Metadata(
        source="NOAA, data of Ferret (navy_winds, coads_climatology)",
        licence="public domain",
        citation="NOAA PMEL; COADS: Slutz et al., 1985",
        splits="ours: by time (navy), by basin (coads)",
        rate="monthly, 24x64 (2.5 degrees) or 30x80 (2 degrees)",
        checksum="recorded on first use",
    )

    def __init__(self, *, kind: Literal["navy", "coads"] = "navy", **shared: Any) -> None:
        self.kind: Literal["navy", "coads"] = kind
        self._file, self.variables = KINDS[kind]
        super().__init__(size=(24, 64) if kind == "navy" else (30, 80), **shared)
        self.name = f"noaa-winds-{kind}"

    @property
    def request(self) -> str:
        """The data are public."""
        return (
            f"It is public data of NOAA (Ferret's data sets); save it as {self._file}.npz with lat, lon and the maps."
        )

    def wanted(self) -> tuple[Sequence[Archive], Sequence[Archive]]:
        """One file."""
        return [Archive(self._file)], []

    def recordings(self, folders: Mapping[str, Path]) -> Iterator[Recording]:
        """Each basin, as one clip (coads) or as three, one for each split (navy)."""
        with np.load(folders[self._file]) as content:
            values = np.stack([content[name].astype(np.float32) for name in self.variables], axis=1)
            lat, lon = content["lat"].astype(np.float64), content["lon"].astype(np.float64)
            hours = content["time"].astype(np.float64) if "time" in content else None
        seconds = hours * 3600 if hours is not None else np.arange(len(values)) * MONTH
        parts = {"train": slice(0, 84), "val": slice(84, 108), "test": slice(108, None)}
        for number, (basin, rows, columns) in enumerate(basins(lat, lon)):
            sides = parts if self.kind == "navy" else {("train", "train", "val", "test")[number]: slice(None)}
            for side, when in sides.items():
                tile = values[when, :, rows, columns]
                read = partial(timed_maps, tile, seconds[when])
                about = {"side": side, **value_ranges(tile)}
                yield Recording(f"{basin}-{side}", read, about=about, source=basin)

    def splits(self, store: ClipStore) -> Splits:
        """By the side of each recording."""
        sides = [entry["side"] for entry in store.index["clips"]]
        train, val, test = (
            [ClipView(clip) for clip, side in enumerate(sides) if side == wanted] for wanted in ("train", "val", "test")
        )
        return {"train": train, "val": val, "test": test}
