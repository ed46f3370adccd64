"""BAIR robot pushing: a robot arm among toys, from the owner's tfrecords, read without TensorFlow."""

import re
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from datamodules.base.metadata import Metadata
from datamodules.base.published import PublishedDataModule
from datamodules.base.splits import Splits
from datamodules.errors import UserError
from datamodules.storage.archives import Archive
from datamodules.storage.clip_views import ClipView
from datamodules.storage.decoding import Recording, TimedFrames
from datamodules.storage.store import ClipStore
from datamodules.storage.tfrecord import features, records
from datamodules.storage.video import fit

_NAME = "bair_robot_pushing_dataset_v0"
_SITE = "http://rail.eecs.berkeley.edu/datasets"


class BAIR(PublishedDataModule):
    """BAIR robot pushing: 43,520 clips of 30 frames, 64x64 colour, rate not published, free to download.

    Source: `bair_robot_pushing_dataset_v0.tar` (30 GB) with softmotion30_44k/{train,test}/traj_<a>_to_<b>.tfrecords,
    256 clips in each; a record holds `<t>/image_aux1/encoded`, 64x64x3 raw bytes, for t = 0 to 29. Ebert, Finn, Lee and
    Levine, Self-Supervised Visual Planning with Temporal Skip Connections, CoRL 2017. The owner publishes no checksum.

    inbetweening (App. B.2): sequences 0 to 255 are test, 256 to 2,559 validation, the rest train. We number the owner's
    256 test clips first, as sequences 0 to 255, then the train files in the order of their numbers. This is our
    reading: the paper does not say how it numbers them. Evaluation uses the central 16 frames (`start: centre`).

    Args:
        assumed_rate: frames per second from which times are computed; the owner publishes none. 10 is ours.
        shared: see `PublishedDataModule`.
    """

    name = "bair"
    metadata = Metadata(
        source="rail.eecs.berkeley.edu/datasets, public",
        licence="none named; free to download",
        citation="Ebert et al., Self-Supervised Visual Planning, CoRL 2017",
        splits="inbetweening: 0-255 test, 256-2,559 val, rest train",
        rate="unknown (10 assumed), 64x64",
        checksum="none published; recorded on first use",
    )

    def __init__(self, *, assumed_rate: float = 10.0, **shared: Any) -> None:
        super().__init__(**shared)
        self.assumed_rate = assumed_rate

    @property
    def request(self) -> str:
        """The data are public."""
        return f"The archive is public, at {_SITE}/{_NAME}.tar (30 GB)."

    @property
    def path(self) -> Path:
        """One store for each assumed rate, because it holds the times."""
        path = super().path
        return path if self.assumed_rate == 10 else path.with_name(f"{path.name}-{self.assumed_rate:g}fps")

    def wanted(self) -> tuple[Sequence[Archive], Sequence[Archive]]:
        """One tar."""
        return [Archive(_NAME, f"{_SITE}/{_NAME}.tar")], []

    def recordings(self, folders: Mapping[str, Path]) -> Iterator[Recording]:
        """The owner's test clips, then the train clips, in the order of their numbers."""
        count = 0
        for part in ("test", "train"):
            files = [path for path in folders[_NAME].rglob("traj_*.tfrecords") if path.parent.name == part]
            for path in sorted(files, key=_first):
                for number, (start, length) in enumerate(records(path)):
                    read = partial(_clip, path, start, length, self._size, self._store_channels, self.assumed_rate)
                    # a damaged clip keeps its number, so that no other clip changes its split
                    yield Recording(f"{part}/{path.stem}/{number}", read, about={"sequence": count})
                    count += 1

    def splits(self, store: ClipStore) -> Splits:
        """By the number of the sequence."""
        return arrange([entry["sequence"] for entry in store.index["clips"]])


def arrange(sequences: Sequence[int]) -> Splits:
    """The splits of clips with these numbers."""
    return {
        "train": [ClipView(clip) for clip, number in enumerate(sequences) if number >= 2560],
        "val": [ClipView(clip) for clip, number in enumerate(sequences) if 256 <= number < 2560],
        "test": [ClipView(clip) for clip, number in enumerate(sequences) if number < 256],
    }


def _first(path: Path) -> int:
    match = re.search(r"traj_(\d+)_to_", path.name)
    return int(match[1]) if match else -1


def _clip(path: Path, start: int, length: int, size: tuple[int, int], channels: int, rate: float) -> TimedFrames:
    with path.open("rb") as file:
        file.seek(start)
        entries = features(file.read(length))
    count = sum(key.endswith("/image_aux1/encoded") for key in entries)
    if not count:
        raise UserError("the record has no image_aux1")
    for number in range(count):
        pixels = np.frombuffer(entries[f"{number}/image_aux1/encoded"], dtype=np.uint8)
        if pixels.size != 64 * 64 * 3:
            raise UserError(f"frame {number} has {pixels.size} bytes instead of 64x64x3")
        yield fit(pixels.reshape(64, 64, 3), size, channels), number / rate
