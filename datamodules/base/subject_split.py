"""SubjectSplitDataModule: published clips of people, split by person."""

from abc import ABC
from collections.abc import Sequence
from typing import Any

from datamodules.base.published import PublishedDataModule
from datamodules.base.splits import Splits
from datamodules.errors import UserError
from datamodules.storage.clip_views import ClipView
from datamodules.storage.store import ClipStore


class SubjectSplitDataModule(PublishedDataModule, ABC):
    """Published clips of people: a person's clips share face, clothes and background, so they stay in one split.

    A subclass stores the `person` of each recording in `about` and as its `source`, and defines what
    `PublishedDataModule` requires.

    Args:
        val_people: the people of the val split, by the names in the recordings' `about`.
        test_people: the people of the test split; all others are in train.
        shared: see `PublishedDataModule`.
    """

    def __init__(self, *, val_people: Sequence[str] = (), test_people: Sequence[str] = (), **shared: Any) -> None:
        super().__init__(**shared)
        self.val_people, self.test_people = tuple(val_people), tuple(test_people)

    def splits(self, store: ClipStore) -> Splits:
        """By person.

        Raises:
            UserError: if a name is unknown, or a person would be in two splits.
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
    """Raise a UserError if a name is unknown, or a person would be in two splits."""
    if strangers := [person for person in (*val_people, *test_people) if person not in known]:
        raise UserError(f"Unknown people: {', '.join(strangers)}. Available: {', '.join(known)}.")
    if both := set(val_people) & set(test_people):
        raise UserError(
            f"A person may be in one split only; {', '.join(sorted(both))} is in val_people and in test_people."
        )
