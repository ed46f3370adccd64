"""Data of people: published clips that are split by who is seen in them."""

from abc import ABC
from collections.abc import Sequence
from typing import Any

from datamodules.base.published import PublishedDataModule
from datamodules.base.splits import Splits
from datamodules.errors import UserError
from datamodules.storage.clip_views import ClipView
from datamodules.storage.store import ClipStore


class SubjectSplitDataModule(PublishedDataModule, ABC):
    """Published clips of people: somebody's clips share face, clothes and background, so they stay in one split.

    A subclass notes the `person` of each recording, and says what `PublishedDataModule` asks.

    Args:
        val_people: to validate on, by the names that the recordings note.
        test_people: to test on; all others are trained on.
        shared: see `PublishedDataModule`.
    """

    def __init__(self, *, val_people: Sequence[str] = (), test_people: Sequence[str] = (), **shared: Any) -> None:
        super().__init__(**shared)
        self.val_people, self.test_people = tuple(val_people), tuple(test_people)

    def splits(self, store: ClipStore) -> Splits:
        """By person.

        Raises:
            UserError: if a name is nobody's, or somebody would be in two splits.
        """
        people = [entry["person"] for entry in store.index["clips"]]
        check_people(sorted(set(people)), self.val_people, self.test_people)
        held = {*self.val_people, *self.test_people}
        return {
            "train": [ClipView(clip) for clip, person in enumerate(people) if person not in held],
            "val": [ClipView(clip) for clip, person in enumerate(people) if person in self.val_people],
            "test": [ClipView(clip) for clip, person in enumerate(people) if person in self.test_people],
        }


def check_people(known: Sequence[str], val_people: Sequence[str], test_people: Sequence[str]) -> None:
    """Raise a ValueError if a name is nobody's, or somebody would be in two splits."""
    if strangers := [person for person in (*val_people, *test_people) if person not in known]:
        raise UserError(f"There is nobody called {', '.join(strangers)}; there are {', '.join(known)}.")
    if both := set(val_people) & set(test_people):
        raise UserError(f"Nobody may be in two splits; {', '.join(sorted(both))} is in val_people and test_people.")
