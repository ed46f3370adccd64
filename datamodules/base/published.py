"""PublishedDataModule: the base of published data sets, which are decoded once and then split as in a paper."""

import warnings
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing
from copy import copy
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np

from datamodules.base.clip_source import Source
from datamodules.base.metadata import Metadata
from datamodules.base.module import Split, side_of
from datamodules.base.splits import Splits
from datamodules.base.stored import StoredDataModule
from datamodules.errors import UserError
from datamodules.storage.archives import Archive, check_recorded_sha256, find, unpacked
from datamodules.storage.clip_views import ClipViews, KeypointClipViews, filter_detected, names_of
from datamodules.storage.container import VideoError
from datamodules.storage.decoding import Recording, decode_recordings
from datamodules.storage.keypoints import (
    Detector,
    Kind,
    detect_keypoints,
    detection_size,
    file_of,
    read,
    read_keypoint_file,
    write,
)
from datamodules.storage.store import ClipStore, DamagedStoreError, PixelType, StoreError


class PublishedDataModule(StoredDataModule, ABC):
    """A published data set.

    A subclass defines `name`, `stored_channels`, `metadata`, `request`, `wanted`, `recordings` and `splits`.

    Args:
        archives: the folder of the owner's files; None is `<root>/archives/<name>`.
        download: download missing archives that have an address.
        shard_gigabytes: store the frames in files of about this size; None is one file.
        keypoints: read the joints (of a face: the points) that `benchmarks prepare ... --keypoints` detected, or that
            were published with the data; see `StoredDataModule`.
        shared: see `StoredDataModule`. Grey data are stored with one channel; `channels: 3` repeats it.
    """

    metadata: ClassVar[Metadata]
    """The data set's row in `benchmarks list data`."""
    stored_channels: Literal[1, 3] | None = None
    """Channels of this data set's store: None is `channels`, 1 is for data that are grey."""
    stored_type: PixelType = "uint8"
    """uint8 for frames, float32 for measured fields."""
    keypoint_kind: Kind = "body"
    """Which keypoints are detected: COCO's 17 joints, or 13 points of a face."""

    def __init__(
        self,
        *,
        archives: str | None = None,
        download: bool = True,
        shard_gigabytes: float | None = None,
        keypoints: bool = False,
        **shared: Any,
    ) -> None:
        super().__init__(keypoints=self.keypoint_kind if keypoints else None, **shared)
        self.folder = Path(archives) if archives else self.root / "archives" / self.name
        self.download = download
        self.shard_bytes = None if shard_gigabytes is None else max(1, round(shard_gigabytes * 1e9))

    @property
    def path(self) -> Path:
        """The folder of the store: one for each size and number of channels, whatever the split."""
        return self.root / f"{self.name}-{side_of(self._size)}px-{self._store_channels}ch"

    @property
    @abstractmethod
    def request(self) -> str:
        """How a user gets the data, in one or two sentences."""

    @abstractmethod
    def wanted(self) -> tuple[Sequence[Archive], Sequence[Archive]]:
        """The required archives, and optional ones, which are used if they are present."""

    @abstractmethod
    def recordings(self, folders: Mapping[str, Path]) -> Iterable[Recording]:
        """The clips in the unpacked archives, in a fixed order."""

    @abstractmethod
    def splits(self, store: ClipStore) -> Splits:
        """The stored clips, or views of them, of each split."""

    def ready_keypoints(self, store: ClipStore, found: Mapping[str, Path]) -> Path | None:
        """The file of keypoints that were published with the data, if any; for its format see `read_keypoint_file`."""
        return None

    def prepare_data(self) -> None:
        """Find or download the archives, unpack and decode them, unless a complete store exists.

        Raises:
            StoreError: if keypoints are requested that have not been detected.
        """
        self._prepare_store()
        if self.joints is not None:
            store = self.open_store()
            if not store.remote and not file_of(store, self.keypoint_kind).exists():
                self._take_keypoints(store)
            read(store, self.keypoint_kind)

    def prepare_keypoints(self, detector: Detector | None = None, size: int = 256) -> list[str]:
        """See `StoredDataModule`; without a detector, keypoints that were published with the data are preferred."""
        self.check_writable()
        self._prepare_store()
        store = self.open_store()
        if detector is None and self._take_keypoints(store):
            return list(read(store, self.keypoint_kind).dropped)
        if detector is None:
            from datamodules.storage.detectors import detector_of

            detector = detector_of(self.keypoint_kind)
        large = copy(self)
        large._size, large._channels = detection_size(self._size, size), 3
        wanted, optional = self.wanted()
        found = find(self.folder, wanted, request=self.request, optional=optional, may_download=self.download)
        names = set(names_of(store))
        with unpacked(found) as folders:
            recordings = [recording for recording in large.recordings(folders) if recording.name in names]
            with closing(decode_recordings(recordings, 3 * large._size[0] * large._size[1])) as films:
                clips = detect_keypoints((film.timed_frames for film in films), detector, large._size, self._size)
                return list(write(store, self.keypoint_kind, clips, detector.name).dropped)

    def _take_keypoints(self, store: ClipStore) -> bool:
        """Write the keypoints that were published with the data, if any, and say whether there were."""
        wanted, optional = self.wanted()
        found = find(self.folder, (), request=self.request, optional=(*wanted, *optional))
        path = self.ready_keypoints(store, found)
        if path is None:
            return False
        names = [name.replace("/", "_") for name in names_of(store)]
        write(store, self.keypoint_kind, read_keypoint_file(path, names), path.name)
        return True

    def _prepare_store(self) -> None:
        if self.store is not None:
            self.open_store()
            return
        wanted, optional = self.wanted()
        names = {archive.name for archive in wanted}
        settings = {"made_by": type(self).__module__, "settings": [list(self._size), self._store_channels]}
        try:
            there = ClipStore.open(self.path).about
            if settings.items() <= there.items() and names <= set(there["archives"]):
                return
        except DamagedStoreError:
            raise
        except StoreError:
            pass
        found = find(self.folder, wanted, request=self.request, optional=optional, may_download=self.download)
        for path in found.values():
            if problem := check_recorded_sha256(path):
                raise UserError(problem)
        about = {**settings, "archives": sorted(found)}

        def make() -> ClipStore:
            item = self._store_channels * self._size[0] * self._size[1] * np.dtype(self.stored_type).itemsize
            with unpacked(found) as folders, closing(decode_recordings(list(self.recordings(folders)), item)) as clips:
                store = ClipStore.write(
                    self.path,
                    clips,
                    channels=self._store_channels,
                    size=self._size,
                    about=about,
                    skip=VideoError,
                    dtype=self.stored_type,
                    shard_bytes=self.shard_bytes,
                )
            if store.skipped:
                listed = "".join(f"\n  {item['reason']}" for item in store.skipped)
                warnings.warn(
                    f"{len(store.skipped)} damaged clips of {self.name} were left out; its splits differ from the "
                    f"published ones:{listed}",
                    stacklevel=2,
                )
            return store

        ClipStore.prepare(self.path, about, make)

    def open(self, split: Split) -> Source:
        """The clips of a split."""
        store = self.open_store()
        views = self.splits(store).get(split, ())
        if self.joints is None:
            return ClipViews(store, views, self._channels, self.frame_rate)
        views = filter_detected(store, views, self.keypoint_kind)
        return KeypointClipViews(store, views, self._channels, self.frame_rate, self.joints)

    def verify(self) -> list[str]:
        """Problems of the store and of the archives that are present, one sentence each; empty if there are none."""
        wanted, optional = self.wanted()
        problems = super().verify()
        found = find(self.folder, (), request=self.request, optional=(*wanted, *optional))
        return problems + [problem for path in found.values() if (problem := check_recorded_sha256(path))]

    @property
    def _store_channels(self) -> int:
        return self.stored_channels or self._channels
