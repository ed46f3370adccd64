"""GriddedDataModule: measured maps (winds, pressure) as clips, scaled to [-1, 1] by their minimum and maximum."""

import hashlib
from abc import ABC
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float32, Float64, Int64

from datamodules.base.clip_source import Indices, Origin, Positions, Source
from datamodules.base.module import Split
from datamodules.base.published import PublishedDataModule
from datamodules.errors import UserError
from datamodules.storage.clip_views import ClipViews
from datamodules.storage.decoding import TimedFrames
from datamodules.storage.store import PixelType

Grid = Float32[np.ndarray, "time channel height width"]
Bounds = Sequence[tuple[float, float]]
"""The minimum and maximum of each variable, in its own unit."""


class GriddedDataModule(PublishedDataModule, ABC):
    """Data whose pixels are measured: stored as float32 in their own units, NaN where nothing was measured.

    A subclass defines `variables` and what `PublishedDataModule` requires, and records the range of each clip
    (`value_ranges`). A batch holds 2 (value - min) / (max - min) - 1 for each variable, 0 where nothing was measured,
    and `valid`, which is False there. In [0, 1] that is the min-max image of Vid-ODE's Table 5. The paper does not say
    over which clips it takes the minimum and maximum. We take them over all clips, the test clips included, so that no
    value is clipped; `bounds` overrides them.
    """

    variables: tuple[str, ...]
    """The channels, by name."""
    stored_type: PixelType = "float32"

    def __init__(self, *, bounds: Sequence[Sequence[float]] | None = None, **shared: Any) -> None:
        super().__init__(channels=3, **shared)
        self._bounds = None if bounds is None else [(float(low), float(high)) for low, high in bounds]
        if self._bounds is not None and len(self._bounds) != len(self.variables):
            raise UserError(f"bounds must be one pair for each of {', '.join(self.variables)}; got {self._bounds}.")
        if any(low >= high for low, high in self._bounds or ()):
            raise UserError(f"bounds must be (minimum, maximum) with minimum < maximum; got {self._bounds}.")

    @property
    def channels(self) -> int:
        """One for each variable."""
        return len(self.variables)

    @property
    def bounds(self) -> Bounds:
        """The values of each variable that -1 and 1 stand for; known once the data are prepared."""
        return self._bounds if self._bounds is not None else _extent(self.open_store().index["clips"])

    def open(self, split: Split) -> Source:
        """The clips of a split."""
        store = self.open_store()
        bounds = self._bounds if self._bounds is not None else _extent(store.index["clips"])
        return GriddedSource(
            ClipViews(store, self.splits(store).get(split, ()), self.channels, self.frame_rate), bounds
        )

    @property
    def _store_channels(self) -> int:
        return len(self.variables)


class GriddedSource:
    """Views of a store of fields, scaled to [-1, 1]: a source. NaN stays NaN."""

    def __init__(self, views: ClipViews, bounds: Bounds) -> None:
        self._views, self._bounds = views, bounds
        self.channels, self.size = views.channels, views.size
        low, high = np.array(bounds, dtype=np.float64).T
        self._low, self._scale = low[:, None, None].astype(np.float32), (2 / (high - low))[:, None, None]
        self.fingerprint = hashlib.sha256(f"{views.fingerprint} {list(bounds)}".encode()).hexdigest()

    def __len__(self) -> int:
        return len(self._views)

    def origins(self) -> Sequence[Origin]:
        """The recordings that the views are parts of."""
        return self._views.origins()

    def labels(self) -> Int64[np.ndarray, " clips"]:
        """The class of each clip, -1 where there is none."""
        return self._views.labels()

    def times(self, index: int) -> Float64[np.ndarray, " length"]:
        """Seconds since the first frame of clip `index`."""
        return self._views.times(index)

    def read(self, clips: Indices, frames: Positions) -> Float32[np.ndarray, "batch time channel height width"]:
        """The frames at these positions, in [-1, 1]; NaN where nothing was measured."""
        values = self._views.read(clips, frames)
        scaled: np.ndarray = ((values - self._low) * self._scale - 1).astype(np.float32)
        return np.clip(scaled, -1, 1)


def value_ranges(values: Grid) -> dict[str, list[float]]:
    """The minimum and maximum of each variable in a clip, NaN ignored, for the store's index.

    Raises:
        UserError: if a variable has no value at all.
    """
    flat = np.moveaxis(values, 1, 0).reshape(values.shape[1], -1)
    if np.isnan(flat).all(axis=1).any():
        raise UserError("a variable has no value at all")
    return {"low": np.nanmin(flat, axis=1).tolist(), "high": np.nanmax(flat, axis=1).tolist()}


def timed_maps(values: Grid, seconds: Float64[np.ndarray, " time"]) -> TimedFrames:
    """The maps one by one, with their times in seconds since the first."""
    for grid, second in zip(values, seconds - seconds[0], strict=True):
        yield np.ascontiguousarray(grid, dtype=np.float32), float(second)


def basins(
    lat: Float64[np.ndarray, " rows"], lon: Float64[np.ndarray, " columns"]
) -> Iterator[tuple[str, slice, slice]]:
    """Names, rows and columns of Vid-ODE's non-overlapping tiles, 60 degrees high and 160 wide.

    The paper does not specify them. Ours: from the equator to 60 degrees on either side, and 0 to 160 and 160 to 320
    degrees east, counted from the map's first column; all have the same number of rows and columns.
    """
    step_lat, step_lon = abs(float(lat[1] - lat[0])), float(lon[1] - lon[0])
    rows, columns = round(60 / step_lat), round(160 / step_lon)
    rising = lat[1] > lat[0]
    equator = int(np.argmax(lat >= 0)) if rising else int(np.argmax(lat < 0))
    for side, top in (("first", equator - rows), ("second", equator)):
        half = ("south" if rising else "north") if side == "first" else ("north" if rising else "south")
        for number in range(len(lon) // columns):
            if top >= 0 and top + rows <= len(lat):
                name = f"{half}-{number * 160}"
                yield name, slice(top, top + rows), slice(number * columns, (number + 1) * columns)


def _extent(clips: Sequence[Mapping[str, Any]]) -> list[tuple[float, float]]:
    low = np.min([entry["low"] for entry in clips], axis=0)
    high = np.max([entry["high"] for entry in clips], axis=0)
    return [(float(a), float(b)) for a, b in zip(low, high, strict=True)]
