"""UCF101: 101 classes of actions, from the owner's rar and lists of train and test files."""

import re
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Literal

from datamodules.base.metadata import Metadata
from datamodules.base.published import PublishedDataModule
from datamodules.base.splits import Splits, by_side, check_sources
from datamodules.errors import UserError
from datamodules.storage.archives import Archive
from datamodules.storage.decoding import Recording
from datamodules.storage.store import ClipStore
from datamodules.storage.video import decode

_SITE = "https://www.crcv.ucf.edu/data/UCF101"


class UCF101(PublishedDataModule):
    """UCF101: 101 actions, 13,320 AVI files of 320x240 colour at 25 fps (a few at 29.97), research use.

    Source: https://www.crcv.ucf.edu/data/UCF101.php: `UCF101.rar` with `UCF-101/<Class>/v_<Class>_g01_c01.avi`, and
    `UCF101TrainTestSplits-RecognitionTask.zip` with classInd.txt and trainlist and testlist 01 to 03. Soomro, Zamir and
    Shah, CRCV-TR-12-01, 2012. The owner publishes no checksums. A file that the lists name and the rar lacks is an
    error. The clips of a class with one group number (g01) are cut from one video, so they are one origin.

    - latent NDE: trainlist01 (9,537 clips), 64x64 and 192x192, 16 consecutive frames at random: `val_share: 0`. Its
      code resizes to 64x85 and crops half a pixel off the centre; ours crops at the centre.
    - inbetweening: list 01, a random 5 % of trainlist01 for validation, testlist01 (3,783 clips), `start: centre`
      there: `val_share: 0.05`. The paper does not specify the 5 %; ours are chosen by `val_seed`.

    Args:
        fold: which of the three lists.
        val_share: the share of the train list that is held out for validation.
        val_seed: chooses it.
        shared: see `PublishedDataModule`.
    """

    name = "ucf101"
    metadata = Metadata(
        source="crcv.ucf.edu/data/UCF101.php, public",
        licence="research use",
        citation="Soomro, Zamir and Shah, UCF101, CRCV-TR-12-01, 2012",
        splits="lists 01-03; latent NDE: train list 01; inbetweening: 5 % of it for val",
        rate="25 fps (a few 29.97), 320x240",
        checksum="none published; recorded on first use",
    )

    def __init__(self, *, fold: Literal[1, 2, 3] = 1, val_share: float = 0.0, val_seed: int = 0, **shared: Any) -> None:
        super().__init__(**shared)
        self.fold, self.val_share, self.val_seed = fold, val_share, val_seed

    @property
    def request(self) -> str:
        """The data are public."""
        return f"The archives are public, at {_SITE} (the videos have 6.5 GB)."

    def wanted(self) -> tuple[Sequence[Archive], Sequence[Archive]]:
        """The videos and the lists."""
        lists = "UCF101TrainTestSplits-RecognitionTask"
        return [Archive("UCF101", f"{_SITE}/UCF101.rar"), Archive(lists, f"{_SITE}/{lists}.zip")], []

    def recordings(self, folders: Mapping[str, Path]) -> Iterator[Recording]:
        """Each AVI file, with "train" or "test" for each of the three lists that names it."""
        lists = read_lists(folders["UCF101TrainTestSplits-RecognitionTask"])
        classes = sorted({name.partition("/")[0] for name in lists})
        for path in sorted(folders["UCF101"].rglob("v_*.avi")):
            name = f"{path.parent.name}/{path.stem}"
            read = partial(decode, path, size=self._size, channels=self._store_channels)
            if name in lists:
                group = name.rpartition("_c")[0]
                yield Recording(name, read, classes.index(path.parent.name), {"lists": lists[name]}, group)
                del lists[name]
        if lists:
            some = ", ".join(sorted(lists)[:5])
            raise UserError(f"The lists name {len(lists)} videos that UCF101 lacks ({some}, ...). Download it again.")

    def splits(self, store: ClipStore) -> Splits:
        """By the owner's list; validation clips are held out from its train part."""
        check_sources(store, self.name)
        sides = [entry["lists"].get(str(self.fold), "") for entry in store.index["clips"]]
        return by_side(sides, store, self.val_share, self.val_seed)


def read_lists(folder: Path) -> dict[str, dict[str, str]]:
    """For each video (`Class/v_Class_g01_c01`), "train" or "test" for each list, "1" to "3", that names it.

    A line is `Class/v_Class_g01_c01.avi 1` in a train list and `Class/v_Class_g01_c01.avi` in a test list.
    """
    found: dict[str, dict[str, str]] = {}
    for path in sorted(folder.rglob("*list0?.txt")):
        if match := re.fullmatch(r"(train|test)list0([123])", path.stem):
            for line in path.read_text(encoding="utf-8").split("\n"):
                if line.strip():
                    found.setdefault(line.split()[0].removesuffix(".avi"), {})[match[2]] = match[1]
    return found
