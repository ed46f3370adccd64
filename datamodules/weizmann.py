"""Weizmann: nine people, ten actions; from the owner's zips of AVI files, or from strips of frames (four actions)."""

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from datamodules.base.metadata import Metadata
from datamodules.base.splits import Splits
from datamodules.base.subject_split import SubjectSplitDataModule, check_people
from datamodules.errors import UserError
from datamodules.storage.archives import Archive
from datamodules.storage.clip_views import ClipView
from datamodules.storage.decoding import Recording, TimedFrames
from datamodules.storage.pictures import read_picture
from datamodules.storage.store import ClipStore
from datamodules.storage.video import decode, fit

ACTIONS = ("bend", "jack", "jump", "pjump", "run", "side", "skip", "walk", "wave1", "wave2")
PEOPLE = ("daria", "denis", "eli", "ido", "ira", "lena", "lyova", "moshe", "shahar")
STRIP_CLASSES = ("0", "1", "3", "4")
_SITE = "https://www.wisdom.weizmann.ac.il/~vision/VideoAnalysis/Demos/SpaceTimeActions/DB"


class Weizmann(SubjectSplitDataModule):
    """Weizmann actions: 9 people, 10 actions, 93 AVI files of 180x144 colour at 25 fps, research use.

    Source: https://www.wisdom.weizmann.ac.il/~vision/SpaceTimeActions.html, a zip for each action with files like
    `daria_walk.avi`. Gorelick, Blank, Shechtman, Irani and Basri, Actions as Space-Time Shapes, TPAMI 2007. The owner
    names no licence. The papers count 90 clips: lena walks, runs and skips twice (`lena_walk1`, `lena_walk2`).
    MODE-GAN (64x64, `frame_rate: 16`) holds nothing out: `val_people: []` and `test_people: []`. The class is the
    action's index in alphabetical order. Splits are by person: a person's clips share body, clothes and background.

    Args:
        val_people: the people of the val split, by name.
        test_people: the people of the test split, by name; all others are in train.
        shared: see `PublishedDataModule`.
    """

    name = "weizmann"
    metadata = Metadata(
        source="wisdom.weizmann.ac.il, SpaceTimeActions, public",
        licence="none named; research use",
        citation="Gorelick et al., Actions as Space-Time Shapes, TPAMI 2007",
        splits="by person (ours); MODE-GAN: all",
        rate="25 fps, 180x144",
        checksum="none published; recorded on first use",
    )

    def __init__(
        self,
        *,
        val_people: Sequence[str] = ("moshe",),
        test_people: Sequence[str] = ("shahar",),
        **shared: Any,
    ) -> None:
        super().__init__(val_people=val_people, test_people=test_people, **shared)
        check_people(PEOPLE, self.val_people, self.test_people)

    @property
    def request(self) -> str:
        """The data are public."""
        return f"The archives are public, at {_SITE}."

    def wanted(self) -> tuple[Sequence[Archive], Sequence[Archive]]:
        """A zip for each action."""
        return [Archive(action, f"{_SITE}/{action}.zip") for action in ACTIONS], []

    def recordings(self, folders: Mapping[str, Path]) -> Iterator[Recording]:
        """Each AVI file."""
        for label, action in enumerate(ACTIONS):
            for path in sorted(folders[action].rglob("*.avi")):
                person = path.stem.partition("_")[0]
                read = partial(decode, path, size=self._size, channels=self._store_channels)
                yield Recording(f"{action}/{path.stem}", read, label, {"person": person}, person)


class WeizmannStrips(SubjectSplitDataModule):
    """Weizmann strips: 9 people, 4 actions, 36 clips of 64x64 colour at 25 fps, research use, one image each.

    The form in which MoCoGAN (Tulyakov et al., CVPR 2018) redistributes the data: `<class>/<number>.jpg` for the
    classes 0 (one hand waves), 1 (both hands wave), 3 (jumping jack) and 4 (bends), each file a row of square frames
    (PNG data despite the suffix). The strips have no frame rate; 25 fps is that of the original videos. The files of
    each class are in the order of people, so person i is the i-th file of each class. Keypoints are read from
    `weizmann_keypoints.npz` beside `strips`, with an array (frames, 17, 3) of x, y (in [-1, 1]) and score for each
    `<class>_<number>`. The ankles are below the frame there: `drop_joints: [15, 16]`.

    Args:
        val_people: the people of the val split, by index from 0 to 8.
        test_people: the people of the test split; all others are in train.
        frames_per_clip: split each val and test video into consecutive clips of this many frames, as the inbetweening
            paper does for KTH, so that each video gives several test samples; None keeps each video as one clip.
        shared: see `PublishedDataModule`.
    """

    name = "weizmann-strips"
    metadata = Metadata(
        source="folder `actions` of github.com/sergeytulyakov/mocogan",
        licence="none named; research use",
        citation="Gorelick et al., TPAMI 2007; Tulyakov et al., MoCoGAN, CVPR 2018",
        splits="by person, 7/1/1 (ours)",
        rate="25 fps, 64x64",
        checksum="none published; recorded on first use",
    )

    def __init__(
        self,
        *,
        val_people: Sequence[int] = (7,),
        test_people: Sequence[int] = (8,),
        frames_per_clip: int | None = None,
        **shared: Any,
    ) -> None:
        super().__init__(val_people=list(map(str, val_people)), test_people=list(map(str, test_people)), **shared)
        if frames_per_clip is not None and frames_per_clip < 1:
            raise UserError(f"frames_per_clip must be at least 1, or null for whole clips; got {frames_per_clip}.")
        self.frames_per_clip = frames_per_clip
        check_people([str(person) for person in range(len(PEOPLE))], self.val_people, self.test_people)

    @property
    def request(self) -> str:
        """The data are part of MoCoGAN's repository."""
        return "The folder `actions` of MoCoGAN's repository (sergeytulyakov/mocogan, data) has them; call it `strips`."

    def wanted(self) -> tuple[Sequence[Archive], Sequence[Archive]]:
        """One folder (or zip) `strips` with a folder for each class, and optional keypoints."""
        return [Archive("strips")], [Archive("weizmann_keypoints")]

    def ready_keypoints(self, store: ClipStore, found: Mapping[str, Path]) -> Path | None:
        """The file of keypoints beside the strips."""
        return found.get("weizmann_keypoints")

    def recordings(self, folders: Mapping[str, Path]) -> Iterator[Recording]:
        """Each strip; the classes are numbered from 0 in the order of their folders."""
        for label, name in enumerate(STRIP_CLASSES):
            found = [folder for folder in folders["strips"].rglob(name) if folder.is_dir()]
            for person, path in enumerate(sorted(found[0].glob("*.jpg")) if found else ()):
                read = partial(_strip, path, self._size, self._store_channels)
                yield Recording(f"{name}/{path.stem}", read, label, {"person": str(person)}, str(person))

    def splits(self, store: ClipStore) -> Splits:
        """By person; val and test videos are split into clips if `frames_per_clip` is set."""
        splits = super().splits(store)
        if self.frames_per_clip is None:
            return splits
        lengths = [entry["length"] for entry in store.index["clips"]]
        val, test = (
            consecutive_views(clips, lengths, self.frames_per_clip) for clips in (splits["val"], splits["test"])
        )
        return {"train": splits["train"], "val": val, "test": test}


def consecutive_views(clips: Sequence[ClipView], lengths: Sequence[int], frames: int) -> list[ClipView]:
    """Consecutive views of `frames` frames of each clip; a shorter rest at its end is left out."""
    return [
        ClipView(view.clip, start, start + frames)
        for view in clips
        for start in range(0, lengths[view.clip] - frames + 1, frames)
    ]


def _strip(path: Path, size: tuple[int, int], channels: int) -> TimedFrames:
    """The square frames in a row of them, at 25 frames per second."""
    row = read_picture(path)
    height, width = row.shape[:2]
    if width % height:
        raise UserError(f"the width of a strip must be a multiple of its height; got {width}x{height}")
    for number in range(width // height):
        frame = np.ascontiguousarray(row[:, number * height : (number + 1) * height])
        yield fit(frame, size, channels), number / 25
