"""Keypoints of a store: positions and confidence of the joints in each frame, and clips with too few detections."""

import hashlib
import io
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float32, Float64, UInt8

from datamodules.errors import UserError
from datamodules.files import atomic_path
from datamodules.storage.store import ClipStore, StoreError

Points = Float32[np.ndarray, "frames joints 2"]
Scores = Float32[np.ndarray, "frames joints"]

Kind = Literal["body", "face"]
"""COCO's 17 joints, or 13 points of a face."""

COCO_JOINTS = (
    "nose",
    *(f"{side}_{joint}" for joint in ("eye", "ear", "shoulder", "elbow") for side in ("left", "right")),
    *(f"{side}_{joint}" for joint in ("wrist", "hip", "knee", "ankle") for side in ("left", "right")),
)
COCO_PAIRS = tuple((left, left + 1) for left in range(1, 17, 2))
"""(left, right): the joints that are swapped when a clip is mirrored."""
FACE_13 = (2, 9, 16, 20, 25, 38, 42, 45, 47, 49, 52, 55, 58)
"""MODE-GAN's 13 of the 68 points of a face (footnote 3), counted from 1 as the paper counts."""
FACE_PAIRS = ((0, 2), (3, 4), (5, 7), (6, 8), (9, 11))
"""Pairs among the 13: jaw, brows, eyes (38 with 45, 42 with 47), corners of the mouth; 9, 52 and 58 have no partner."""
MIN_CONFIDENCE = 0.2
"""A joint with at least this confidence counts as detected."""
MAX_MISSING_SHARE = 0.2
"""Clips in which a larger share of the frames has no detection are left out."""


class Keypoints(NamedTuple):
    """The joints of all frames of a store, clip after clip in the store's order."""

    points: Points
    """x then y; -1 and 1 are the centres of the first and last pixel."""
    confidence: Scores
    dropped: tuple[str, ...]
    """Names of the clips with too few detections."""
    digest: str


@runtime_checkable
class Detector(Protocol):
    """Detects joints in frames."""

    name: str

    def detect(
        self, frames: UInt8[np.ndarray, "frames 3 height width"]
    ) -> tuple[Float32[np.ndarray, "frames joints 2"], Float32[np.ndarray, "frames joints"]]:
        """x then y in pixels (0 is the centre of the first), and confidence in [0, 1]; 0 without a detection."""


def file_of(store: ClipStore, kind: str) -> Path:
    """The file of a store's keypoints, in the store's folder."""
    return store.path / f"keypoints-{kind}.npz"


def write(store: ClipStore, kind: str, clips: Iterable[tuple[np.ndarray, np.ndarray]], made_by: str) -> Keypoints:
    """Fill gaps, list the clips with too few detections, and write the keypoints of a store atomically.

    Args:
        store: the clips.
        kind: "body" or "face".
        clips: for each clip in the store's order, x then y in [-1, 1], and confidence.
        made_by: the detector, or the file that they come from.

    Raises:
        UserError: if a clip has another number of frames than in the store.
    """
    points, scores, dropped = [], [], []
    for entry, (found, score) in zip(store.index["clips"], clips, strict=True):
        name = entry["origin"][0]
        if len(found) != entry["length"] or len(score) != entry["length"]:
            raise UserError(
                f"{made_by} has {len(found)} frames of {name}, which has {entry['length']} in {store.path}."
            )
        if missing_share(score) > MAX_MISSING_SHARE:
            dropped.append(name)
        points.append(fill_gaps(found, score))
        scores.append(np.clip(score, 0, 1))
    about = {"made_by": made_by, "store": _content(store), "dropped": dropped}
    path = file_of(store, kind)
    with atomic_path(path) as temporary:
        np.savez(
            temporary,
            points=np.concatenate(points).astype(np.float32),
            confidence=np.concatenate(scores).astype(np.float32),
            about=np.frombuffer(json.dumps(about).encode(), dtype=np.uint8),
        )
    return read(store, kind)


def read(store: ClipStore, kind: str) -> Keypoints:
    """The keypoints of a store.

    Raises:
        StoreError: if there are none, or they belong to other clips.
    """
    path = file_of(store, kind)
    if not store.length_of(path.name) and not store.remote:
        raise StoreError(
            f"{store.address} has no {kind} keypoints. Detect them with `benchmarks prepare ... --keypoints`."
        )
    try:
        packed = io.BytesIO(store.whole(path.name))
    except FileNotFoundError:
        raise StoreError(f"{store.address} has no {kind} keypoints. Detect them where it was prepared.") from None
    with np.load(packed, allow_pickle=False) as content:
        points, confidence = content["points"], content["confidence"]
        about = json.loads(content["about"].tobytes())
    if about["store"] != _content(store) or len(points) != sum(entry["length"] for entry in store.index["clips"]):
        raise StoreError(f"{path} belongs to other clips. Delete it and run `benchmarks prepare ... --keypoints`.")
    digest = hashlib.sha256(points.tobytes() + confidence.tobytes()).hexdigest()
    return Keypoints(points, confidence, tuple(about["dropped"]), digest)


def detect_keypoints(
    clips: Iterable[Iterable[tuple[Any, float]]], detector: Detector, seen: tuple[int, int], stored: tuple[int, int]
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """The joints of each clip, detected in frames of size `seen`, in coordinates of a store of size `stored`."""
    for timed_frames in clips:
        frames = np.stack([picture for picture, _ in timed_frames])
        points, confidence = detector.detect(frames if frames.shape[1] == 3 else frames.repeat(3, axis=1))
        yield to_store(points, seen, stored), confidence


def detection_size(stored: tuple[int, int], size: int) -> tuple[int, int]:
    """The store's frame size scaled up to a shorter side of `size` pixels; never scaled down."""
    scale = max(1.0, size / min(stored))
    return round(stored[0] * scale), round(stored[1] * scale)


def fill_gaps(points: Points, scores: Scores) -> Points:
    """Interpolate linearly over frames in which a joint was not detected (confidence below `MIN_CONFIDENCE`).

    Before its first and after its last detection a joint keeps that position. A joint that is never detected keeps the
    detector's guesses, or 0 (the centre) where there are none.
    """
    filled = np.nan_to_num(points, nan=0.0).astype(np.float32)
    frames = np.arange(len(points))
    for joint in range(points.shape[1]):
        seen = (scores[:, joint] >= MIN_CONFIDENCE) & np.isfinite(points[:, joint]).all(axis=1)
        if seen.any() and not seen.all():
            for axis in range(2):
                filled[:, joint, axis] = np.interp(frames, frames[seen], points[seen, joint, axis])
    return filled


def missing_share(scores: Scores) -> float:
    """The share of frames without a detection: those in which less than half of the joints are detected."""
    return float(((scores >= MIN_CONFIDENCE).mean(axis=1) < 0.5).mean())


def to_store(pixels: Float32[np.ndarray, "frames joints 2"], seen: tuple[int, int], stored: tuple[int, int]) -> Points:
    """Pixel positions in frames of size `seen` as coordinates in [-1, 1] of a store with frames of size `stored`."""
    size, small = np.array(seen[::-1], dtype=np.float64), np.array(stored[::-1], dtype=np.float64)
    inside: Float64[np.ndarray, "frames joints 2"] = (pixels + 0.5) / size * small - 0.5
    scaled: np.ndarray = (2 * inside / np.maximum(small - 1, 1) - 1).astype(np.float32)
    return scaled


def joints_kept(count: int, drop: Sequence[int]) -> list[int]:
    """The indices of the remaining joints.

    Raises:
        UserError: if an index is out of range, or no joint remains.
    """
    if strangers := [joint for joint in drop if not 0 <= joint < count]:
        raise UserError(f"drop_joints must be from 0 to {count - 1}; got {', '.join(map(str, strangers))}.")
    kept = [joint for joint in range(count) if joint not in set(drop)]
    if not kept:
        raise UserError("drop_joints drops every joint; leave at least one.")
    return kept


def pairs_kept(pairs: Sequence[tuple[int, int]], kept: Sequence[int]) -> tuple[tuple[int, int], ...]:
    """The pairs of which both joints remain, by their new indices."""
    new = {joint: index for index, joint in enumerate(kept)}
    return tuple((new[left], new[right]) for left, right in pairs if left in new and right in new)


def weights_of(count: int, weights: Mapping[int, float] | None) -> Float32[np.ndarray, " joints"]:
    """The factor for each joint's confidence.

    Raises:
        UserError: if an index is out of range, or a weight is not from 0 to 1.
    """
    values = np.ones(count, dtype=np.float32)
    for joint, weight in (weights or {}).items():
        if not 0 <= joint < count or not 0 <= weight <= 1:
            raise UserError(
                f"joint_weights must be from 0 to 1, for joints from 0 to {count - 1}; got {joint}: {weight}."
            )
        values[joint] = weight
    return values


def read_keypoint_file(path: Path, names: Sequence[str]) -> list[tuple[np.ndarray, np.ndarray]]:
    """Keypoints from a file: an .npz with an array (frames, joints, 3) of x, y and score for each name.

    Raises:
        UserError: if a name is missing or an array has another shape.
    """
    with np.load(path, allow_pickle=False) as content:
        if lacking := [name for name in names if name not in content]:
            raise UserError(f"{path} has no keypoints of {', '.join(lacking[:5])}.")
        arrays: list[Any] = [content[name].astype(np.float32) for name in names]
    if wrong := [name for name, array in zip(names, arrays, strict=True) if array.ndim != 3 or array.shape[2] != 3]:
        raise UserError(f"{path}: {wrong[0]} must be (frames, joints, 3).")
    return [(array[..., :2], array[..., 2]) for array in arrays]


def _content(store: ClipStore) -> str:
    clips = [entry["sha256"] for entry in store.index["clips"]]
    return hashlib.sha256(json.dumps([clips, list(store.size)]).encode()).hexdigest()
