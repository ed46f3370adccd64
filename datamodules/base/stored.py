"""Stored data: clips decoded once into a store; the base of published data sets and of folders of videos."""

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np

from datamodules.base.module import ClipDataModule, shape_of
from datamodules.errors import UserError
from datamodules.storage.clip_views import Joints, joints_of
from datamodules.storage.keypoints import Detector, Kind
from datamodules.storage.store import ALL, ClipStore


class StoredDataModule(ClipDataModule, ABC):
    """Clips of video files, decoded into a store with frames of one size.

    Args:
        size: side of the square frames, or (height, width): centre-cropped, resized once, antialiased.
        channels: 3 for colour, 1 for grey.
        frame_rate: frames per second to resample to, nearest in time; None keeps the clips' own times.
        store: read this prepared store, a folder or an fsspec address (https://, s3://, ...), in place; the video files
            are then not needed.
        keypoints: read the joints of the "body" or the points of the "face" that `prepare_keypoints` detected
            (`benchmarks prepare ... --keypoints`); batches are then KeypointClips. Clips in which more than 20 % of the
            frames have no detection are left out, with a warning that names them.
        drop_joints: indices of the joints to leave out, from 0; 15 and 16 are the ankles.
        joint_weights: factors for the confidence of joints, from 0 to 1.
        loading: see `ClipDataModule`; `joint_pairs` are by the indices of the remaining joints.
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
            raise UserError("drop_joints and joint_weights need keypoints; set `keypoints` too.")
        if frame_rate is not None and not frame_rate > 0:
            raise UserError(f"frame_rate must be positive; got {frame_rate}.")
        self._size = shape_of(size)
        self._channels = channels
        self.frame_rate = frame_rate
        self.store = store

    @property
    def channels(self) -> int:
        """3 for colour, 1 for grey."""
        return self._channels

    @property
    def size(self) -> tuple[int, int]:
        """Height and width in pixels."""
        return self._size

    @property
    @abstractmethod
    def path(self) -> Path:
        """The folder of the store."""

    def open_store(self) -> ClipStore:
        """The store that the clips are read from."""
        return ClipStore.open(self.store or self.path)

    def verify(self) -> list[str]:
        """Read the whole store; its problems, one sentence each; empty if there are none."""
        return find_damaged_clips(ClipStore.open(self.store or self.path, check=False))

    @abstractmethod
    def prepare_keypoints(self, detector: Detector | None = None, size: int = 256) -> list[str]:
        """Prepare, detect the joints in every clip, and return the names of clips with too few detections.

        Detection runs on frames whose shorter side is `size` (the stored frames are small); None is the default
        detector of the kind.

        Raises:
            MissingData: if the detector's weights or the files are not available.
            UserError: if `store` is set: keypoints are added where a store is prepared.
        """

    def check_writable(self) -> None:
        """Raise a UserError if `store` is set: no keypoints are added to such a store."""
        if self.store is not None:
            raise UserError(f"Keypoints are detected where a store is prepared, not in {self.store}; unset `store`.")


def find_damaged_clips(store: ClipStore) -> list[str]:
    """A sentence for each clip whose pixels or times differ from the hash in the index."""
    clips = store.split(ALL)
    problems = []
    for number, entry in enumerate(store.index["clips"]):
        digest, length = hashlib.sha256(), entry["length"]
        digest.update(clips.read(np.array([number]), np.arange(length)[None]).tobytes())
        digest.update(clips.times(number).astype("<f8").tobytes())
        if digest.hexdigest() != entry["sha256"]:
            problems.append(f"{store.path}: {entry['origin'][0]} is not what was written. Delete it and prepare again.")
    return problems
