"""Recordings: clips of the owner's files, decoded on all cores."""

from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from types import MappingProxyType
from typing import Any, NamedTuple

from datamodules.base.clip_source import Origin
from datamodules.storage.prefetch import prefetch_streams
from datamodules.storage.store import ALL, StoredClip
from datamodules.storage.video import VideoError

TimedFrames = Iterable[tuple[Any, float]]
"""Pictures (uint8, or float32 for measured fields) and their times in seconds since the first."""


class Recording(NamedTuple):
    """A clip of the owner's files, not yet decoded."""

    name: str
    """Its name within the data set, for ever."""
    decode: Callable[[], TimedFrames]
    """Its pictures and their times; called in a thread. A VideoError, OSError or ValueError leaves the clip out."""
    label: int = -1
    about: Mapping[str, Any] = MappingProxyType({})


def decode_recordings(recordings: Sequence[Recording], item_bytes: int) -> Generator[StoredClip, None, None]:
    """The recordings decoded on all cores, in their order, with a progress bar; a broken one raises when it is read.

    Close it to end its threads before it is exhausted.

    Args:
        recordings: what to decode.
        item_bytes: the size of one picture.
    """
    from rich.progress import Progress

    films = [recording.decode for recording in recordings]
    with closing(prefetch_streams(films, item_bytes=item_bytes)) as streams, Progress(transient=True) as progress:
        task = progress.add_task("Decoding", total=len(recordings))
        for recording, stream in zip(recordings, streams, strict=True):
            origin = Origin(recording.name, "")  # the digest is that of the pixels
            yield StoredClip(_named(stream, recording.name), ALL, origin, recording.label, recording.about)
            progress.advance(task)


def _named(timed_frames: Iterator[tuple[Any, float]], name: str) -> Iterator[tuple[Any, float]]:
    """The same; an error says whose it is."""
    try:
        yield from timed_frames
    except VideoError as error:
        raise VideoError(name, error.reason) from error
    except (OSError, ValueError) as error:
        raise VideoError(name, f"it cannot be read ({error})") from error
