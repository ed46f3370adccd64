"""Penn Action: people at sports, from the owner's frames and .mat labels, which define the split."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from datamodules.base.metadata import Metadata
from datamodules.base.published import PublishedDataModule
from datamodules.base.splits import Splits, by_side, check_sizes
from datamodules.errors import UserError
from datamodules.storage.archives import Archive
from datamodules.storage.decoding import Recording
from datamodules.storage.image_sequences import images_in, read_image_sequence
from datamodules.storage.store import ClipStore

ACTIONS = (
    "baseball_pitch",
    "baseball_swing",
    "bench_press",
    "bowl",
    "clean_and_jerk",
    "golf_swing",
    "jump_rope",
    "jumping_jacks",
    "pullup",
    "pushup",
    "situp",
    "squat",
    "strum_guitar",
    "tennis_forehand",
    "tennis_serve",
)


class PennAction(PublishedDataModule):
    """Penn Action: 2,326 clips of 15 sports as JPEG frames of up to 640x480, rate not published, research use.

    Source: https://dreamdragon.github.io/PennAction/, `Penn_Action.tar.gz` (3 GB) with frames/0001/000001.jpg and
    labels/0001.mat, whose `train` is 1 or -1 and `action` a word. Zhang, Zhu and Derpanis, From Actemes to Action: A
    Strongly-supervised Representation for Detailed Action Understanding, ICCV 2013. No checksum is published. Vid-ODE
    uses the owner's split, 1,258 train and 1,068 test, centre-cropped, 128x128 (and 256x256). The class is the action's
    index in alphabetical order.

    Args:
        assumed_rate: frames per second from which times are computed; the owner publishes none. 25 is ours.
        val_share: the share of the train clips that is held out for validation.
        val_seed: chooses it.
        shared: see `PublishedDataModule`.
    """

    name = "penn-action"
    metadata = Metadata(
        source="dreamdragon.github.io/PennAction",
        licence="research use",
        citation="Zhang, Zhu and Derpanis, From Actemes to Action, ICCV 2013",
        splits="Vid-ODE: the owner's, 1,258 train, 1,068 test",
        rate="unknown (25 assumed), up to 640x480",
        checksum="none published; recorded on first use",
    )

    def __init__(self, *, assumed_rate: float = 25.0, val_share: float = 0.0, val_seed: int = 0, **shared: Any) -> None:
        super().__init__(**shared)
        if not assumed_rate > 0:
            raise UserError(f"assumed_rate must be positive; got {assumed_rate}.")
        self.assumed_rate, self.val_share, self.val_seed = assumed_rate, val_share, val_seed

    @property
    def request(self) -> str:
        """The data are available from the owner's page."""
        return "It is available from https://dreamdragon.github.io/PennAction/ (Penn_Action.tar.gz, 3 GB)."

    @property
    def path(self) -> Path:
        """One store for each assumed rate, because it holds the times."""
        path = super().path
        return path if self.assumed_rate == 25 else path.with_name(f"{path.name}-{self.assumed_rate:g}fps")

    def wanted(self) -> tuple[Sequence[Archive], Sequence[Archive]]:
        """One tar."""
        return [Archive("Penn_Action")], []

    def recordings(self, folders: Mapping[str, Path]) -> Iterator[Recording]:
        """Each labelled clip; one whose frames are missing is left out, with a warning that names it."""
        labels = sorted(folders["Penn_Action"].rglob("labels/*.mat"))
        if not labels:
            raise UserError(f"{self.folder}/Penn_Action has no labels/*.mat. {self.request}")
        for path in labels:
            label = read_label(path)
            frames = path.parents[1] / "frames" / path.stem
            paths = images_in(frames) if frames.is_dir() else []
            read = partial(
                read_image_sequence, paths, self.assumed_rate, size=self._size, channels=self._store_channels
            )
            kind = ACTIONS.index(label["action"]) if label["action"] in ACTIONS else -1
            yield Recording(path.stem, read, kind, label)

    def splits(self, store: ClipStore) -> Splits:
        """By the labels; warns if the sizes are not 1,258 and 1,068."""
        sides = ["train" if entry["train"] else "test" for entry in store.index["clips"]]
        check_sizes(self.name, Counter(sides), {"train": 1258, "test": 1068})
        return by_side(sides, store, self.val_share, self.val_seed)


def read_label(path: Path) -> dict[str, Any]:
    """The name of the action and whether the clip is in train, from a label file.

    Raises:
        UserError: if it is not a MATLAB file, or a value is missing.
    """
    from scipy.io import loadmat
    from scipy.io.matlab import MatReadError

    try:
        content = loadmat(path)
        side = int(np.asarray(content["train"]).flat[0])
        return {"action": str(np.asarray(content["action"]).flat[0]), "train": side == 1}
    except (MatReadError, OSError, ValueError, KeyError, TypeError, IndexError, NotImplementedError) as error:
        raise UserError(f"{path} is not a label of Penn Action ({error}). Download the archive again.") from error
