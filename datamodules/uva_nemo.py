"""UvA-NEMO: spontaneous and posed smiles, from the owner's videos, which require a signed licence."""

import re
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path

from datamodules.base.metadata import Metadata
from datamodules.base.subject_split import SubjectSplitDataModule
from datamodules.storage.archives import Archive
from datamodules.storage.decoding import Recording
from datamodules.storage.listing import files_of
from datamodules.storage.video import EXTENSIONS, decode

SMILES = ("deliberate", "spontaneous")
_FILE = re.compile(r"(\d+)_(deliberate|spontaneous)_smile", re.IGNORECASE)


class UvANEMO(SubjectSplitDataModule):
    """UvA-NEMO smiles: 400 people, 597 spontaneous and 643 posed, 1920x1080 colour at 50 fps, by licence.

    Source: https://www.uva-nemo.org, a folder of videos with names like `001_deliberate_smile_2.mp4`. Dibeklioğlu,
    Salah and Gevers, Are You Really Smiling at Me? Spontaneous versus Posed Enjoyment Smiles, ECCV 2012. No checksum
    is published. MODE-GAN uses all 1,240, 64x64, `frame_rate: 16`, and holds nothing out: `val_people: []` and
    `test_people: []`. Frames are centre-cropped to a square around the face; the paper does not specify its crop.
    Splits by person are ours. Class 0 is deliberate, 1 spontaneous.

    Args:
        val_people: the people of the val split, by their number in the file names, such as "001".
        test_people: the people of the test split; all others are in train.
        shared: see `PublishedDataModule`.
    """

    name = "uva-nemo"
    keypoint_kind = "face"
    metadata = Metadata(
        source="uva-nemo.org (form)",
        licence="signed form, research use",
        citation="Dibeklioglu, Salah and Gevers, Are You Really Smiling at Me?, ECCV 2012",
        splits="MODE-GAN: all 1,240; by person (ours)",
        rate="50 fps, 1920x1080",
        checksum="none published; recorded on first use",
    )

    @property
    def request(self) -> str:
        """The data require a signed form."""
        return (
            "Sign the licence at https://www.uva-nemo.org and request the smile videos; name the folder or zip "
            "`UvA-NEMO` (its files are named like 001_deliberate_smile_2.mp4)."
        )

    def wanted(self) -> tuple[Sequence[Archive], Sequence[Archive]]:
        """The folder of videos."""
        return [Archive("UvA-NEMO")], []

    def recordings(self, folders: Mapping[str, Path]) -> Iterator[Recording]:
        """Each smile."""
        paths = files_of(folders["UvA-NEMO"], EXTENSIONS)
        for path in sorted(paths, key=lambda path: path.name):
            if match := _FILE.match(path.stem):
                read = partial(decode, path, size=self._size, channels=self._store_channels)
                yield Recording(path.stem, read, SMILES.index(match[2].lower()), {"person": match[1]}, match[1])
