"""Extent of clips in files: the sizes of their frames and their brightest pixel, in which two sides must agree."""

from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks.evaluation.video_files import ClipFile, read_clip
from benchmarks.utils.errors import UserError


@dataclass(frozen=True)
class Extent:
    """What the first frames of clips look like in their files.

    Args:
        sizes: height and width of the frames, each once, in rising order.
        brightest: the largest intensity, 0 to 255.
    """

    sizes: tuple[tuple[int, int], ...]
    brightest: int

    @classmethod
    def of(cls, clips: Sequence[ClipFile]) -> "Extent":
        """The extent of the first frame of each clip."""
        sizes, brightest = set(), 0
        for clip in clips:
            frame = read_clip(clip, frames=1)[0]
            sizes.add((int(frame.shape[-2]), int(frame.shape[-1])))
            brightest = max(brightest, int(frame.max()))
        return cls(tuple(sorted(sizes)), brightest)

    def __str__(self) -> str:
        shown = ", ".join(f"{width} x {height}" for height, width in self.sizes[:4])
        return shown + (", ..." if len(self.sizes) > 4 else "")


def check_sizes(generated: Extent, reference: Extent) -> None:
    """Raise a UserError if the frames of two sets of clips differ in size: their distance would be one of sizes."""
    if generated.sizes != reference.sizes:
        raise UserError(
            f"Sets of clips are compared at one size; the generated frames are {generated}, those of the reference "
            f"{reference}. Give --size to crop both to squares and resize them, or make both at one size."
        )


def check_range(generated: Extent, reference: Extent) -> None:
    """Raise a UserError if frames seem to be floats in [0, 1] that were cut off to whole numbers."""
    for whose, one in (("generated", generated), ("reference", reference)):
        if one.brightest == 1:
            raise UserError(
                f"Frames are uint8 from 0 to 255; the brightest pixel of the {whose} clips is 1: they seem to be "
                "floats in [0, 1], cut off. Save (255 * x).round().astype(uint8)."
            )


def remarks(generated: Extent, reference: Extent, size: int | None) -> list[str]:
    """What a user should know about two sides that can be compared, in sentences."""
    found = []
    if size is not None and generated.sizes != reference.sizes:
        found.append(
            f"Cropped to squares and resized to {size} x {size}: generated frames of {generated}, those of the "
            f"reference of {reference}."
        )
    for whose, one, other in (("generated", generated, reference), ("reference", reference, generated)):
        if one.brightest == 0 < other.brightest:
            found.append(
                f"The first frames of all {whose} clips are black: if they were floats in [0, 1], save "
                "(255 * x).round().astype(uint8)."
            )
    return found
