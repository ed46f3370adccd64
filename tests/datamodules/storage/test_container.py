"""What is read of a file is what players show: each kind of file that cameras, phones, browsers and editors write."""

import struct
from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from datamodules.storage.container import VideoError
from datamodules.storage.video import read_video
from datamodules.storage.video_writer import write_video


def greys(count: int) -> list[np.ndarray]:
    """Frame i, of at most 23, is grey 10 i + 20."""
    return [np.full((48, 64, 3), 10 * index + 20, dtype=np.uint8) for index in range(count)]


def order(frames: np.ndarray) -> list[int]:
    """Which of `greys` each frame is."""
    return [round((float(frame.mean()) - 20) / 10) for frame in frames]


def film(path: Path, stamps: Sequence[int], *, clock: int = 1000, rate: int = 25, sound: float = 0) -> Path:
    """Greys at `stamps` (in 1/`clock` s) as H.264 or, in AVI, MPEG-4; with `sound` seconds of silence from 0 on."""
    import av

    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4" if path.suffix == ".avi" else "libx264", rate=rate)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        stream.bit_rate = 8_000_000
        stream.codec_context.time_base = stream.time_base = Fraction(1, clock)
        if sound:
            voice = container.add_stream("pcm_s16le", rate=8000, layout="mono")
            silence = av.AudioFrame.from_ndarray(np.zeros((1, round(8000 * sound)), dtype=np.int16), layout="mono")
            silence.rate, silence.pts = 8000, 0
            container.mux(voice.encode(silence))
        for stamp, pixels in zip(stamps, greys(len(stamps)), strict=True):
            frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
            frame.pts, frame.time_base = stamp, Fraction(1, clock)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def cut_without_encoding(source: Path, path: Path, first: int) -> Path:
    """As `ffmpeg -ss ... -c copy`: the frames before `first` are stored, since later ones need them, and hidden."""
    import av

    with av.open(str(source)) as old, av.open(str(path), "w", options={"avoid_negative_ts": "disabled"}) as new:
        stream = old.streams.video[0]
        copy = new.add_stream_from_template(stream)
        for packet in old.demux(stream):
            if packet.dts is not None and packet.pts is not None:
                shift = round(first / stream.average_rate / stream.time_base)  # type: ignore[operator]
                packet.pts, packet.dts, packet.stream = packet.pts - shift, packet.dts - shift, copy
                new.mux(packet)
    return path


def test_an_edit_list_hides_what_a_lossless_cut_left_in_the_file(tmp_path: Path) -> None:
    whole = film(tmp_path / "whole.mp4", [40 * index for index in range(22)])
    video = read_video(cut_without_encoding(whole, tmp_path / "cut.mp4", 12))
    assert order(video.frames) == list(range(12, 22))
    assert_allclose(video.times, np.arange(10) / 25, atol=1e-6)


@pytest.mark.parametrize(("sound", "late"), [(10.0, 0), (6.0, 5000)])
def test_sound_may_be_longer_and_pictures_late_in_matroska(tmp_path: Path, sound: float, late: int) -> None:
    video = read_video(film(tmp_path / "a.mkv", [late + 40 * index for index in range(12)], sound=sound))
    assert order(video.frames) == list(range(12))
    assert_allclose(video.times, np.arange(12) / 25, atol=1e-6)


def test_matroska_that_was_cut_off_is_refused_with_sound_and_without(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    write_video(tmp_path / "a.mp4", rng.integers(0, 255, (100, 3, 64, 64), dtype=np.uint8), 10)
    import av

    with av.open(str(tmp_path / "a.mp4")) as old, av.open(str(tmp_path / "a.mkv"), "w") as new:
        copy = new.add_stream_from_template(old.streams.video[0])
        for packet in old.demux(video=0):
            if packet.dts is not None:
                packet.stream = copy
                new.mux(packet)
    data = (tmp_path / "a.mkv").read_bytes()
    (tmp_path / "a.mkv").write_bytes(data[: len(data) // 2])
    with pytest.raises(VideoError, match=r"a\.mkv: .*(end at|damaged)"):
        read_video(tmp_path / "a.mkv")


def test_frames_a_millisecond_apart_keep_rising_times(tmp_path: Path) -> None:
    stamps = [0, 33, 34, 67, 100, 133, 167, 200, 233, 234, 267, 300]
    video = read_video(film(tmp_path / "a.mkv", stamps, rate=30))
    assert_allclose(video.times, np.array(stamps) / 1000, atol=1e-3)
    assert np.diff(video.times).min() > 0
    assert order(video.frames) == list(range(12))


def test_frames_that_a_camera_dropped_are_gaps_in_time(tmp_path: Path) -> None:
    stamps = [0, 1, 2, 20, 21, 40, 41, 42]
    video = read_video(film(tmp_path / "a.avi", stamps, clock=25))
    assert_allclose(video.times, np.array(stamps) / 25, atol=1e-6)
    assert order(video.frames) == list(range(8))


def test_a_colon_in_a_name_is_no_protocol(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    film(tmp_path / "a.mp4", [0, 40, 80]).rename(tmp_path / "12:30.mp4")
    monkeypatch.chdir(tmp_path)
    assert order(read_video("12:30.mp4").frames) == [0, 1, 2]


def test_a_cover_is_no_film(tmp_path: Path) -> None:
    import av
    from av.stream import Disposition

    def write(path: Path, moving: bool) -> Path:
        with av.open(str(path), "w") as container:
            cover = container.add_stream("mjpeg", rate=1)
            cover.width, cover.height, cover.pix_fmt = 64, 48, "yuvj420p"
            cover.disposition = Disposition.attached_pic
            streams = [(cover, [np.full((48, 64, 3), 250, dtype=np.uint8)])]
            if moving:
                stream = container.add_stream("libx264", rate=25)
                stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
                streams.append((stream, greys(5)))
            else:
                voice = container.add_stream("aac", rate=8000, layout="mono")
                silence = av.AudioFrame.from_ndarray(np.zeros((1, 1024), dtype=np.float32), "fltp", "mono")
                silence.rate, silence.pts = 8000, 0
                container.mux([*voice.encode(silence), *voice.encode(None)])
            for stream, pictures in streams:
                for index, pixels in enumerate(pictures):
                    frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
                    frame.pts = index
                    container.mux(stream.encode(frame))
                container.mux(stream.encode(None))
        return path

    assert order(read_video(write(tmp_path / "film.mp4", moving=True)).frames) == list(range(5))
    with pytest.raises(VideoError, match=r"song\.mp4: it has no video stream, only sound and a cover"):
        read_video(write(tmp_path / "song.mp4", moving=False))


ONE = 1 << 16
ORIENTATIONS: dict[str, tuple[tuple[int, int, int, int], Callable[[np.ndarray], np.ndarray]]] = {
    "as it is": ((ONE, 0, 0, ONE), lambda p: p),
    "mirrored left and right": ((-ONE, 0, 0, ONE), lambda p: p[:, ::-1]),
    "mirrored top and bottom": ((ONE, 0, 0, -ONE), lambda p: p[::-1]),
    "turned by 180 degrees": ((-ONE, 0, 0, -ONE), lambda p: p[::-1, ::-1]),
    "turned clockwise": ((0, ONE, -ONE, 0), lambda p: np.rot90(p, -1)),
    "turned counter-clockwise": ((0, -ONE, ONE, 0), lambda p: np.rot90(p)),
    "transposed": ((0, ONE, ONE, 0), lambda p: p.swapaxes(0, 1)),
    "transposed about the other diagonal": ((0, -ONE, -ONE, 0), lambda p: p[::-1, ::-1].swapaxes(0, 1)),
}


@pytest.mark.parametrize("name", ORIENTATIONS)
def test_the_whole_display_matrix_is_obeyed(tmp_path: Path, name: str) -> None:
    (a, b, c, d), seen = ORIENTATIONS[name]
    y, x = np.mgrid[:32, :64]
    picture = np.stack([4 * x, 7 * y, 255 - 2 * x - 2 * y], axis=-1).clip(0, 255).astype(np.uint8)
    write_video(tmp_path / "a.mp4", np.stack([picture.transpose(2, 0, 1)] * 2), 10)
    stored = read_video(tmp_path / "a.mp4").frames[0].transpose(1, 2, 0)
    data = bytearray((tmp_path / "a.mp4").read_bytes())
    matrix = data.index(b"tkhd") + 44
    data[matrix : matrix + 36] = struct.pack(">9i", a, b, 0, c, d, 0, 0, 0, 1 << 30)
    (tmp_path / "a.mp4").write_bytes(data)
    assert_array_equal(read_video(tmp_path / "a.mp4").frames[0].transpose(1, 2, 0), seen(stored))


@pytest.mark.parametrize("full", [False, True])
@pytest.mark.parametrize(("standard", "red", "blue"), [(5, 0.299, 0.114), (1, 0.2126, 0.0722), (9, 0.2627, 0.0593)])
def test_colours_of_each_standard_come_back(tmp_path: Path, standard: int, red: float, blue: float, full: bool) -> None:
    """The standards' own equations make the file, so that no converter is trusted (ITU-R BT.601, BT.709, BT.2020)."""
    import av

    bars = np.array([[r, g, b] for r in (30, 220) for g in (30, 220) for b in (30, 220)], dtype=np.float64)
    light = bars @ [red, 1 - red - blue, blue]
    colour = np.stack([(bars[:, 2] - light) / (2 - 2 * blue), (bars[:, 0] - light) / (2 - 2 * red)], axis=1)
    scale, ground, swing = (1, 0, 1) if full else (219 / 255, 16, 224 / 255)
    planes = [np.kron((ground + scale * light)[None], np.ones((32, 16))), *(
        np.kron((128 + swing * part)[None], np.ones((32, 16))) for part in colour.T
    )]  # fmt: skip
    pixels = np.rint(np.stack(planes)).clip(0, 255).astype(np.uint8)
    with av.open(str(tmp_path / "a.mp4"), "w") as container:
        stream = container.add_stream("libx264", rate=25, options={"qp": "0"})
        stream.width, stream.height, stream.pix_fmt = 128, 32, "yuv444p"
        stream.codec_context.colorspace, stream.codec_context.color_range = standard, 2 if full else 1
        frame = av.VideoFrame.from_ndarray(pixels, format="yuv444p")
        frame.colorspace, frame.color_range = standard, 2 if full else 1
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    found = read_video(tmp_path / "a.mp4").frames[0, :, 16, 8::16].T
    assert np.abs(found - bars).max() <= 2
