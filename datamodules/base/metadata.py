"""Facts: what a published data set is, in words that `benchmarks list data` prints without importing it."""

from typing import NamedTuple


class Metadata(NamedTuple):
    """One row of the table of data sets. Written as constants, because the list is read from the source alone."""

    source: str
    """Where it comes from."""
    licence: str
    """On what terms."""
    citation: str
    """Authors, title, place, year."""
    splits: str
    """Of each paper that uses it."""
    rate: str
    """Frames per second and size of a frame, as published."""
    checksum: str
    """Whether the owner publishes one, or it is noted at the first sight."""
