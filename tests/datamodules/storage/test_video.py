import math
import struct
from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from datamodules.storage.container import VideoError
from datamodules.storage.video import Shown, read_video, resample
from datamodules.storage.video_writer import write_video


def pictures(count: int = 12, height: int = 48, width: int = 64, channels: int = 3) -> np.ndarray:
    """A smooth ground and a soft blob that moves, so that compression has nothing to lose."""
    y, x = np.mgrid[:height, :width]
    frames = []
    for t in range(count):
        blob = np.exp(-((x - width * (t + 1) / (count + 2)) ** 2 + (y - height / 2) ** 2) / 60)
        frames.append(np.stack([60 + 150 * blob, 40 + 2 * y, 200 - 2 * x])[:channels])
    return np.array(frames).clip(0, 255).astype(np.uint8)


@pytest.mark.parametrize("rate", [25.0, 30000 / 1001, 12.5])
def test_an_mp4_comes_back_as_it_was(tmp_path: Path, rate: float) -> None:
    frames = pictures()
    assert_allclose(write_video(tmp_path / "a.mp4", frames, rate), rate)
    video = read_video(tmp_path / "a.mp4")
    assert_allclose(video.times, np.arange(12) / rate, atol=1e-6)
    assert np.abs(video.frames.astype(int) - frames).mean() < 2
    assert_allclose(video.frames.mean(axis=(0, 2, 3)), frames.mean(axis=(0, 2, 3)), atol=2)  # no colour cast
    assert [path.name for path in tmp_path.iterdir()] == ["a.mp4"]


def test_an_mp4_plays_anywhere(tmp_path: Path) -> None:
    import av

    write_video(tmp_path / "a.mp4", pictures(height=33, width=47), 25)
    with av.open(str(tmp_path / "a.mp4")) as container:
        codec = container.streams.video[0].codec_context
        assert (codec.name, codec.pix_fmt, codec.width, codec.height) == ("h264", "yuv420p", 48, 34)
    box = (tmp_path / "a.mp4").read_bytes()
    assert box.index(b"moov") < box.index(b"mdat")  # plays while it loads
    assert (
        np.abs(read_video(tmp_path / "a.mp4").frames[..., :33, :47].astype(int) - pictures(height=33, width=47)).mean()
        < 3
    )


@pytest.mark.parametrize("channels", [1, 3])
def test_a_gif_comes_back_as_it_was(tmp_path: Path, channels: int) -> None:
    frames = pictures(height=33, width=47, channels=channels)
    assert write_video(tmp_path / "a.gif", frames, 20) == 20
    video = read_video(tmp_path / "a.gif", channels=channels)
    assert_allclose(video.times, np.arange(12) / 20, atol=1e-9)
    assert video.frames.shape == frames.shape
    assert np.abs(video.frames.astype(int) - frames).mean() < 4


@pytest.mark.parametrize(
    ("asked", "written", "count"), [(30, 30, 12), (50, 50, 12), (80, 40, 6), (120, 40, 4), (7, 7, 12)]
)
def test_time_runs_in_a_gif_as_it_did(tmp_path: Path, asked: float, written: float, count: int) -> None:
    frames = pictures()
    assert write_video(tmp_path / "a.gif", frames, asked) == written
    video = read_video(tmp_path / "a.gif")
    assert len(video.times) == count
    assert_allclose(video.times, np.arange(count) / written, atol=0.0051)  # half a tick
    assert np.diff(video.times).min() > 0.0199  # viewers slow down what is faster
    assert np.abs(video.frames.astype(int) - frames[:: round(asked / written)]).mean() < 4


@pytest.mark.parametrize("suffix", [".mp4", ".gif"])
def test_a_single_frame_can_be_written(tmp_path: Path, suffix: str) -> None:
    write_video(tmp_path / f"a{suffix}", pictures(count=1), 10)
    assert read_video(tmp_path / f"a{suffix}").frames.shape == (1, 3, 48, 64)


def test_what_cannot_be_written_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"as \.mp4 or \.gif; got 'a\.avi'"):
        write_video(tmp_path / "a.avi", pictures(), 25)
    with pytest.raises(ValueError, match="1 or 3"):
        write_video(tmp_path / "a.mp4", pictures(channels=2), 25)
    with pytest.raises(ValueError, match="positive"):
        write_video(tmp_path / "a.mp4", pictures(), float("nan"))
    assert not list(tmp_path.iterdir())


def test_a_picture_is_cut_about_its_centre_and_resized_once(tmp_path: Path) -> None:
    frames = np.zeros((2, 3, 64, 128), dtype=np.uint8)
    frames[..., 32:96] = 200  # the middle square
    write_video(tmp_path / "a.mp4", frames, 10)
    small = read_video(tmp_path / "a.mp4", size=(16, 16)).frames
    assert small.shape == (2, 3, 16, 16)
    assert_allclose(small[..., 1:-1].astype(float), 200, atol=4)
    fine = np.zeros((2, 3, 64, 64), dtype=np.uint8)
    fine[..., (np.arange(64) + 1) // 2 % 2 == 0] = (
        255  # stripes finer than the small picture can show become their mean, not a moiré
    )
    write_video(tmp_path / "b.mp4", fine, 10)
    assert_allclose(read_video(tmp_path / "b.mp4", size=(8, 8), channels=1).frames.astype(float), 127, atol=8)


def test_rotation_that_the_file_declares_is_obeyed(tmp_path: Path) -> None:
    frames = np.zeros((3, 3, 32, 64), dtype=np.uint8)
    frames[:, 0, :16, :32] = 255
    write_video(tmp_path / "a.mp4", frames, 10)
    data = bytearray((tmp_path / "a.mp4").read_bytes())
    matrix = data.index(b"tkhd") + 44
    data[matrix : matrix + 36] = struct.pack(">9i", 0, 1 << 16, 0, -(1 << 16), 0, 0, 32 << 16, 0, 1 << 30)  # clockwise
    (tmp_path / "a.mp4").write_bytes(data)
    turned = read_video(tmp_path / "a.mp4").frames
    assert turned.shape == (3, 3, 64, 32)
    assert turned[:, 0, 4:28, 20:28].mean() > 230  # upper left has become upper right
    assert turned[:, 0, :, 4:12].mean() < 10


def test_a_varying_frame_rate_keeps_its_true_times(tmp_path: Path) -> None:
    import av

    stamps = [0, 40, 80, 200, 210, 400]
    with av.open(str(tmp_path / "a.mkv"), "w") as container:
        stream = container.add_stream("libx264", rate=1000)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for stamp, picture in zip(stamps, pictures(6), strict=True):
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture.transpose(1, 2, 0)), format="rgb24")
            frame.pts = stamp
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    video = read_video(tmp_path / "a.mkv")
    assert_allclose(video.times, np.array(stamps) / 1000, atol=1e-9)
    regular = read_video(tmp_path / "a.mkv", frame_rate=20)
    assert_allclose(regular.times, np.arange(9) / 20)
    on_screen = [int((video.times <= time + 1e-6).sum()) - 1 for time in regular.times]
    assert_array_equal(regular.frames, video.frames[on_screen])


@pytest.mark.parametrize("rate", [10.0, 12.5, 24.0, 25.0, 50.0])
def test_resampling_takes_the_picture_on_the_screen(rate: float) -> None:
    pictures = [Shown(np.full((1, 1, 1), index, dtype=np.uint8), index / 25, (index + 1) / 25) for index in range(20)]
    ours = list(resample(iter(pictures), rate))
    assert len(ours) == math.ceil(20 / 25 * rate - 0.02)
    assert_allclose([time for _, time in ours], np.arange(len(ours)) / rate)
    assert [picture.item() for picture, _ in ours] == [int(time * 25 + 0.02) for _, time in ours]


def test_a_picture_that_is_held_is_shown_until_the_next_one_comes_and_the_last_until_it_is_over() -> None:
    held = [
        Shown(np.full((1, 1, 1), index, dtype=np.uint8), time, end)
        for index, (time, end) in enumerate([(0, 0.2), (0.2, 9), (9, 11.5)])
    ]
    assert [picture.item() for picture, _ in resample(held, 1)] == [0, *[1] * 8, *[2] * 3]


@pytest.mark.parametrize(("own", "asked"), [(30000 / 1001, 29.97), (24000 / 1001, 23.98), (60, 60), (15, 15)])
def test_nearly_the_same_rate_repeats_and_drops_nothing(own: float, asked: float) -> None:
    """Times that a file rounds to its unit, thousandths (Matroska) or hundredths (GIF), are the same."""
    for tick in (0, 0.001, 0.01 if own == 15 else 0.001):
        times = [round(index / own / tick) * tick if tick else index / own for index in range(41)]
        pictures = [
            Shown(np.full((1, 1, 1), index, dtype=np.uint8), times[index], times[index + 1], tick)
            for index in range(40)
        ]
        assert [picture.item() for picture, _ in resample(pictures, asked)] == list(range(40))


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("empty.mp4", b"", "cannot be decoded"),
        ("text.avi", b"this is no video", "cannot be decoded"),
        ("text.gif", b"GIF89a", "cannot be decoded|no video|no frames|no end mark"),
    ],
)
def test_a_broken_file_is_named_with_the_reason(tmp_path: Path, name: str, content: bytes, reason: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(VideoError, match=f"{name}: .*({reason})"):
        read_video(tmp_path / name)
    with pytest.raises(VideoError, match="No such file"):
        read_video(tmp_path / "nowhere.mp4")


@pytest.mark.parametrize("suffix", [".mp4", ".gif"])
def test_a_file_that_was_cut_off_is_not_taken_for_whole(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a{suffix}"
    rng = np.random.default_rng(0)
    write_video(path, rng.integers(0, 255, (40, 3, 64, 64), dtype=np.uint8), 25)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(VideoError, match=f"a{suffix}: "):
        read_video(path)


def test_a_damaged_picture_is_not_passed_on(tmp_path: Path) -> None:
    import av

    with av.open(str(tmp_path / "a.avi"), "w") as container:
        stream = container.add_stream("mpeg4", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for picture in np.random.default_rng(0).integers(0, 255, (30, 48, 64, 3), dtype=np.uint8):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode(None))
    path = tmp_path / "a.avi"
    assert len(read_video(path).times) == 30
    data = bytearray(path.read_bytes())
    data[len(data) // 2 : len(data) // 2 + 400] = bytes(range(200)) * 2
    path.write_bytes(data)
    with pytest.raises(VideoError, match=r"a\.avi: frame \d+ is damaged"):
        read_video(path)


def test_sound_alone_is_no_video(tmp_path: Path) -> None:
    import wave

    with wave.open(str(tmp_path / "a.wav"), "wb") as sound:
        sound.setparams((1, 2, 8000, 0, "NONE", ""))
        sound.writeframes(bytes(1600))
    with pytest.raises(VideoError, match="no video stream"):
        read_video(tmp_path / "a.wav")


REAL = {
    "bikes.mp4": (250, 25.0, 640 / 272),
    "v_SoccerJuggling_g23_c01.avi": (240, 30000 / 1001, 320 / 240),
    "RATRACE_wave_f_nm_np1_fr_goo_37.avi": (72, 30.0, 560 / 240),
    "hmdb51_Turnk_r_Pippi_Michel_cartwheel_f_cm_np2_le_med_6.avi": (83, 30.0, 320 / 240),
    "flipping_a_pancake.mkv": (310, 30.0, 426 / 240),
    "v_CricketShot_g04_c01_rgb.gif": (79, 25.0, 1.0),
    "carphone_pristine.mp4": (120, 30000 / 1001, 176 / 144),
}


@pytest.mark.parametrize("name", REAL)
def test_real_video_in_four_containers(shared: Path, name: str) -> None:
    count, rate, _ = REAL[name]
    video = read_video(shared / "data" / "clips" / name, size=(32, 32))
    assert video.frames.shape == (count, 3, 32, 32)
    # the AVI files with B-frames have garbled presentation times, Matroska's are rounded to milliseconds
    assert_allclose(video.times, np.arange(count) / rate, atol=1e-6)
    assert video.frames.std() > 20
    motion = np.abs(np.diff(video.frames.astype(int), axis=0)).mean(axis=(1, 2, 3))
    shuffled = np.abs(np.diff(video.frames[::7].astype(int), axis=0)).mean()
    assert motion.mean() < shuffled  # frames are in order
