"""How many clips `benchmarks evaluate` compares: as many of either side, or so many against so many reference clips."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from benchmarks.utils.errors import UserError

if TYPE_CHECKING:
    from benchmarks.evaluation.video_files import ClipFile


@dataclass(frozen=True)
class Counts:
    """The numbers of compared clips.

    Args:
        generated: of the scored side; 0 if only the reference is looked at.
        reference: of the other.
        asked: `reference_clips` of the metrics, for two sets of their own; None: as many of either side.
    """

    generated: int
    reference: int
    asked: int | Literal["all"] | None = None

    def __str__(self) -> str:
        """As in the id of a protocol: 2048, or 2048vs3783."""
        return str(self.generated) if self.asked is None else f"{self.generated}vs{self.reference}"


@dataclass(frozen=True)
class Side:
    """One side as the user gave it.

    Args:
        path: for messages.
        clips: how many there are.
        whole: whether all of them must be compared, as those of a saved reference.
    """

    path: Path
    clips: int
    whole: bool = False


def asked_reference(text: str | None) -> int | Literal["all"] | None:
    """The value of --reference-clips: all, or a positive number."""
    if text is None or text == "all":
        return text  # type: ignore[return-value]
    if not text.isdecimal() or int(text) < 1:
        raise UserError(f"--reference-clips must be all or a positive number; got '{text}'.")
    return int(text)


def counts_of(
    generated: Side | None, reference: Side, clips: int | None, asked: int | Literal["all"] | None, least: int
) -> Counts:
    """The numbers of clips to compare.

    Args:
        generated: None to look at the reference only.
        reference: the real clips.
        clips: --clips.
        asked: --reference-clips.
        least: clips that either side needs.

    Raises:
        UserError: if a side has too few, or the sides have other numbers and nobody said what to do about it.
    """
    if generated is None:
        number = asked if isinstance(asked, int) else clips or reference.clips
        _check_has("--reference-clips" if isinstance(asked, int) else "--clips", reference, number)
        counts = Counts(0, number, asked)
    elif asked is None:
        if clips is None and generated.clips != reference.clips:
            fewer = min(generated.clips, reference.clips)
            take = "" if reference.whole and fewer < reference.clips else f", or --clips {fewer} for as many of either"
            raise UserError(
                f"{generated.path} has {_clips(generated.clips)}, {reference.path} {_clips(reference.clips)}: give "
                f"--reference-clips all to compare with all of the reference, which the metrics' names then say{take}."
            )
        number = clips or generated.clips
        _check_has("--clips", generated, number)
        _check_has("--clips", reference, number, " Or give --reference-clips for another number of reference clips.")
        counts = Counts(number, number)
    else:
        mine, real = clips or generated.clips, reference.clips if asked == "all" else asked
        _check_has("--clips", generated, mine)
        _check_has("--reference-clips", reference, real)
        counts = Counts(mine, real, asked)
    _check_enough(generated, reference, counts, least)
    return counts


def chosen(clips: "Sequence[ClipFile]", number: int) -> "list[ClipFile]":
    """`number` of the clips, evenly spaced."""
    return [clips[index * len(clips) // number] for index in range(number)]


def check_names(generated: "Sequence[ClipFile]", reference: "Sequence[ClipFile]", mine: Path, theirs: Path) -> None:
    """Raise unless every name is on both sides."""
    ours, real = ({clip.name for clip in clips} for clips in (generated, reference))
    for path, missing in ((mine, real - ours), (theirs, ours - real)):
        if missing:
            raise UserError(
                f"With --paired each clip needs one of the same name on the other side; {path} lacks {len(missing)}: "
                f"{', '.join(sorted(missing)[:4])}{', ...' if len(missing) > 4 else ''}."
            )


def _check_has(option: str, side: Side, number: int, way: str = "") -> None:
    if side.clips < number:
        raise UserError(f"{option} is {number}, {side.path} has {side.clips}. Lower {option}, or give more clips.{way}")
    if side.whole and side.clips != number:
        raise UserError(
            f"{side.path} does not fit this evaluation: its clip count is {side.clips}, here it is {number}. All of a "
            f"saved reference are compared: give --reference-clips all, {option} {side.clips}, or save the reference "
            "anew with another number."
        )


def _check_enough(generated: Side | None, reference: Side, counts: Counts, least: int) -> None:
    fewest = counts.reference if generated is None else min(counts.generated, counts.reference)
    if fewest < least:
        sides = [reference] if generated is None else [generated, reference]
        has = ", ".join(f"{side.path} has {side.clips}" for side in sides)
        raise UserError(
            f"A distribution metric needs at least {least} clips per side, and hundreds to be reliable; here {fewest} "
            f"are compared: {has}. Give more clips, or compare them one by one with --paired."
        )


def _clips(number: int) -> str:
    return f"{number} clip{'s' if number != 1 else ''}"
