"""Video files: the one place that decodes them (PyAV; GIFs: Pillow)."""

import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch
from jaxtyping import Float64, UInt8
from torch.nn.functional import interpolate

from datamodules.errors import UserError
from datamodules.storage.container import VideoError, film_stream, is_turned, timed_frames, upright
from datamodules.storage.gif import check_whole, gif_frames, is_gif
from datamodules.storage.pictures import DAMAGED, on_white

if TYPE_CHECKING:
    import av

Picture = UInt8[np.ndarray, "channel height width"]
Pictures = UInt8[np.ndarray, "time channel height width"]

EXTENSIONS = (
    ".mp4", ".avi", ".mkv", ".mov", ".gif", ".mpg", ".mpeg", ".webm", ".m4v", ".ts", ".mts", ".m2ts", ".wmv", ".asf",
    ".3gp", ".3g2", ".flv", ".ogv", ".vob", ".mxf",
)  # fmt: skip
"""The suffixes of video files, in any case."""

LUMA = np.array([0.299, 0.587, 0.114])
"""Grey from red, green and blue (ITU-R BT.601)."""


class Video(NamedTuple):
    """Decoded frames and their presentation times, in seconds since the first."""

    frames: Pictures
    times: Float64[np.ndarray, " time"]


class Shown(NamedTuple):
    """A picture and when a player shows it, in seconds since the first one."""

    picture: Picture
    time: float
    end: float
    """The time of the next picture; after the last one, when its own duration is over."""
    tick: float = 0.0
    """The file's unit of time, to which its times may be rounded, in seconds."""


def read_video(
    path: str | os.PathLike[str],
    *,
    size: tuple[int, int] | None = None,
    channels: int = 3,
    frame_rate: float | int | None = None,
) -> Video:
    """All frames of a video file; for the arguments see `decode`.

    Raises:
        VideoError: if the file is damaged.
    """
    timed_frames = list(decode(path, size=size, channels=channels, frame_rate=frame_rate))
    if len({picture.shape for picture, _ in timed_frames}) > 1:
        raise VideoError(path, "its frames change size; set `size` to resize them to one")
    return Video(np.stack([picture for picture, _ in timed_frames]), np.array([time for _, time in timed_frames]))


def decode(
    path: str | os.PathLike[str],
    *,
    size: tuple[int, int] | None = None,
    channels: int = 3,
    frame_rate: float | int | None = None,
) -> Iterator[tuple[Picture, float]]:
    """The frames of a video file, one by one, each with its true time in seconds since the first.

    What is transparent shows white. A picture is a video of one frame; a GIF plays as in a browser (`gif_frames`).

    Args:
        path: the file.
        size: height and width of the returned frames: centre-cropped to that aspect ratio (after the rotation and pixel
            aspect ratio of the file are applied), then resized once, bilinear with antialiasing; None keeps the pixels.
        channels: 3 for red, green, blue; 1 for grey.
        frame_rate: resample to this many frames per second, see `resample`; None keeps every frame at its own time,
            also if the rate is variable.

    Raises:
        VideoError: if the file cannot be opened, a frame is damaged, times do not increase, or the end is missing.
    """
    pictures = decode_shown(path, size=size, channels=channels)
    return ((picture, time) for picture, time, *_ in pictures) if frame_rate is None else resample(pictures, frame_rate)


def decode_shown(
    path: str | os.PathLike[str], *, size: tuple[int, int] | None = None, channels: int = 3
) -> Iterator[Shown]:
    """The pictures of a video file, one by one, each with the time for which it is on the screen; see `decode`."""
    if channels not in (1, 3):
        raise UserError(f"channels must be 1 (grey) or 3 (colour); got {channels}.")
    return _decode(Path(path), size, channels)


def resample(pictures: Iterable[Shown], frame_rate: float | int) -> Iterator[tuple[Picture, float]]:
    """The pictures that are on the screen at 0, 1, 2, ... / `frame_rate` seconds, until the last one is over.

    Half the file's unit of time, and a hundredth of a new frame, count as nothing: 23.976 and 23.98 are one rate.
    """
    if not frame_rate > 0:
        raise UserError(f"frame_rate must be positive; got {frame_rate}.")
    number, last = 0, None
    for last in pictures:
        while number / frame_rate < last.end - last.tick / 2 - 0.01 / frame_rate:
            yield last.picture, number / frame_rate
            number += 1
    if last is not None and number / frame_rate <= last.time + 1e-9:
        yield last.picture, number / frame_rate


def fit(
    pixels: UInt8[np.ndarray, "old_height old_width 3"],
    size: tuple[int, int] | None,
    channels: int,
    pixel_shape: float | int = 1.0,
) -> Picture:
    """A colour frame in the form that `decode` returns: centre-cropped to the aspect ratio of `size`, resized.

    `pixel_shape` is a pixel's width over its height; with one channel the result is grey.
    """
    if size is not None:
        pixels = _fitted(pixels, size, pixel_shape)
    if channels == 1:
        pixels = np.rint(pixels @ LUMA).astype(np.uint8)[..., None]
    return np.ascontiguousarray(pixels.transpose(2, 0, 1))


def _decode(path: Path, size: tuple[int, int] | None, channels: int) -> Iterator[Shown]:
    import av

    try:
        if is_gif(path):
            yield from _decode_gif(path, size, channels)
            return
        # "file:", so that 12:30.mp4 names no protocol; HMDB51's metadata are not valid UTF-8
        with av.open(f"file:{path}", metadata_errors="replace") as container:
            stream = film_stream(path, container)
            stream.thread_type = "AUTO"
            shape, tick = float(stream.sample_aspect_ratio or 1), float(stream.time_base)
            for frame, time, end in timed_frames(path, container, stream):
                yield Shown(_picture(frame, shape, size, channels), time, end, tick)
    except (av.error.FFmpegError, OSError) as error:
        raise VideoError(path, f"it cannot be decoded ({error.strerror or error})") from error


def _decode_gif(path: Path, size: tuple[int, int] | None, channels: int) -> Iterator[Shown]:
    try:
        check_whole(path)
        for pixels, time, end in gif_frames(path):
            yield Shown(fit(pixels, size, channels), time, end, 0.01)
    except DAMAGED as error:
        raise VideoError(path, f"it cannot be decoded ({error})") from error


def _picture(frame: "av.VideoFrame", shape: float, size: tuple[int, int] | None, channels: int) -> Picture:
    """The frame upright, cropped and resized; `shape` is a pixel's width over its height."""
    transparent = frame.format.name == "pal8" or any(part.is_alpha for part in frame.format.components)
    pixels = on_white(frame.to_ndarray(format="rgba")) if transparent else frame.to_ndarray(format="rgb24")
    return fit(upright(pixels, frame), size, channels, 1 / shape if is_turned(frame) else shape)


def _fitted(
    pixels: UInt8[np.ndarray, "height width 3"], size: tuple[int, int], pixel_shape: float | int
) -> UInt8[np.ndarray, "new_height new_width 3"]:
    """Centre-cropped to the aspect ratio of `size` and resized; `pixel_shape` is a pixel's width over its height."""
    height, width = pixels.shape[:2]
    wanted = size[1] / size[0] / pixel_shape
    cut_height = min(height, max(1, round(width / wanted)))
    cut_width = min(width, max(1, round(height * wanted)))
    top, left = (height - cut_height) // 2, (width - cut_width) // 2
    cut = np.ascontiguousarray(pixels[top : top + cut_height, left : left + cut_width])
    if cut.shape[:2] == tuple(size):
        return cut
    tensor = torch.from_numpy(cut).permute(2, 0, 1)[None]
    return interpolate(tensor, size=list(size), mode="bilinear", antialias=True)[0].permute(1, 2, 0).numpy()
