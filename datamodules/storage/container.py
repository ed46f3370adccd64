"""What players show of a video file (PyAV): which pictures, from when until when, and which way up."""

import math
import struct
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from jaxtyping import UInt8

from datamodules.errors import UserError

if TYPE_CHECKING:
    import av
    from av.container import InputContainer

Colour = UInt8[np.ndarray, "height width 3"]

# the value of a display matrix's last row and column, and the unit of the rest
_ONE = 1 << 16


class VideoError(UserError):
    """A file that cannot be decoded from its first frame to its last; the message names the file and the reason."""

    def __init__(self, path: object, reason: str) -> None:
        super().__init__(f"{path}: {reason}")
        self.path = str(path)
        self.reason = reason


class TimedFrame(NamedTuple):
    """A decoded frame and when a player shows it, in seconds since the first frame."""

    frame: "av.VideoFrame"
    time: float
    end: float
    """The time of the next frame; after the last one, when its own duration is over."""


def film_stream(path: Path, container: "InputContainer") -> Any:
    """The first stream of moving pictures.

    Raises:
        VideoError: if the file has sound alone, with or without a cover picture.
    """
    from av.stream import Disposition

    films = [stream for stream in container.streams.video if not stream.disposition & Disposition.attached_pic]
    if films:
        return films[0]
    if not container.streams:
        raise VideoError(path, "it has no video stream: the file is empty or no video")
    sound = "sound" if container.streams.audio else "no pictures"
    raise VideoError(path, f"it has no video stream, only {sound}{' and a cover' * bool(container.streams.video)}")


def timed_frames(path: Path, container: "InputContainer", stream: Any) -> Iterator[TimedFrame]:
    """The frames of `stream` that are meant to be shown, as players and ffmpeg have it, each with its time.

    Edit lists are obeyed: frames that only help to decode later ones are left out. Times of a constant rate are given
    without the rounding to the container's clock (milliseconds in Matroska).

    Raises:
        VideoError: if a frame is damaged, times do not increase, or the end of the file is missing.
    """
    tick = float(stream.time_base)
    rate = float(stream.average_rate or stream.guessed_rate or 0)
    demuxed = _Demuxed(container, stream)
    start, duration = 0, 0.0
    before: tuple[av.VideoFrame, float] | None = None
    for count, frame in enumerate(demuxed.frames()):
        if frame.is_corrupt:
            raise VideoError(path, f"frame {count} is damaged")
        # AVI has no presentation times, and those that FFmpeg derives for B-frames are not monotonic
        stamp = frame.dts if demuxed.is_avi else frame.pts
        if stamp is None and (count == 0 or rate == 0):
            raise VideoError(path, f"frame {count} has no time")
        start = stamp if count == 0 and stamp is not None else start
        last = -math.inf if before is None else before[1]
        now = last + 1 / rate if stamp is None else (stamp - start) * tick
        if 0 < rate < 0.1 / tick:
            even = round(now * rate) / rate
            now = even if abs(now - even) < tick and even > last else now
        if now <= last:
            raise VideoError(path, f"frame {count} at {now:.6g} s is not after the previous frame at {last:.6g} s")
        if before is not None:
            yield TimedFrame(*before, now)
        duration = float((frame.duration or 0) * stream.time_base) or (1 / rate if rate else now - max(last, 0))
        before = (frame, now)
    if before is None:
        raise VideoError(path, "it has no frames")
    yield TimedFrame(*before, before[1] + duration)
    demuxed.check_whole(path, before[1])


def upright(pixels: UInt8[np.ndarray, "height width part"], frame: "av.VideoFrame") -> UInt8[np.ndarray, "h w part"]:
    """The frame as its display matrix has it: turned by quarters, mirrored, or both; other angles are rounded."""
    matrix = next((bytes(data) for data in _side_data(frame) if data.type.name == "DISPLAYMATRIX"), None)
    if matrix is None:
        return pixels
    # a point (x, y) of the stored frame is shown at (a x + c y, b x + d y)
    a, b, _, c, d, *_ = struct.unpack("=9i", matrix[:36])
    swapped = abs(b) + abs(c) > abs(a) + abs(d)
    if swapped:
        pixels = pixels.swapaxes(0, 1)
    to_right, to_bottom = (c, b) if swapped else (a, d)
    return pixels[:: -1 if to_bottom < 0 else 1, :: -1 if to_right < 0 else 1]


def is_turned(frame: "av.VideoFrame") -> bool:
    """Whether the display matrix exchanges height and width."""
    marker = np.zeros((1, 2, 1), dtype=np.uint8)
    return upright(marker, frame).shape[0] == 2


def _side_data(frame: "av.VideoFrame") -> Iterator[Any]:
    # PyAV's own stubs have a mapping of names here
    return iter(frame.side_data)


class _Demuxed:
    """The packets of a file on their way to the decoder, counted, so that a missing end is noticed."""

    def __init__(self, container: "InputContainer", stream: Any) -> None:
        self.container, self.stream = container, stream
        self.packets, self.reached = 0, 0.0
        self.is_avi = "avi" in container.format.name.split(",")
        # Matroska says only how long the longest stream is
        self.told = (container.duration or 0) / 1e6 if container.format.name.startswith("matroska") else 0.0

    def frames(self) -> Iterator["av.VideoFrame"]:
        streams = () if self.told else (self.stream,)
        for packet in self.container.demux(*streams):
            if packet.dts is not None and packet.pts is not None and packet.time_base is not None:
                end = float((packet.pts + (packet.duration or 0)) * Fraction(packet.time_base))
                self.reached = max(self.reached, end)
            if packet.stream.index == self.stream.index:
                self.packets += packet.dts is not None or packet.size > 0
                if self.is_avi and packet.dts is not None:  # its clock counts also the frames that a camera dropped
                    self.packets = max(self.packets, packet.dts + 1)
                yield from packet.decode()

    def check_whole(self, path: Path, last: float) -> None:
        """Raise a VideoError if the file's end is missing; packets are counted, because some frames are never shown."""
        # headers count a few frames that are never stored (packed B-frames in AVI)
        if self.stream.frames and self.packets < 0.9 * self.stream.frames - 2:
            raise VideoError(path, f"it ends after {self.packets} of {self.stream.frames} frames")
        if self.told and self.reached < 0.8 * self.told - 1:
            raise VideoError(path, f"its frames end at {last:.4g} s and no stream reaches its end at {self.told:.4g} s")
