"""Stored data: clips that are decoded once into a store; what published data and folders of videos share."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from datamodules.base.module import ClipDataModule, shape_of
from datamodules.errors import UserError
from datamodules.storage.clip_views import Joints, joints_of
from datamodules.storage.keypoints import Detector, Kind
from datamodules.storage.store import ClipStore


class StoredDataModule(ClipDataModule, ABC):
    """Clips of files, decoded into a store of one size.

    Args:
        size: side of the square pictures, or (height, width): cut about the centre, resized once, antialiased.
        channels: 3 for colour, 1 for grey.
        frame_rate: frames per second to resample to, nearest in time; None keeps the clips' own times.
        store: read this prepared store, a folder or an fsspec address (https://, s3://, ...), where it lies; the files
            are not needed then.
        keypoints: read the joints of the "body" or the points of the "face" that `prepare_keypoints` found
            (`benchmarks prepare ... --keypoints`); batches are KeypointClips then. Clips in which more than 20 % of the
            frames have no detection are left out, by name.
        drop_joints: joints that are left out, counted from 0; 15 and 16 are the ankles.
        joint_weights: what the confidence of a joint is multiplied by, 0 to 1.
        loading: see `ClipDataModule`; `joint_pairs` are those of the joints that are left.
    """

    def __init__(
        self,
        *,
        size: int | tuple[int, int] = 64,
        channels: Literal[1, 3] = 3,
        frame_rate: float | None = None,
        store: str | None = None,
        keypoints: Kind | None = None,
        drop_joints: Sequence[int] = (),
        joint_weights: dict[int, float] | None = None,
        **loading: Any,
    ) -> None:
        super().__init__(**loading)
        self.joints: Joints | None = None
        if keypoints is not None:
            self.joints, pairs = joints_of(keypoints, drop_joints, joint_weights)
            self.joint_pairs = self.joint_pairs or pairs
        elif drop_joints or joint_weights:
            raise UserError("drop_joints and joint_weights are of keypoints; set `keypoints` too.")
        if frame_rate is not None and not frame_rate > 0:
            raise UserError(f"frame_rate must be positive; got {frame_rate}.")
        self._size = shape_of(size)
        self._channels = channels
        self.frame_rate = frame_rate
        self.store = store

    @property
    def channels(self) -> int:
        """As asked."""
        return self._channels

    @property
    def size(self) -> tuple[int, int]:
        """As asked."""
        return self._size

    @property
    @abstractmethod
    def path(self) -> Path:
        """Where the store is."""

    def open_store(self) -> ClipStore:
        """The store that the clips are read from."""
        return ClipStore.open(self.store or self.path)

    @abstractmethod
    def prepare_keypoints(self, detector: Detector | None = None, size: int = 256) -> list[str]:
        """Prepare, look for the joints in every clip, and return the names of clips with too few detections.

        They are looked for in pictures of `size` in place of the store's, which are small; without a detector, by the
        usual one of the kind.

        Raises:
            MissingData: if the detector's weights or the files cannot be had.
            UserError: if the store is another's.
        """

    def check_writable(self) -> None:
        """Raise a ValueError if the store is another's, to which no keypoints can be added."""
        if self.store is not None:
            raise UserError(f"Keypoints are found where a store is prepared, not in {self.store}; leave `store` out.")
