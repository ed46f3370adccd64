"""Video folder: any folder of video files as a data set; decoded once into a store."""

import hashlib
import json
import re
import warnings
from collections.abc import Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np

from datamodules.base.clip_source import Origin, Source
from datamodules.base.module import SPLITS, Split, side_of
from datamodules.base.stored import StoredDataModule
from datamodules.errors import UserError
from datamodules.storage.clip_views import ClipView, KeypointClipViews, filter_detected
from datamodules.storage.container import VideoError
from datamodules.storage.download import file_sha256
from datamodules.storage.gif import SHORTEST, UNTOLD
from datamodules.storage.keypoints import Detector, Kind, detect_keypoints, detection_size, write
from datamodules.storage.listing import files_of
from datamodules.storage.prefetch import cores, prefetch_streams
from datamodules.storage.store import ClipStore, StoredClip
from datamodules.storage.video import EXTENSIONS, Picture, Shown, decode, decode_shown, resample

OnError = Literal["raise", "skip"]


_REMEDY = "Repair or remove it, or skip such files with `on_error: skip`"


class VideoFile(NamedTuple):
    """A file of the folder, with the split and the class that its path gives."""

    path: Path
    name: str
    """Its path within the folder, with forward slashes."""
    split: str
    label: int


class FolderError(UserError):
    """A folder that cannot be used as a data set."""


class VideoFolder(StoredDataModule):
    """The videos (mp4, mov, mkv, webm, avi, gif, mpg, ts, wmv, 3gp, flv, ...) of a folder and its sub-folders.

    Sub-folders `train`, `val` and `test`, if there are any, are the splits. Otherwise files are split at random, by
    `split_seed`; copies of a file stay together. Folders below that are classes: label i is the i-th of their sorted
    names. Each video is one clip: raise `windows_per_clip` for long videos.

    Args:
        folder: the folder of videos.
        val_share: the share of files in the val split, if the folder defines no splits.
        test_share: the share of files in the test split, if the folder defines no splits.
        split_seed: of the random split.
        on_error: "raise" stops at a damaged file with an error that names it; "skip" leaves it out, with a warning and
            an entry in the index.
        name: the data set's name in records and of the prepared folder; None is the folder's own name.
        shared: see `StoredDataModule`.
    """

    def __init__(
        self,
        folder: str,
        *,
        val_share: float = 0.1,
        test_share: float = 0.1,
        split_seed: int = 0,
        on_error: OnError = "raise",
        name: str | None = None,
        **shared: Any,
    ) -> None:
        super().__init__(**shared)
        self.folder = Path(folder)
        self.on_error: OnError = on_error
        self.val_share, self.test_share, self.split_seed = val_share, test_share, split_seed
        self.name = name or re.sub(r"\W+", "-", self.folder.resolve().name).strip("-").lower() or "videos"

    @property
    def path(self) -> Path:
        """The folder of the store: one for each folder of videos and each choice of settings."""
        settings = [str(self.folder.resolve()), self.frame_rate, self.val_share, self.test_share, self.split_seed]
        key = hashlib.sha256(json.dumps(settings).encode()).hexdigest()[:6]
        return self.root / f"{self.name}-{side_of(self._size)}px-{self._channels}ch-{key}"

    def prepare_data(self) -> None:
        """Decode the videos, unless a store exists and neither files nor settings have changed."""
        if self.store is not None:
            self.open_store()
            return
        prepare_folder(
            self.folder,
            self.path,
            size=self._size,
            channels=self._channels,
            frame_rate=self.frame_rate,
            val_share=self.val_share,
            test_share=self.test_share,
            split_seed=self.split_seed,
            on_error=self.on_error,
        )

    def open(self, split: Split) -> Source:
        """The clips of a split."""
        store = self.open_store()
        if self.joints is None:
            return store.split(split)
        mine = [ClipView(number) for number, entry in enumerate(store.index["clips"]) if entry["split"] == split]
        return KeypointClipViews(
            store, filter_detected(store, mine, self.joints.kind), self._channels, None, self.joints
        )

    def prepare_keypoints(self, detector: Detector | None = None, size: int = 256) -> list[str]:
        """See `StoredDataModule`."""
        self.check_writable()
        self.prepare_data()
        kind: Kind = self.joints.kind if self.joints else "body"
        if detector is None:
            from datamodules.storage.detectors import detector_of

            detector = detector_of(kind)
        store, large = self.open_store(), detection_size(self._size, size)
        paths = [self.folder / entry["origin"][0] for entry in store.index["clips"]]
        films = (decode(path, size=large, frame_rate=self.frame_rate) for path in paths)
        return list(write(store, kind, detect_keypoints(films, detector, large, self._size), detector.name).dropped)


def prepare_folder(
    folder: Path,
    path: Path,
    *,
    size: tuple[int, int],
    channels: int = 3,
    frame_rate: float | None = None,
    val_share: float = 0.1,
    test_share: float = 0.1,
    split_seed: int = 0,
    on_error: OnError = "raise",
) -> ClipStore:
    """The store at `path` with the videos of `folder`, decoded again when a file, its date or a setting has changed.

    Raises:
        UserError: for a damaged file, with `on_error="raise"` (the message names the file and the reason), and if the
            folder does not exist or has no video.
    """
    import av
    import PIL

    files = find_videos(folder)
    stats = [(file.name, file.path.stat()) for file in files]
    about = {
        "made_by": "datamodules.video_folder",
        "settings": [list(size), channels, frame_rate, val_share, test_share, split_seed],
        "resize": "centre cut, bilinear with antialiasing",
        "resample": "the picture on the screen",
        "decoder": f"PyAV {av.__version__}, libavcodec {'.'.join(map(str, av.library_versions['libavcodec']))}",
        "classes": _classes(files),
        "files": [[name, stat.st_size, stat.st_mtime_ns] for name, stat in stats],
    }
    if any(file.path.suffix.lower() == ".gif" for file in files):
        about["gif"] = f"Pillow {PIL.__version__}, on white, delays below {SHORTEST} s are {UNTOLD} s"

    def make() -> ClipStore:
        skip = VideoError if on_error == "skip" else None
        try:
            with closing(_clips(files, size, channels, frame_rate, (val_share, test_share, split_seed))) as clips:
                store = ClipStore.write(path, clips, channels=channels, size=size, about=about, skip=skip)
        except VideoError as error:
            raise VideoError(error.path, f"{error.reason}. {_REMEDY}") from error
        _report(store, frame_rate)
        return store

    store = ClipStore.prepare(path, about, make)
    if store.skipped and on_error == "raise":
        raise UserError(f"{store.skipped[0]['reason']}. {_REMEDY}.")
    return store


def find_videos(folder: Path) -> list[VideoFile]:
    """The videos of a folder, sorted by path; `split` is empty if the folder defines no splits.

    Raises:
        UserError: if the folder does not exist, has no video, or has videos outside its train, val and test.
    """
    if not folder.is_dir():
        raise FolderError(f"{folder} is not a folder; `folder` must name one with videos.")
    paths = files_of(folder, EXTENSIONS)
    if not paths:
        raise UserError(f"{folder} and its sub-folders have no videos: no file ends in {', '.join(EXTENSIONS)}.")
    parts = [path.relative_to(folder).parts for path in paths]
    told = any((folder / split).is_dir() for split in SPLITS)
    if told:
        for path, names in zip(paths, parts, strict=True):
            if names[0] not in SPLITS or len(names) == 1:
                raise UserError(
                    f"{folder} has sub-folders train, val or test, so every video must be in one of them; {path} is "
                    "not. Move it, or rename the sub-folders to split all files at random."
                )
    below = 1 if told else 0
    kinds = ["/".join(names[below:-1]) for names in parts]
    classes = sorted(set(kinds) - {""})
    return [
        VideoFile(path, "/".join(names), names[0] if told else "", classes.index(kind) if kind else -1)
        for path, names, kind in zip(paths, parts, kinds, strict=True)
    ]


def split_at_random(digests: list[str], val_share: float, test_share: float, seed: int) -> list[str]:
    """The split of each file: files with the same digest stay together, and a share above 0 gets at least one file."""
    if not (val_share >= 0 and test_share >= 0 and val_share + test_share < 1):
        raise UserError(
            f"val_share and test_share must be at least 0, with a sum below 1; got {val_share} and {test_share}."
        )
    order = sorted(set(digests), key=lambda digest: hashlib.sha256(f"{seed} {digest}".encode()).digest())
    counts = {"test": test_share, "val": val_share}
    splits: dict[str, str] = {}
    for split, share in counts.items():
        count = max(1, round(share * len(order))) if share else 0
        for _ in range(min(count, len(order) - len(splits) - 1)):
            splits[order[len(splits)]] = split
    return [splits.get(digest, "train") for digest in digests]


def _clips(
    files: list[VideoFile],
    size: tuple[int, int],
    channels: int,
    frame_rate: float | None,
    rule: tuple[float, float, int],
) -> Generator[StoredClip, None, None]:
    from rich.progress import track

    with ThreadPoolExecutor(cores()) as pool:
        hashed = pool.map(file_sha256, [file.path for file in files])
        digests = list(track(hashed, "Reading videos", total=len(files)))
    splits = [file.split for file in files]
    if not splits[0]:
        splits = split_at_random(digests, *rule)
    films = [partial(decode_shown, file.path, size=size, channels=channels) for file in files]
    with closing(prefetch_streams(films, item_bytes=channels * size[0] * size[1])) as streams:
        decoding = track(streams, "Decoding videos", total=len(files))
        for file, digest, split, film in zip(files, digests, splits, decoding, strict=True):
            notes: dict[str, Any] = {}
            pictures = _noted(film, notes)
            timed_frames = resample(pictures, frame_rate) if frame_rate is not None else _without_ends(pictures)
            yield StoredClip(timed_frames, split, Origin(file.name, digest), file.label, notes)


def _without_ends(pictures: Iterator[Shown]) -> Iterator[tuple[Picture, float]]:
    return ((picture, time) for picture, time, *_ in pictures)


def _noted(pictures: Iterator[Shown], notes: dict[str, Any]) -> Iterator[Shown]:
    """The same pictures; when all have been read, `notes` holds the file's own frame rate."""
    times = []
    for shown in pictures:
        times.append(shown.time)
        yield shown
    steps = np.diff(times)
    if len(steps):
        notes["native_frame_rate"] = round(float(1 / np.median(steps)), 4)
        notes["variable_frame_rate"] = bool(steps.max() > 1.5 * steps.min())


def _report(store: ClipStore, frame_rate: float | None) -> None:
    clips = store.index["clips"]
    varying = [clip["origin"][0] for clip in clips if clip.get("variable_frame_rate")]
    slow = [
        clip["origin"][0] for clip in clips if frame_rate and clip.get("native_frame_rate", 1e9) < 0.99 * frame_rate
    ]
    if varying:
        how = "resampled" if frame_rate else "kept at their own times; set `frame_rate` to resample them"
        warnings.warn(f"{len(varying)} videos have a variable frame rate ({how}): {', '.join(varying)}", stacklevel=2)
    if slow:
        warnings.warn(
            f"{len(slow)} videos have less than {frame_rate:g} frames per second, so frames are repeated: "
            f"{', '.join(slow)}",
            stacklevel=2,
        )
    if store.skipped:
        listed = "".join(f"\n  {item['reason']}" for item in store.skipped)
        warnings.warn(f"{len(store.skipped)} damaged videos were left out:{listed}", stacklevel=2)


def _classes(files: list[VideoFile]) -> dict[str, str]:
    """The folder of each class, by label (as a string, as in JSON)."""
    return {str(file.label): "/".join(file.name.split("/")[bool(file.split) : -1]) for file in files if file.label >= 0}
