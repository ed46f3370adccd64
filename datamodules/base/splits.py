"""Splits: which stored clips belong to train, val and test, and a check against the published sizes."""

import hashlib
import warnings
from collections.abc import Mapping, Sequence

from datamodules.base.module import SPLITS, Split
from datamodules.errors import UserError
from datamodules.storage.clip_views import ClipView, names_of
from datamodules.storage.store import ClipStore

Splits = Mapping[Split, Sequence[ClipView]]


def by_side(sides: Sequence[str], store: ClipStore, val_share: float, val_seed: int) -> Splits:
    """The clips whose side is "train" and those whose side is "test"; validation clips are held out from the former.

    Args:
        sides: "train" or "test" for each clip of the store, as in the owner's folders, lists or labels; any other word
            leaves the clip out.
        store: the store that holds the clips.
        val_share: see `hold_out`.
        val_seed: see `hold_out`.
    """
    train, test = ([ClipView(clip) for clip, own in enumerate(sides) if own == side] for side in ("train", "test"))
    kept, val = hold_out(train, val_share, val_seed, names_of(store))
    return {"train": kept, "val": val, "test": test}


def hold_out(
    views: Sequence[ClipView], share: float, seed: int, names: Sequence[str]
) -> tuple[list[ClipView], list[ClipView]]:
    """Train and val: the share of the views goes to val, chosen by a hash of their names, not by their order."""
    if not 0 <= share < 1:
        raise UserError(f"val_share must be from 0 to below 1; got {share}.")
    order = sorted(views, key=lambda view: hashlib.sha256(f"{seed} {names[view.clip]}".encode()).digest())
    held = set(order[: round(share * len(order))])
    return [view for view in views if view not in held], [view for view in views if view in held]


def check_sources(store: ClipStore, name: str) -> None:
    """Raise a UserError if the store was prepared without the sources of its clips."""
    if any(len(entry["origin"]) < 3 for entry in store.index["clips"]):
        raise UserError(
            f"{store.address} does not say which clips share a source. Delete it and run `benchmarks prepare {name}`."
        )


def check_sizes(name: str, found: Mapping[str, int], published: Mapping[str, int]) -> None:
    """Warn if a split has another size than published."""
    wrong = [
        f"{found.get(split, 0)} {split} clips where {published[split]} were published"
        for split in SPLITS
        if split in published and found.get(split, 0) != published[split]
    ]
    if wrong:
        warnings.warn(f"{name} has {', '.join(wrong)}; do not compare with the paper's numbers.", stacklevel=2)
