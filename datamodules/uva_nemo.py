"""UvA-NEMO: spontaneous and posed smiles, from the videos that the owner gives out after a licence is signed."""

import re
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path

from datamodules.base.metadata import Metadata
from datamodules.base.subject_split import SubjectSplitDataModule
from datamodules.storage.archives import Archive
from datamodules.storage.decoding import Recording
from datamodules.storage.video import EXTENSIONS, decode

SMILES = ("deliberate", "spontaneous")
_FILE = re.compile(r"(\d+)_(deliberate|spontaneous)_smile", re.IGNORECASE)


class UvANEMO(SubjectSplitDataModule):
    """UvA-NEMO smiles: 400 people, 597 spontaneous and 643 posed, 1920x1080 colour at 50 fps, by licence.

    Source: https://www.uva-nemo.org, a folder of videos with names like `001_deliberate_smile_2.mp4`. Dibeklioğlu,
    Salah and Gevers, Are You Really Smiling at Me? Spontaneous versus Posed Enjoyment Smiles, ECCV 2012. No checksum
    is published. MODE-GAN takes all 1,240, 64x64, `frame_rate: 16`, and holds nothing out: `val_people: []` and
    `test_people: []`. The picture is cut square about its centre, where the face is; which crop the paper took it does
    not say. Splits by person are ours. Class 0 is deliberate, 1 spontaneous.

    Args:
        val_people: to validate on, by number as in the names, "001".
        test_people: to test on; all others are trained on.
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
        checksum="none published; noted at first sight",
    )

    @property
    def request(self) -> str:
        """A form must be signed."""
        return (
            "Sign the licence at https://www.uva-nemo.org and ask for the smile videos; call the folder or zip that "
            "comes `UvA-NEMO` (its files are named like 001_deliberate_smile_2.mp4)."
        )

    def wanted(self) -> tuple[Sequence[Archive], Sequence[Archive]]:
        """The folder of videos."""
        return [Archive("UvA-NEMO")], []

    def recordings(self, folders: Mapping[str, Path]) -> Iterator[Recording]:
        """Each smile."""
        paths = [path for path in folders["UvA-NEMO"].rglob("*") if path.suffix.lower() in EXTENSIONS]
        for path in sorted(paths, key=lambda path: path.name):
            if match := _FILE.match(path.stem):
                read = partial(decode, path, size=self._size, channels=self._store_channels)
                yield Recording(path.stem, read, SMILES.index(match[2].lower()), {"person": match[1]})
