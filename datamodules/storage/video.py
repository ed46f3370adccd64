"""Video files: the one place that decodes them (PyAV; GIFs: Pillow) and writes them (MP4, GIF)."""

import math
import os
from collections.abc import Iterable, Iterator
from contextlib import closing
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, cast

import numpy as np
import torch
from jaxtyping import Float64, UInt8
from torch.nn.functional import interpolate

from datamodules.errors import UserError
from datamodules.files import atomic_path
from datamodules.storage.pictures import DAMAGED, gif_frames, is_gif, on_white

if TYPE_CHECKING:
    import av

Picture = UInt8[np.ndarray, "channel height width"]
Pictures = UInt8[np.ndarray, "time channel height width"]

EXTENSIONS = (".mp4", ".avi", ".mkv", ".mov", ".gif", ".mpg", ".mpeg", ".webm", ".m4v")
"""The suffixes of video files."""

LUMA = np.array([0.299, 0.587, 0.114])
"""Grey from red, green and blue (ITU-R BT.601)."""

GIF_TICK = 100
"""A GIF's unit of time is 1/100 s; viewers show frames shorter than two units for ten."""


class VideoError(UserError):
    """A file that cannot be decoded from its first frame to its last; the message names the file and the reason."""

    def __init__(self, path: str | os.PathLike[str], reason: str) -> None:
        super().__init__(f"{path}: {reason}")
        self.path = str(path)
        self.reason = reason


class Video(NamedTuple):
    """Decoded frames and their presentation times, in seconds since the first."""

    frames: Pictures
    times: Float64[np.ndarray, " time"]


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
        frame_rate: resample to this many frames per second, each the frame nearest in true time; None keeps every
            frame at its own time, also if the rate is variable.

    Raises:
        VideoError: if the file cannot be opened, a frame is damaged, times do not increase, or the end is missing.
    """
    if channels not in (1, 3):
        raise UserError(f"channels must be 1 (grey) or 3 (colour); got {channels}.")
    timed_frames = _decode_frames(Path(path), size, channels)
    return timed_frames if frame_rate is None else resample(timed_frames, frame_rate)


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


def write_video(path: str | os.PathLike[str], frames: Pictures, frame_rate: float | int) -> float:
    """Write an .mp4 (H.264, yuv420p: plays anywhere) or a .gif (own palette, endless loop) and return its frame rate.

    The rate is `frame_rate`, except for a GIF of more than 50 frames per second, which viewers cannot show: then only
    every second (third, ...) frame is written, so that the speed stays the same. In an MP4 an odd side is made even by
    repeating the last row or column. The file is written atomically.

    Args:
        path: ends in .mp4 or .gif.
        frames: 0 to 255, one channel (grey) or three.
        frame_rate: frames per second.

    Raises:
        UserError: if the path has another suffix, or frames or rate are invalid.
    """
    path = Path(path)
    writers = {".mp4": _write_mp4, ".gif": _write_gif}
    if path.suffix.lower() not in writers:
        raise UserError(f"Videos are written as .mp4 or .gif; got {path.name!r}.")
    if frames.shape[0] < 1 or frames.shape[1] not in (1, 3):
        raise UserError(f"frames must be (time, 1 or 3, height, width), at least one; got {frames.shape}.")
    if not (math.isfinite(frame_rate) and frame_rate > 0):
        raise UserError(f"frame_rate must be a positive number; got {frame_rate}.")
    pictures = np.ascontiguousarray(np.broadcast_to(frames, (len(frames), 3, *frames.shape[2:])).transpose(0, 2, 3, 1))
    with atomic_path(path) as temporary:
        return writers[path.suffix.lower()](temporary, pictures, frame_rate)


def _decode_frames(path: Path, size: tuple[int, int] | None, channels: int) -> Iterator[tuple[Picture, float]]:
    import av

    try:
        if is_gif(path):
            yield from _decode_gif(path, size, channels)
            return
        # HMDB51's metadata are not valid UTF-8
        with av.open(str(path), metadata_errors="replace") as container:
            if not container.streams.video:
                raise VideoError(path, "it has no video stream")
            stream = container.streams.video[0]
            stream.thread_type = "AUTO"
            count, time, shape = 0, 0.0, float(stream.sample_aspect_ratio or 1)
            for frame, time in _timed(path, container, stream):
                count += 1
                yield _picture(frame, shape, size, channels), time
            _check_whole(path, container, stream, count, time)
    except (av.error.FFmpegError, OSError) as error:
        raise VideoError(path, f"it cannot be decoded ({error.strerror or error})") from error


def _decode_gif(path: Path, size: tuple[int, int] | None, channels: int) -> Iterator[tuple[Picture, float]]:
    if not path.read_bytes()[-64:].rstrip(b"\0").endswith(b";"):
        raise VideoError(path, "it is truncated: it has no end mark")
    frames = gif_frames(path)
    while True:
        try:
            pixels, time = next(frames)
        except StopIteration:
            return
        except DAMAGED as error:
            raise VideoError(path, f"it cannot be decoded ({error})") from error
        yield fit(pixels, size, channels), time


def _timed(path: Path, container: "av.container.InputContainer", stream: Any) -> Iterator[tuple[Any, float]]:
    """Frames with their times, without the rounding to the container's clock (milliseconds in Matroska)."""
    tick = float(stream.time_base)
    rate = float(stream.average_rate or stream.guessed_rate or 0)
    # AVI has no presentation times, and those that FFmpeg derives for B-frames are not monotonic
    by_decoding = "avi" in container.format.name.split(",")
    start, time = None, -math.inf
    for count, frame in enumerate(container.decode(stream)):
        if frame.is_corrupt:
            raise VideoError(path, f"frame {count} is damaged")
        stamp = frame.dts if by_decoding else frame.pts
        if stamp is None and (count == 0 or rate == 0):
            raise VideoError(path, f"frame {count} has no time")
        start = stamp if start is None else start
        now = time + 1 / rate if stamp is None else (stamp - start) * tick
        if 0 < rate < 0.1 / tick and abs(now - round(now * rate) / rate) < tick:
            now = round(now * rate) / rate
        if now <= time:
            raise VideoError(path, f"frame {count} at {now:.6g} s is not after the previous frame at {time:.6g} s")
        time = now
        yield frame, time


def _check_whole(path: Path, container: "av.container.InputContainer", stream: Any, count: int, last: float) -> None:
    if not count:
        raise VideoError(path, "it has no frames")
    # headers count a few frames that are never shown (packed B-frames in AVI), and sound may be longer than the video
    if stream.frames and count < 0.9 * stream.frames - 2:
        raise VideoError(path, f"it ends after {count} of {stream.frames} frames")
    if container.format.name.startswith("matroska") and container.duration:
        length = container.duration / 1e6
        if last < 0.8 * length - 1:
            raise VideoError(path, f"its frames end at {last:.4g} s of {length:.4g} s")


def _picture(frame: Any, shape: float, size: tuple[int, int] | None, channels: int) -> Picture:
    """The frame after rotation, cropping and resizing; `shape` is a pixel's width over its height."""
    quarters = round(frame.rotation / 90) % 4
    transparent = frame.format.name == "pal8" or any(part.is_alpha for part in frame.format.components)
    pixels = on_white(frame.to_ndarray(format="rgba")) if transparent else frame.to_ndarray(format="rgb24")
    pixels = np.rot90(pixels, quarters)
    return fit(pixels, size, channels, 1 / shape if quarters % 2 else shape)


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


def resample(timed_frames: Iterable[tuple[Picture, float]], frame_rate: float | int) -> Iterator[tuple[Picture, float]]:
    """Frames at 0, 1, 2, ... / `frame_rate` seconds up to the last one's time: each the nearest in time."""
    if not frame_rate > 0:
        raise UserError(f"frame_rate must be positive; got {frame_rate}.")
    number = 0
    before: tuple[Picture, float] | None = None
    for picture, time in timed_frames:
        while before is not None and number / frame_rate < (before[1] + time) / 2 - 1e-9:
            yield before[0], number / frame_rate
            number += 1
        before = (picture, time)
    while before is not None and number / frame_rate <= before[1] + 1e-9:
        yield before[0], number / frame_rate
        number += 1


def _write_mp4(path: Path, pictures: UInt8[np.ndarray, "time height width 3"], frame_rate: float | int) -> float:
    import av

    rate = Fraction(frame_rate).limit_denominator(1001)
    height, width = pictures.shape[1:3]
    pictures = np.pad(pictures, ((0, 0), (0, height % 2), (0, width % 2), (0, 0)), mode="edge")
    with av.open(str(path), "w", options={"movflags": "+faststart"}) as container:
        stream = container.add_stream("libx264", rate=rate, options={"crf": "12", "preset": "medium"})
        stream.width, stream.height, stream.pix_fmt = width + width % 2, height + height % 2, "yuv420p"
        for index, picture in enumerate(pictures):
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame.pts, frame.time_base = index, 1 / rate
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return float(rate)


def _write_gif(path: Path, pictures: UInt8[np.ndarray, "time height width 3"], frame_rate: float | int) -> float:
    import av

    step = math.ceil(frame_rate / (GIF_TICK / 2) - 1e-9)
    pictures, rate = pictures[::step], frame_rate / step
    height, width = pictures.shape[1:3]
    tick = Fraction(1, GIF_TICK)
    graph = av.filter.Graph()
    source = graph.add_buffer(width=width, height=height, format=av.VideoFormat("rgb24"), time_base=tick)
    split, palette = graph.add("split"), graph.add("palettegen", "stats_mode=full")
    use, sink = graph.add("paletteuse", "dither=sierra2_4a:diff_mode=rectangle"), graph.add("buffersink")
    source.link_to(split)
    split.link_to(use, 0, 0)
    split.link_to(palette, 1, 0)
    palette.link_to(use, 0, 1)
    use.link_to(sink)
    graph.configure()
    ticks = [round(GIF_TICK * index / rate) for index in range(len(pictures) + 1)]
    last_delay = ticks[-1] - ticks[-2]
    with closing(av.open(str(path), "w", options={"loop": "0", "final_delay": str(last_delay)})) as container:
        stream = container.add_stream("gif", rate=GIF_TICK)
        stream.width, stream.height, stream.pix_fmt = width, height, "pal8"
        stream.time_base = stream.codec_context.time_base = tick
        for picture, time in zip(pictures, ticks, strict=False):
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame.pts, frame.time_base = time, tick
            source.push(frame)
        source.push(None)
        for _ in pictures:
            container.mux(stream.encode(cast(av.VideoFrame, sink.pull())))
        container.mux(stream.encode(None))
    return rate
