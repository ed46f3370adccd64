"""Extent of clips in files: the sizes of their frames and their brightest pixel, in which two sides must agree."""

from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks.evaluation.video_files import ClipFile, read_clip
from benchmarks.utils.errors import UserError


@dataclass(frozen=True)
class Extent:
    """What the first frames of clips look like.

    Args:
        sizes: height and width of the frames, each once, in rising order.
        brightest: the largest intensity, 0 to 255.
    """

    sizes: tuple[tuple[int, int], ...]
    brightest: int

    @classmethod
    def of(cls, clips: Sequence[ClipFile], size: int | None) -> "Extent":
        """The extent of the first frame of each clip, resized to squares of `size` if there is one."""
        sizes, brightest = set(), 0
        for clip in clips:
            frame = read_clip(clip, frames=1, size=size)[0]
            sizes.add((int(frame.shape[-2]), int(frame.shape[-1])))
            brightest = max(brightest, int(frame.max()))
        return cls(tuple(sorted(sizes)), brightest)

    def __str__(self) -> str:
        shown = ", ".join(f"{width} x {height}" for height, width in self.sizes[:4])
        return shown + (", ..." if len(self.sizes) > 4 else "")


def check_extents(generated: Extent, reference: Extent) -> None:
    """Raise a UserError if two sets of clips differ in the size or in the range of their frames.

    A distance between them would be one of sizes or of ranges.
    """
    if generated.sizes != reference.sizes:
        raise UserError(
            f"Sets of clips are compared at one size; the generated frames are {generated}, those of the reference "
            f"{reference}. Give --size to resize both, or make both at one size."
        )
    brightest, other = generated.brightest, reference.brightest
    for whose, own, others in (("generated", brightest, other), ("reference", other, brightest)):
        if own == 1 and others > 1:
            raise UserError(
                f"Frames are uint8 from 0 to 255; the brightest pixel of the {whose} clips is 1 and that of the others "
                f"{others}: they seem to be floats in [0, 1], cut off. Save (255 * x).round().astype(uint8)."
            )
