"""What all modes of `benchmarks sample` share: parsing of times, files and devices, and writing of the video."""

import argparse
import os
import re
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.utils.errors import UserError

if TYPE_CHECKING:
    from jaxtyping import Float
    from torch import Tensor

    from lightning_modules.system import System


def seconds(text: str) -> float:
    """A duration, `2s`, `500ms` or a plain number, in seconds."""
    duration = signed_seconds(text)
    if duration < 0:
        raise argparse.ArgumentTypeError(f"this time must not be negative; got '{text}'")
    return duration


def signed_seconds(text: str) -> float:
    """A time, which may be negative: `-0.5s`, `200ms` or a plain number, in seconds."""
    match = re.fullmatch(r"(-?)(\d+(?:\.\d*)?|\.\d+)\s*(s|ms|)", text.strip())
    if match is None:
        raise argparse.ArgumentTypeError(f"a time is written 2s, 0.5s or 500ms; got '{text}'")
    return (-1 if match[1] else 1) * float(match[2]) * (0.001 if match[3] == "ms" else 1.0)


OF_CLIPS: dict[str, object] = {"input": None, "predict": None, "clip": 0, "context": None}
OF_GENERATED: dict[str, object] = {"motion_seed": None, "appearance_seed": None, "time_warp": [], "reverse": False}
"""Options of one way to sample only, with their defaults."""


def reject_options(args: argparse.Namespace, options: Mapping[str, object], why: str) -> None:
    """Raise a UserError for the first of these options that was given; `why` completes the sentence."""
    for option, left_out in options.items():
        if getattr(args, option) != left_out:
            raise UserError(f"--{option.replace('_', '-')} {why}. Leave one out.")


def loaded(checkpoint: str, trust: Sequence[str]) -> "System":
    """The system of a checkpoint.

    Raises:
        UserError: if a trusted package cannot be imported, or the file is no readable checkpoint.
    """
    from lightning_modules.checkpoints.build import load

    for package in trust:
        if find_spec(package.partition(".")[0]) is None:
            raise UserError(f"--trust names packages that can be imported here; '{package}' is none.")
    return load(checkpoint, trust=trust)


def writable(name: str) -> Path:
    """The output file, checked before anything is generated.

    Raises:
        UserError: if the ending is unknown or the file cannot be written.
    """
    out = Path(name)
    if out.suffix.lower() not in (".mp4", ".gif") or out.is_dir():
        raise UserError(f"--out must be a file that ends in .mp4 or .gif; got '{name}'.")
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"--out cannot be written: {error}.") from error
    if not os.access(out.parent, os.W_OK) or (out.exists() and not os.access(out, os.W_OK)):
        raise UserError(f"--out cannot be written: there is no permission for '{name}'.")
    return out


def device_of(name: str) -> str:
    """The device of this name; for `auto` the best available."""
    import torch

    if name != "auto":
        here = ["cpu", *["cuda"] * torch.cuda.is_available(), *["mps"] * torch.backends.mps.is_available()]
        if name.partition(":")[0] not in here:
            raise UserError(f"--device {name} is not available; available: {', '.join(here)}.")
        return name
    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"


def write(out: Path, frames: "Float[Tensor, 'time channel height width']", fps: float, scale: int, said: str) -> None:
    """Write the video and print `said`; also print the frame rate if the file format changed it."""
    from benchmarks.utils.pixels import to_pictures
    from datamodules.storage.video_writer import write_video

    written = write_video(out, to_pictures(frames, scale), fps)
    print(f"{out}: {said}")
    if abs(written - fps) > 0.01:
        print(f"A GIF shows at most 50 frames per second; this one has {written:g}. An .mp4 keeps them all.")


def finish(
    args: argparse.Namespace, out: Path, frames: "Float[Tensor, 'time channel height width']", times: Sequence[float],
    fps: float, said: str,
) -> None:  # fmt: skip
    """Write frames that were generated at these times (seconds), played as the options ask: reversed, slower, faster.

    Raises:
        UserError: if a frame has no finite pixels.
    """
    lost = frames.isfinite().flatten(1).all(dim=1).logical_not().nonzero().flatten().tolist()
    if lost:
        raise UserError(
            f"The frame at {times[lost[0]]:.2f} s has pixels that are not finite (NaN): the time is too far from those "
            "of the training. Use a shorter --length or a later --start."
        )
    frames = frames.flip(0) if args.reverse else frames
    span = f"{frames_in_words(len(frames))}, from {times[0]:.2f} s to {times[-1]:.2f} s"
    write(out, frames, fps * args.playback_speed, args.scale, f"{span} {said}")
    for warp in args.time_warp:
        print(f"From {warp.start:g} s to {warp.end:g} s the motion is {warp.factor:g} times slower.")
    if args.playback_speed != 1:
        print(f"It plays at {args.playback_speed:g} times the speed, {fps * args.playback_speed:g} frames per second.")


def frames_in_words(count: int) -> str:
    """`1 frame`, `2 frames`."""
    return "1 frame" if count == 1 else f"{count} frames"
