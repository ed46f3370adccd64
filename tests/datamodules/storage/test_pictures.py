"""Pictures and GIFs: what is transparent shows white, and a GIF of zero delays plays at ten frames a second."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from PIL import Image

from datamodules.storage.container import VideoError
from datamodules.storage.image_sequences import read_image_sequence
from datamodules.storage.pictures import on_white
from datamodules.storage.video import read_video

Reader = Callable[[Path], np.ndarray]

RGBA = np.zeros((16, 16, 4), dtype=np.uint8)
"""Opaque red on the left; on the right black that is transparent above and half transparent below."""
RGBA[:, :8] = (255, 0, 0, 255)
RGBA[8:, 8:] = (0, 0, 0, 128)


def by_film(path: Path) -> np.ndarray:
    return read_video(path).frames[0]


def by_sequence(path: Path) -> np.ndarray:
    return next(read_image_sequence([path], 25.0, size=(16, 16), channels=3))[0]


def picture(kind: str, path: Path) -> None:
    if kind == "palette":  # colour 0 is transparent
        image = Image.new("P", (16, 16))
        image.putpalette([0, 0, 0, 255, 0, 0])
        image.paste(1, (0, 0, 8, 16))
        image.save(path, transparency=0)
    elif kind == "key colour":
        Image.fromarray(RGBA[..., :3]).save(path, transparency=(0, 0, 0))
    else:
        Image.fromarray(RGBA).save(path)


@pytest.mark.parametrize("read", [by_film, by_sequence])
@pytest.mark.parametrize("kind", ["alpha", "palette", "key colour"])
def test_what_is_transparent_shows_white(tmp_path: Path, read: Reader, kind: str) -> None:
    picture(kind, tmp_path / "a.png")
    pixels = read(tmp_path / "a.png")
    assert_array_equal(pixels[:, 4, 4], (255, 0, 0))
    assert_array_equal(pixels[:, 4, 12], (255, 255, 255))
    if kind == "alpha":
        assert_allclose(pixels[:, 12, 12].astype(float), 255 - 128, atol=1)


def test_grey_with_alpha_shows_white_in_grey(tmp_path: Path) -> None:
    Image.fromarray(RGBA[..., 2:], "LA").save(tmp_path / "a.png")
    assert read_video(tmp_path / "a.png", channels=1).frames[0, 0, 4, 12] == 255


def test_opaque_pixels_do_not_change() -> None:
    colours = np.arange(256, dtype=np.uint8)
    pixels = np.stack([colours, colours[::-1], colours, np.full(256, 255, dtype=np.uint8)], axis=-1)
    assert_array_equal(on_white(pixels), pixels[:, :3])


def gif(path: Path, **settings: Any) -> np.ndarray:
    """Five random pictures as a GIF of one palette each, and the pictures."""
    rng = np.random.default_rng(0)
    colours = rng.integers(0, 255, (5, 16, 16, 3), dtype=np.uint8)
    pages = [Image.fromarray(page) for page in colours]
    pages[0].save(path, save_all=True, append_images=pages[1:], **settings)
    return colours.transpose(0, 3, 1, 2)


@pytest.mark.parametrize(
    ("delays", "times"),
    [
        (None, [0, 0.1, 0.2, 0.3, 0.4]),  # no frame of the file has a graphic control extension
        (0, [0, 0.1, 0.2, 0.3, 0.4]),
        (10, [0, 0.1, 0.2, 0.3, 0.4]),
        (20, [0, 0.02, 0.04, 0.06, 0.08]),
        ([0, 500, 0, 40, 40], [0, 0.1, 0.6, 0.7, 0.74]),
    ],
)
def test_a_gif_plays_as_browsers_play_it(tmp_path: Path, delays: Any, times: list[float]) -> None:
    pictures = gif(tmp_path / "a.gif", **({} if delays is None else {"duration": delays}))
    video = read_video(tmp_path / "a.gif")
    assert_allclose(video.times, times, atol=1e-9)
    assert_array_equal(video.frames, pictures)


def test_a_gif_may_change_a_part_of_the_picture_only(tmp_path: Path) -> None:
    pages = [Image.new("RGBA", (16, 16), (0, 0, 0, 0)) for _ in range(3)]
    for number, page in enumerate(pages):
        page.paste((200, 0, 0, 255), (4 * number, 0, 4 * number + 4, 16))
    pages[0].save(tmp_path / "a.gif", save_all=True, append_images=pages[1:], duration=0, disposal=2)
    frames = read_video(tmp_path / "a.gif").frames
    for number, frame in enumerate(frames):
        seen = np.full((3, 16, 16), 255)
        seen[:, :, 4 * number : 4 * number + 4] = np.array([200, 0, 0])[:, None, None]
        assert_array_equal(frame, seen)


def test_a_damaged_gif_is_named(tmp_path: Path) -> None:
    gif(tmp_path / "a.gif")
    data = (tmp_path / "a.gif").read_bytes()
    for cut in (20, 500, len(data) - 5):
        (tmp_path / "a.gif").write_bytes(data[:cut])
        with pytest.raises(VideoError, match=r"a\.gif: "):
            read_video(tmp_path / "a.gif")


@pytest.mark.parametrize("ending", [b"", b";\0\0\0\0", b";" + b"sent by a server" * 20])
def test_a_gif_is_whole_without_its_end_mark_and_with_more_after_it(tmp_path: Path, ending: bytes) -> None:
    pictures = gif(tmp_path / "a.gif")
    data = (tmp_path / "a.gif").read_bytes()
    assert data.endswith(b";")
    (tmp_path / "a.gif").write_bytes(data[:-1] + ending)
    assert_array_equal(read_video(tmp_path / "a.gif").frames, pictures)


def test_the_last_picture_of_a_gif_is_shown_for_its_own_delay(tmp_path: Path) -> None:
    pictures = gif(tmp_path / "a.gif", duration=[40, 40, 80, 40, 120])
    shown = read_video(tmp_path / "a.gif", frame_rate=25).frames
    assert_array_equal(shown, pictures[[0, 1, 2, 2, 3, 4, 4, 4]])


def test_a_real_gif_has_ffmpegs_pixels(shared: Path) -> None:
    import av

    path = shared / "data" / "clips" / "v_CricketShot_g04_c01_rgb.gif"
    with av.open(str(path)) as container:
        theirs = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    ours = read_video(path)
    assert_array_equal(ours.frames, np.stack(theirs).transpose(0, 3, 1, 2))
    assert_allclose(ours.times, np.arange(len(theirs)) / 25, atol=1e-9)
