"""Video files are written here: MP4 (PyAV, H.264) and GIF."""

import math
import os
from contextlib import closing
from fractions import Fraction
from pathlib import Path
from typing import cast

import numpy as np
from jaxtyping import UInt8

from datamodules.errors import UserError
from datamodules.files import atomic_path
from datamodules.storage.video import Pictures

GIF_TICK = 100
"""A GIF's unit of time is 1/100 s; viewers show frames shorter than two units for ten."""


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
