"""Recordings: the clips in a data set's published files, decoded on all cores."""

from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from types import MappingProxyType
from typing import Any, NamedTuple

from datamodules.base.clip_source import Origin
from datamodules.storage.container import VideoError
from datamodules.storage.prefetch import prefetch_streams
from datamodules.storage.store import ALL, StoredClip

TimedFrames = Iterable[tuple[Any, float]]
"""Frames (uint8, or float32 for measured fields) and their times in seconds since the first."""


class Recording(NamedTuple):
    """A clip in the published files, not yet decoded."""

    name: str
    """Its stable name within the data set."""
    decode: Callable[[], TimedFrames]
    """Its frames and their times; called in a thread. A VideoError, OSError or ValueError leaves the clip out."""
    label: int = -1
    about: Mapping[str, Any] = MappingProxyType({})
    source: str = ""
    """The person where people act, or what else it shares with other clips; see `Origin.source`."""


def decode_recordings(recordings: Sequence[Recording], item_bytes: int) -> Generator[StoredClip, None, None]:
    """The recordings, decoded on all cores, in order, with a progress bar; a damaged one raises when it is read.

    To end its threads before it is exhausted, close the generator.

    Args:
        recordings: what to decode.
        item_bytes: the size of one frame in bytes.
    """
    from rich.progress import Progress

    films = [recording.decode for recording in recordings]
    with closing(prefetch_streams(films, item_bytes=item_bytes)) as streams, Progress(transient=True) as progress:
        task = progress.add_task("Decoding", total=len(recordings))
        for recording, stream in zip(recordings, streams, strict=True):
            origin = Origin(
                recording.name, "", recording.source
            )  # an empty digest is replaced by the sha256 of the pixels
            yield StoredClip(_named(stream, recording.name), ALL, origin, recording.label, recording.about)
            progress.advance(task)


def _named(timed_frames: Iterator[tuple[Any, float]], name: str) -> Iterator[tuple[Any, float]]:
    """The same frames; an error names the recording."""
    try:
        yield from timed_frames
    except VideoError as error:
        raise VideoError(name, error.reason) from error
    except (OSError, ValueError) as error:
        raise VideoError(name, f"it cannot be read ({error})") from error
