"""Prepared data: what published data sets share; decoded once, then split as a paper does."""

import hashlib
import os
import warnings
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from types import MappingProxyType
from typing import Any, ClassVar, Literal, NamedTuple

import numpy as np
from jaxtyping import Float64, Int64

from datamodules.archives import Archive, check_noted, find, unpacked
from datamodules.facts import Facts
from datamodules.module import SPLITS, ClipDataModule, Split
from datamodules.source import Indices, Origin, Pixels, Positions, Source
from datamodules.store import ClipStore, PixelType, StoredClip, StoreError
from datamodules.video import VideoError

Moments = Iterable[tuple[Any, float]]
"""Pictures (uint8, or float32 for measured fields) and their times in seconds since the first."""
Splits = Mapping[Split, Sequence["Piece"]]

ALL = "all"
"""A store has one split; which clips are trained on is decided when it is opened, so that no split decodes anew."""


class Recording(NamedTuple):
    """A clip of the owner's files, not yet decoded."""

    name: str
    """Its name within the data set, for ever."""
    decode: Callable[[], Moments]
    """Its pictures and their times; called in a thread. A VideoError, OSError or ValueError leaves the clip out."""
    label: int = -1
    about: Mapping[str, Any] = MappingProxyType({})


class Piece(NamedTuple):
    """A part of a stored clip that a split uses as a clip of its own."""

    clip: int
    start: int = 0
    stop: int | None = None
    """Frames `start` to `stop` - 1; None is the clip's end."""


class PreparedData(ClipDataModule, ABC):
    """A data set that somebody publishes.

    A subclass says `name`, `stored_channels`, `facts`, `archives`, `recordings` and `splits`.

    Args:
        size: side of the square pictures, or (height, width): cut about the centre, resized once, antialiased.
        channels: 3 for colour, 1 for grey. Grey data are stored with one channel; 3 repeats it when it is read.
        frame_rate: frames per second to resample to, nearest in time; None keeps the clips' own times.
        archives: where the owner's files lie; None is `<root>/archives/<name>`.
        download: fetch what is missing and may be fetched.
        loading: see `ClipDataModule`.
    """

    facts: ClassVar[Facts]
    """The data set's row in `benchmarks list data`."""
    stored_channels: Literal[1, 3] | None = None
    """What a store of this data set has: None is what was asked for, 1 is data that are grey by nature."""
    stored_type: PixelType = "uint8"
    """Pictures, or float32 for measured fields."""

    def __init__(
        self,
        *,
        size: int | tuple[int, int] = 64,
        channels: Literal[1, 3] = 3,
        frame_rate: float | None = None,
        archives: str | None = None,
        download: bool = True,
        **loading: Any,
    ) -> None:
        super().__init__(**loading)
        if frame_rate is not None and not frame_rate > 0:
            raise ValueError(f"frame_rate must be positive; got {frame_rate}.")
        self._size = (size, size) if isinstance(size, int) else (size[0], size[1])
        self._channels = channels
        self.frame_rate = frame_rate
        self.folder = Path(archives) if archives else self.root / "archives" / self.name
        self.download = download

    @property
    def channels(self) -> int:
        """As asked."""
        return self._channels

    @property
    def size(self) -> tuple[int, int]:
        """As asked."""
        return self._size

    @property
    def path(self) -> Path:
        """Where the store is: one for each size and number of channels, whatever the split."""
        height, width = self._size
        side = str(height) if height == width else f"{height}x{width}"
        return self.root / f"{self.name}-{side}px-{self._store_channels}ch"

    @property
    @abstractmethod
    def request(self) -> str:
        """How a person gets the data."""

    @abstractmethod
    def wanted(self) -> tuple[Sequence[Archive], Sequence[Archive]]:
        """The archives that are needed, and those that are used if they lie there."""

    @abstractmethod
    def recordings(self, places: Mapping[str, Path]) -> Iterable[Recording]:
        """The clips in the unpacked archives, in a fixed order."""

    @abstractmethod
    def splits(self, store: ClipStore) -> Splits:
        """Which of the stored clips, or pieces of them, each split has."""

    def prepare_data(self) -> None:
        """Find or fetch the archives, unpack and decode them, unless the store is there and has all that is needed."""
        wanted, optional = self.wanted()
        names = {archive.name for archive in wanted}
        settings = {"made_by": type(self).__module__, "settings": [list(self._size), self._store_channels]}
        try:
            there = ClipStore.open(self.path).about
            if settings.items() <= there.items() and names <= set(there["archives"]):
                return
        except StoreError:
            pass
        found = find(self.folder, wanted, request=self.request, optional=optional, download=self.download)
        for path in found.values():
            if problem := check_noted(path):
                raise ValueError(problem)
        about = {**settings, "archives": sorted(found)}

        def make() -> ClipStore:
            with unpacked(found) as places:
                store = ClipStore.write(
                    self.path,
                    decoded(list(self.recordings(places))),
                    channels=self._store_channels,
                    size=self._size,
                    about=about,
                    skip=VideoError,
                    dtype=self.stored_type,
                )
            if store.skipped:
                listed = "".join(f"\n  {item['reason']}" for item in store.skipped)
                warnings.warn(
                    f"{len(store.skipped)} broken clips of {self.name} were left out; its splits are not the "
                    f"published ones:{listed}",
                    stacklevel=2,
                )
            return store

        ClipStore.prepare(self.path, about, make)

    def open(self, split: Split) -> Source:
        """The clips of a split."""
        store = ClipStore.open(self.path)
        return Pieces(store, self.splits(store).get(split, ()), self._channels, self.frame_rate)

    def verify(self) -> list[str]:
        """What is wrong with the store and the archives that lie there, one sentence each; empty when nothing is."""
        wanted, optional = self.wanted()
        problems = damaged(ClipStore.open(self.path))
        found = find(self.folder, (), request=self.request, optional=(*wanted, *optional))
        return problems + [problem for path in found.values() if (problem := check_noted(path))]

    @property
    def _store_channels(self) -> int:
        return self.stored_channels or self._channels


class Pieces:
    """Pieces of stored clips as clips of their own: a source. Resamples by choosing frames, so nothing is decoded."""

    def __init__(self, store: ClipStore, pieces: Sequence[Piece], channels: int, frame_rate: float | None) -> None:
        self._store, self._pieces, self._rate = store, list(pieces), frame_rate
        self._clips = store.split(ALL)
        self.channels, self.size = channels, store.size
        self._own = np.array([piece.clip for piece in self._pieces], dtype=np.int64)
        chosen = [_choose(self._clips.times(piece.clip), piece, frame_rate) for piece in self._pieces]
        self._frames = [frames for frames, _ in chosen]
        self._times = [times for _, times in chosen]
        # a table, so that a batch is looked up at once; rows end in a number that no clip has
        longest = max((len(frames) for frames in self._frames), default=0)
        self._table = np.full((len(chosen), longest), np.iinfo(np.int64).max // 2)
        for row, frames in zip(self._table, self._frames, strict=True):
            row[: len(frames)] = frames
        parts = [(piece, len(frames)) for piece, frames in zip(self._pieces, self._frames, strict=True)]
        text = f"{self._clips.fingerprint} {[(*piece, count) for piece, count in parts]} {channels} {frame_rate}"
        self.fingerprint = hashlib.sha256(text.encode()).hexdigest()

    def __len__(self) -> int:
        return len(self._pieces)

    def __reduce__(self) -> tuple[Any, ...]:
        # a worker process maps the files itself; pickled, the map would be copied whole
        return _open_pieces, (str(self._store.path), self._pieces, self.channels, self._rate)

    def origins(self) -> Sequence[Origin]:
        """The recordings that the pieces were cut from."""
        origins = self._clips.origins()
        return [origins[clip] for clip in self._own]

    def labels(self) -> Int64[np.ndarray, " clips"]:
        """The class of each clip, -1 where there is none."""
        return self._clips.labels()[self._own]

    def times(self, index: int) -> Float64[np.ndarray, " length"]:
        """Seconds since the first frame of clip `index`."""
        return self._times[index]

    def read(self, clips: Indices, frames: Positions) -> Pixels:
        """The frames at these positions; grey is repeated where three channels were asked for."""
        if frames.size and (frames.min() < 0 or frames.max() >= self._table.shape[1]):
            raise IndexError(
                f"Frames {frames.min()} to {frames.max()} of clips of up to {self._table.shape[1]} frames."
            )
        pixels = self._clips.read(self._own[clips], self._table[clips[:, None], frames])
        return pixels if pixels.shape[2] == self.channels else pixels.repeat(self.channels, axis=2)


def decoded(recordings: Sequence[Recording]) -> Iterator[StoredClip]:
    """The recordings decoded on all cores, in their order, with a progress bar; a broken one raises when it is read."""
    from rich.progress import Progress

    workers = os.cpu_count() or 1
    with ThreadPoolExecutor(workers) as pool, Progress(transient=True) as progress:
        task = progress.add_task("Decoding", total=len(recordings))
        waiting: deque[tuple[Recording, Future[list[tuple[Any, float]]]]] = deque()
        left = iter(recordings)
        for recording in left:
            waiting.append((recording, pool.submit(_read, recording)))
            if len(waiting) >= 2 * workers:
                break
        while waiting:
            recording, future = waiting.popleft()
            for following in left:
                waiting.append((following, pool.submit(_read, following)))
                break
            error = future.exception()
            digest, moments = hashlib.sha256(), _broken(error)
            if error is None:
                whole = future.result()
                moments = iter(whole)
                for picture, _ in whole:
                    digest.update(picture.tobytes())
            origin = Origin(recording.name, digest.hexdigest())
            yield StoredClip(moments, ALL, origin, recording.label, recording.about)
            progress.advance(task)


def damaged(store: ClipStore) -> list[str]:
    """The clips whose pixels and times are not those that the index noted, a sentence for each."""
    clips = store.split(ALL)
    problems = []
    for number, entry in enumerate(store.index["clips"]):
        digest, length = hashlib.sha256(), entry["length"]
        digest.update(clips.read(np.array([number]), np.arange(length)[None]).tobytes())
        digest.update(clips.times(number).astype("<f8").tobytes())
        if digest.hexdigest() != entry["sha256"]:
            problems.append(f"{store.path}: {entry['origin'][0]} is not what was written. Delete it and prepare again.")
    return problems


def carve(pieces: Sequence[Piece], share: float, seed: int, names: Sequence[str]) -> tuple[list[Piece], list[Piece]]:
    """Train and val: `share` of the pieces by a hash of their names, so that the choice depends on no order."""
    if not 0 <= share < 1:
        raise ValueError(f"val_share must be from 0 to below 1; got {share}.")
    order = sorted(pieces, key=lambda piece: hashlib.sha256(f"{seed} {names[piece.clip]}".encode()).digest())
    held = set(order[: round(share * len(order))])
    return [piece for piece in pieces if piece not in held], [piece for piece in pieces if piece in held]


def names_of(store: ClipStore) -> list[str]:
    """The names of a store's clips, in its order."""
    return [str(entry["origin"][0]) for entry in store.index["clips"]]


def by_person(store: ClipStore, val_people: Sequence[str], test_people: Sequence[str]) -> Splits:
    """The clips of a split's people; those whom it does not name are trained on.

    Raises:
        ValueError: if a name is nobody's, or somebody would be in two splits.
    """
    people = [entry["person"] for entry in store.index["clips"]]
    known = sorted(set(people))
    if strangers := [person for person in (*val_people, *test_people) if person not in known]:
        raise ValueError(f"{store.path} has nobody called {', '.join(strangers)}; there are {', '.join(known)}.")
    if both := set(val_people) & set(test_people):
        raise ValueError(f"Nobody may be in two splits; {', '.join(sorted(both))} is in val_people and test_people.")
    held = {*val_people, *test_people}
    return {
        "train": [Piece(clip) for clip, person in enumerate(people) if person not in held],
        "val": [Piece(clip) for clip, person in enumerate(people) if person in val_people],
        "test": [Piece(clip) for clip, person in enumerate(people) if person in test_people],
    }


def check_sizes(name: str, splits: Splits, published: Mapping[Split, int]) -> Splits:
    """The splits; warns where they have not the published sizes."""
    wrong = [
        f"{len(splits.get(split, ()))} {split} clips where {published[split]} were published"
        for split in SPLITS
        if split in published and len(splits.get(split, ())) != published[split]
    ]
    if wrong:
        warnings.warn(f"{name} has {', '.join(wrong)}; do not compare with the paper's numbers.", stacklevel=2)
    return splits


def _read(recording: Recording) -> list[tuple[Any, float]]:
    try:
        return list(recording.decode())
    except VideoError as error:
        raise VideoError(recording.name, error.reason) from error
    except (OSError, ValueError) as error:
        raise VideoError(recording.name, f"it cannot be read ({error})") from error


def _broken(error: BaseException | None) -> Iterator[tuple[Any, float]]:
    if error is not None:
        raise error
    yield from ()


def _choose(
    times: Float64[np.ndarray, " length"], piece: Piece, rate: float | None
) -> tuple[Int64[np.ndarray, " chosen"], Float64[np.ndarray, " chosen"]]:
    """The frames of a piece and their times since its first: all, or the nearest to 0, 1, 2, ... / `rate` seconds."""
    frames = np.arange(len(times))[piece.start : piece.stop]
    own = times[frames] - times[frames[0]]
    if rate is None:
        return frames, own
    grid = np.arange(int(own[-1] * rate + 1e-6) + 1) / rate
    return frames[np.searchsorted((own[1:] + own[:-1]) / 2, grid + 1e-9)], grid


def _open_pieces(path: str, pieces: list[Piece], channels: int, frame_rate: float | None) -> Pieces:
    return Pieces(ClipStore.open(path), pieces, channels, frame_rate)
