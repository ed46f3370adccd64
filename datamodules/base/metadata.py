"""Metadata of published data sets, which `benchmarks list data` prints without importing their modules."""

from typing import NamedTuple


class Metadata(NamedTuple):
    """One row of the table of data sets. Its values are constants, because the list is read from the source code."""

    source: str
    """Where the data are available."""
    licence: str
    """Terms of use."""
    citation: str
    """Authors, title, venue, year."""
    splits: str
    """The splits of each paper that uses the data."""
    rate: str
    """Frames per second and size of a frame, as published."""
    checksum: str
    """Whether the owner publishes one; otherwise the sha256 is recorded when an archive is first read."""
