"""Views: parts of stored clips that are used as clips, with their keypoints where those are known."""

import hashlib
import warnings
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float32, Float64, Int64

from datamodules.base.clip_source import Indices, Origin, Pixels, Positions
from datamodules.storage.keypoints import (
    COCO_JOINTS,
    COCO_PAIRS,
    FACE_13,
    FACE_PAIRS,
    Kind,
    joints_kept,
    pairs_kept,
    read,
    weights_of,
)
from datamodules.storage.store import ALL, ClipStore


class ClipView(NamedTuple):
    """A part of a stored clip that a split uses as a clip."""

    clip: int
    start: int = 0
    stop: int | None = None
    """One past the last frame; None is the clip's end."""


class ClipViews:
    """Views of stored clips: a source. It resamples in time by selecting frames, so nothing is decoded again."""

    def __init__(self, store: ClipStore, views: Sequence[ClipView], channels: int, frame_rate: float | None) -> None:
        self._store, self._views, self._rate = store, list(views), frame_rate
        self._clips = store.split(ALL)
        self.channels, self.size = channels, store.size
        self._own = np.array([view.clip for view in self._views], dtype=np.int64)
        chosen = [_choose(self._clips.times(view.clip), view, frame_rate) for view in self._views]
        self._frames = [frames for frames, _ in chosen]
        self._times = [times for _, times in chosen]
        # a table, so that a whole batch is one lookup; rows are padded with a number that is no frame's
        longest = max((len(frames) for frames in self._frames), default=0)
        self._table = np.full((len(chosen), longest), np.iinfo(np.int64).max // 2)
        for row, frames in zip(self._table, self._frames, strict=True):
            row[: len(frames)] = frames
        parts = [(view, len(frames)) for view, frames in zip(self._views, self._frames, strict=True)]
        text = f"{self._clips.fingerprint} {[(*view, count) for view, count in parts]} {channels} {frame_rate}"
        self.fingerprint = hashlib.sha256(text.encode()).hexdigest()

    def __len__(self) -> int:
        return len(self._views)

    def __reduce__(self) -> tuple[Any, ...]:
        # a worker process maps the files itself: pickling would copy the whole memory map
        return _open_views, (self._store.address, self._views, self.channels, self._rate)

    def origins(self) -> Sequence[Origin]:
        """The recordings that the views are parts of."""
        origins = self._clips.origins()
        return [origins[clip] for clip in self._own]

    def labels(self) -> Int64[np.ndarray, " clips"]:
        """The class of each clip, -1 where there is none."""
        return self._clips.labels()[self._own]

    def times(self, index: int) -> Float64[np.ndarray, " length"]:
        """Seconds since the first frame of clip `index`."""
        return self._times[index]

    def stored(self, clips: Indices, frames: Positions) -> tuple[Indices, Positions]:
        """The indices in the store of these clips and frames."""
        return self._own[clips], self._table[clips[:, None], frames]

    def read(self, clips: Indices, frames: Positions) -> Pixels:
        """The frames at these positions; a single channel is repeated if `channels` is 3."""
        if frames.size and (frames.min() < 0 or frames.max() >= self._table.shape[1]):
            raise IndexError(
                f"Frames {frames.min()} to {frames.max()} of clips of up to {self._table.shape[1]} frames."
            )
        pixels = self._clips.read(*self.stored(clips, frames))
        return pixels if pixels.shape[2] == self.channels else pixels.repeat(self.channels, axis=2)


class Joints(NamedTuple):
    """Which keypoints of a store are read."""

    kind: Kind
    """Body or face."""
    drop: tuple[int, ...] = ()
    """Joints that are left out."""
    weights: Mapping[int, float] | None = None
    """Factors for the confidence of joints."""


def joints_of(
    kind: Kind, drop: Sequence[int], weights: Mapping[int, float] | None
) -> tuple[Joints, tuple[tuple[int, int], ...]]:
    """The keypoints to read of a body or a face, and the pairs of joints that a mirrored clip swaps.

    Raises:
        UserError: if an index is out of range, or a weight is not from 0 to 1.
    """
    pairs, count = (FACE_PAIRS, len(FACE_13)) if kind == "face" else (COCO_PAIRS, len(COCO_JOINTS))
    weights_of(count, weights)
    return Joints(kind, tuple(drop), weights), pairs_kept(pairs, joints_kept(count, drop))


def names_of(store: ClipStore) -> list[str]:
    """The names of a store's clips, in its order."""
    return [str(entry["origin"][0]) for entry in store.index["clips"]]


def filter_detected(store: ClipStore, views: Sequence[ClipView], kind: str) -> list[ClipView]:
    """The views of clips with enough detections; a warning names the others."""
    names = names_of(store)
    dropped = set(read(store, kind).dropped)
    if gone := sorted({names[view.clip] for view in views} & dropped):
        warnings.warn(
            f"{len(gone)} clips are left out, because more than 20 % of their frames have no detection: "
            f"{', '.join(gone)}.",
            stacklevel=3,
        )
    return [view for view in views if names[view.clip] not in dropped]


class KeypointClipViews:
    """Views of clips with keypoints: a source of KeypointClips.

    Raises:
        StoreError: if the store has no keypoints of the kind.
    """

    def __init__(
        self, store: ClipStore, views: Sequence[ClipView], channels: int, frame_rate: float | None, joints: Joints
    ) -> None:
        self._views = ClipViews(store, views, channels, frame_rate)
        self.channels, self.size = channels, store.size
        found = read(store, joints.kind)
        count = found.points.shape[1]
        kept = joints_kept(count, joints.drop)
        self._made_of = (store.address, list(views), channels, frame_rate, joints)
        self._points = found.points[:, kept]
        self._confidence = (found.confidence * weights_of(count, joints.weights))[:, kept]
        lengths = np.array([entry["length"] for entry in store.index["clips"]], dtype=np.int64)
        self._first = np.cumsum(lengths) - lengths
        weights = sorted((joints.weights or {}).items())
        text = f"{self._views.fingerprint} {found.digest} {kept} {weights}"
        self.fingerprint = hashlib.sha256(text.encode()).hexdigest()

    def __len__(self) -> int:
        return len(self._views)

    def __reduce__(self) -> tuple[Any, ...]:
        # a worker process reads the keypoints itself
        return _open_keypoint_views, self._made_of

    def origins(self) -> Sequence[Origin]:
        """The recordings that the views are parts of."""
        return self._views.origins()

    def labels(self) -> Int64[np.ndarray, " clips"]:
        """The class of each clip, -1 where there is none."""
        return self._views.labels()

    def times(self, index: int) -> Float64[np.ndarray, " length"]:
        """Seconds since the first frame of clip `index`."""
        return self._views.times(index)

    def read(self, clips: Indices, frames: Positions) -> Pixels:
        """The frames at these positions."""
        return self._views.read(clips, frames)

    def read_keypoints(
        self, clips: Indices, frames: Positions
    ) -> tuple[Float32[np.ndarray, "batch time joint 2"], Float32[np.ndarray, "batch time joint"]]:
        """x then y (-1 and 1 are the centres of the first and last pixel), and the confidence, weighted."""
        own, stored = self._views.stored(clips, frames)
        rows = self._first[own][:, None] + stored
        return self._points[rows], self._confidence[rows]


def _choose(
    times: Float64[np.ndarray, " length"], view: ClipView, rate: float | None
) -> tuple[Int64[np.ndarray, " chosen"], Float64[np.ndarray, " chosen"]]:
    """A view's frames and their times since its first: all, or the nearest to 0, 1, 2, ... / `rate` seconds."""
    frames = np.arange(len(times))[view.start : view.stop]
    own = times[frames] - times[frames[0]]
    if rate is None:
        return frames, own
    grid = np.arange(int(own[-1] * rate + 1e-6) + 1) / rate
    return frames[np.searchsorted((own[1:] + own[:-1]) / 2, grid + 1e-9)], grid


def _open_views(path: str, views: list[ClipView], channels: int, frame_rate: float | None) -> ClipViews:
    return ClipViews(ClipStore.open(path), views, channels, frame_rate)


def _open_keypoint_views(
    path: str, views: list[ClipView], channels: int, frame_rate: float | None, joints: Joints
) -> KeypointClipViews:
    return KeypointClipViews(ClipStore.open(path), views, channels, frame_rate, joints)
