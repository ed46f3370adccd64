"""`benchmarks inspect`: data as a model gets them: contact sheet, GIF with keypoints and times, amount of motion."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from benchmarks.config.build import data_named
from benchmarks.utils.errors import UserError
from datamodules.files import atomic_path

if TYPE_CHECKING:
    import numpy as np
    from jaxtyping import Float32, Float64, UInt8
    from PIL.Image import Image

    from datamodules.base.module import ClipDataModule
    from datamodules.clip import Batch

_CAPTION = 14
_COLOURS = ((255, 80, 80), (80, 220, 80), (90, 150, 255), (255, 210, 60), (230, 100, 255), (70, 230, 230))


class Preview(NamedTuple):
    """A clip for display."""

    frames: "UInt8[np.ndarray, 'time height width 3']"
    """Enlarged, with keypoints; missing frames are grey."""
    times: "Float64[np.ndarray, ' time']"


class Movement(NamedTuple):
    """The amount of motion, as MODE-GAN's Fig. 13 compares its data sets."""

    pixels: float
    """The mean absolute difference of adjacent frames, in 1/255 of the range, per frame."""
    per_second: float
    """The same per second."""
    joints: float | None
    """The mean displacement of a joint from frame to frame, in pixels; None without keypoints."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of the command."""
    parser.add_argument(
        "data",
        nargs="+",
        help="data .yaml files, their names in configs/data, or folders of videos; several are compared",
    )
    parser.add_argument("--split", default="train", choices=("train", "val", "test"))
    parser.add_argument("--clips", type=int, default=4, help="number of clips shown (default: 4)")
    parser.add_argument("--frames", type=int, default=8, help="frames of each clip on the sheet (default: 8)")
    parser.add_argument("--out", type=Path, default=Path("runs/inspect"), help="folder for the pictures")
    parser.add_argument(
        "--set", dest="options", action="append", default=[], metavar="NAME=VALUE", help="a setting of the data"
    )


def main(args: argparse.Namespace) -> int:
    """Write the sheets; print their paths and the amount of motion."""
    if min(args.clips, args.frames) < 1:
        raise UserError(f"--clips and --frames must be at least 1; got {args.clips} and {args.frames}.")
    lines: list[tuple[str, Preview, Movement]] = []
    for name in args.data:
        data = data_named(name, args.options)
        try:
            data.prepare_data()
            batch = first_batch(data, args.split, args.clips)
        except OSError as error:
            raise UserError(str(error)) from error
        clips, moved = previews(batch), movement(batch)
        label = Path(name).stem
        sheet, film = args.out / f"{label}-{args.split}.png", args.out / f"{label}-{args.split}.gif"
        _save(contact_sheet(clips, args.frames), sheet)
        write_gif(clips, film)
        lines.append((label, clips[0], moved))
        way = "" if moved.joints is None else f", joints {moved.joints:.2f} px"
        print(
            f"{sheet}  {film}\n  movement: {moved.pixels:.2f} of 255 per frame, {moved.per_second:.1f} per second{way}"
        )
    if len(lines) > 1:
        _save(compared(lines, args.frames), args.out / "movement.png")
        print(args.out / "movement.png")
    return 0


def first_batch(data: "ClipDataModule", split: str, clips: int) -> "Batch":
    """The first clips of a split as training or evaluation gets them: sampled, scaled, augmented in training."""
    from datamodules.clip import Trajectory

    data.setup()
    loader = {"train": data.train_dataloader, "val": data.val_dataloader, "test": data.test_dataloader}[split]
    data.batch_size = min(clips, data.batch_size)
    data.eval_batch_size = clips
    batch = next(iter(loader()))
    batch = data.on_after_batch_transfer(batch, 0)
    if isinstance(batch.clip, Trajectory) or not batch.clip.frames.shape[2]:
        raise UserError(f"{data.name} has no pictures to show.")
    if split == "train" and data.augmentation is not None:
        batch = data.augmentation(batch, seed=data.train_seed, epoch=0, joint_pairs=data.joint_pairs)
    return batch


def previews(batch: "Batch") -> list[Preview]:
    """The clips enlarged to at least 96 pixels, with dots on the joints; missing frames and pixels are grey."""
    import numpy as np
    from PIL import Image, ImageDraw

    from benchmarks.utils.pixels import to_pixels
    from datamodules.clip import KeypointClip

    frames = batch.clip.frames  # type: ignore[union-attr]
    pixels = to_pixels(frames).numpy().transpose(0, 1, 3, 4, 2)
    if pixels.shape[-1] == 2:  # such as two wind components: red and green
        pixels = np.concatenate([pixels, np.zeros_like(pixels[..., :1])], axis=-1)
    pixels = np.broadcast_to(pixels, (*pixels.shape[:-1], 3)).copy()
    if batch.valid is not None:
        pixels[~batch.valid[:, :, 0].numpy()] = 128
    pixels[~batch.present.numpy()] = 128
    height, width = pixels.shape[2:4]
    scale = max(1, -(-96 // min(height, width)))
    clips = []
    for number, clip in enumerate(pixels):
        large = clip.repeat(scale, axis=1).repeat(scale, axis=2)
        if isinstance(batch.clip, KeypointClip):
            joints = _pixels(batch.clip.keypoints[number].numpy(), (height, width))
            confidence = batch.clip.confidence[number].numpy()
            for frame in range(len(large)):
                picture = Image.fromarray(large[frame])
                draw = ImageDraw.Draw(picture)
                for joint, (x, y) in enumerate((joints[frame] + 0.5) * scale):
                    colour = _COLOURS[joint % len(_COLOURS)]
                    box = (x - 2, y - 2, x + 2, y + 2)
                    draw.ellipse(box, fill=colour if confidence[frame, joint] >= 0.2 else None, outline=colour)
                large[frame] = np.asarray(picture)
        clips.append(Preview(large, batch.clip.times[number].double().numpy()))
    return clips


def movement(batch: "Batch") -> Movement:
    """The mean change from one present frame to the next, over the pixels and clips of a batch."""
    from datamodules.clip import KeypointClip

    clip = batch.clip
    both = batch.present[:, 1:] & batch.present[:, :-1]
    frames = clip.frames.float()  # type: ignore[union-attr]
    changes = frames.diff(dim=1).abs().mean((2, 3, 4)) * 127.5
    if not both.any():
        return Movement(0.0, 0.0, None)
    steps = clip.times.diff(dim=1)
    joints = None
    if isinstance(clip, KeypointClip):
        size = clip.frames.new_tensor([clip.frames.shape[-1] - 1, clip.frames.shape[-2] - 1]) / 2
        joints = float((clip.keypoints.diff(dim=1) * size).norm(dim=-1).mean(-1)[both].mean())
    return Movement(float(changes[both].mean()), float((changes / steps)[both].mean()), joints)


def contact_sheet(clips: list[Preview], frames: int) -> "Image":
    """One row per clip: `frames` of its frames, evenly spaced, with their times."""
    return _rows([(clip, "") for clip in clips], frames, spread=True)


def compared(lines: list[tuple[str, Preview, Movement]], frames: int) -> "Image":
    """As Fig. 13: the first frames of a clip of each data set in order, with the amount of motion."""
    words = [(clip, f"{name}: {moved.pixels:.2f} of 255 per frame") for name, clip, moved in lines]
    return _rows(words, frames, spread=False)


def write_gif(clips: list[Preview], path: Path) -> None:
    """The clips side by side, in real time (at least one frame per second), with their times."""
    import numpy as np

    from datamodules.storage.video_writer import write_video

    pictures = []
    for number in range(len(clips[0].times)):
        row = [_captioned(clip.frames[number], f"{clip.times[number]:.3g} s") for clip in clips]
        pictures.append(np.concatenate([np.asarray(picture) for picture in row], axis=1))
    step = float(np.diff(clips[0].times).mean()) if len(clips[0].times) > 1 else 1.0
    write_video(path, np.stack(pictures).transpose(0, 3, 1, 2), max(1.0, 1 / step))


def _rows(lines: list[tuple[Preview, str]], frames: int, *, spread: bool) -> "Image":
    import numpy as np
    from PIL import Image

    rows = []
    for clip, words in lines:
        count = min(frames, len(clip.times))
        chosen = np.linspace(0, len(clip.times) - 1, count).round().astype(int) if spread else np.arange(count)
        captions = [f"{clip.times[number]:.3g} s" for number in chosen]
        row = np.concatenate(
            [_captioned(clip.frames[number], words) for number, words in zip(chosen, captions, strict=True)], axis=1
        )
        rows.append(row if not words else np.concatenate([_words(words, row.shape[1]), row], axis=0))
    width = max(row.shape[1] for row in rows)
    padded = [np.pad(row, ((0, 2), (0, width - row.shape[1]), (0, 0)), constant_values=255) for row in rows]
    return Image.fromarray(np.concatenate(padded))


def _captioned(frame: "UInt8[np.ndarray, 'height width 3']", words: str) -> "UInt8[np.ndarray, 'tall width 3']":
    import numpy as np

    framed = np.pad(frame, ((1, 0), (0, 1), (0, 0)), constant_values=255)
    return np.concatenate([framed, _words(words, framed.shape[1])])


def _words(words: str, width: int) -> "UInt8[np.ndarray, 'tall width 3']":
    import numpy as np
    from PIL import Image, ImageDraw

    picture = Image.new("RGB", (width, _CAPTION), (255, 255, 255))
    ImageDraw.Draw(picture).text((2, 1), words, fill=(0, 0, 0))
    return np.array(picture)


def _pixels(
    keypoints: "Float32[np.ndarray, 'time joint 2']", size: tuple[int, int]
) -> "Float32[np.ndarray, 'time joint 2']":
    """Pixel indices of coordinates in [-1, 1]."""
    import numpy as np

    height, width = size
    return ((keypoints + 1) / 2 * np.array([width - 1, height - 1])).astype(np.float32)


def _save(picture: "Image", path: Path) -> None:
    with atomic_path(path) as temporary:
        picture.save(temporary, format="PNG")
