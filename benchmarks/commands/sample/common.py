"""What all ways of `benchmarks sample` share: times and files as a person names them, the device, the video."""

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
    """`2s`, `500ms` or a plain number, in seconds."""
    match = re.fullmatch(r"(\d+(?:\.\d*)?|\.\d+)\s*(s|ms|)", text.strip())
    if match is None:
        raise argparse.ArgumentTypeError(f"a time is written 2s, 0.5s or 500ms, and is not negative; got '{text}'")
    return float(match[1]) * (0.001 if match[2] == "ms" else 1.0)


OF_CLIPS: dict[str, object] = {"input": None, "predict": None, "start": 0.0, "clip": 0, "given": None}
OF_MOTIONS: dict[str, object] = {
    "motion_seed": None, "appearance_seed": None, "slow": [], "before": None, "backwards": False
}  # fmt: skip
"""Options that one way to sample alone knows, and what they are when they are left out."""


def refuse(args: argparse.Namespace, options: Mapping[str, object], why: str) -> None:
    """Say of the first of these options that was given why it must be left out."""
    for option, left_out in options.items():
        if getattr(args, option) != left_out:
            raise UserError(f"--{option.replace('_', '-')} {why}. Leave one out.")


def loaded(checkpoint: str, trust: Sequence[str]) -> "System":
    """The system of a checkpoint, as errors that a person can act on where there is none."""
    from lightning_modules.checkpoints.build import load

    for package in trust:
        if find_spec(package.partition(".")[0]) is None:
            raise UserError(f"--trust names packages that can be imported here; '{package}' is none.")
    try:
        return load(checkpoint, trust=trust)
    except UserError:
        raise
    except OSError as error:
        raise UserError(f"{checkpoint} cannot be read as a checkpoint: {error}. Copy or train it again.") from error


def writable(name: str) -> Path:
    """The file that the result goes to; said before anything is drawn if it cannot."""
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
    """The device of this name, or the best there is for `auto`."""
    import torch

    if name != "auto":
        here = ["cpu", *["cuda"] * torch.cuda.is_available(), *["mps"] * torch.backends.mps.is_available()]
        if name.partition(":")[0] not in here:
            raise UserError(f"--device {name} is not to be had here; there is {', '.join(here)}.")
        return name
    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"


def write(out: Path, frames: "Float[Tensor, 'time channel height width']", fps: float, scale: int, said: str) -> None:
    """Write the video, say `said` of it, and what became of the rate where a GIF cannot keep it."""
    from benchmarks.utils.pixels import to_pictures
    from datamodules.storage.video import write_video

    written = write_video(out, to_pictures(frames, scale), fps)
    print(f"{out}: {said}")
    if abs(written - fps) > 0.01:
        print(f"A GIF shows at most 50 frames per second; this one has {written:g}. An .mp4 keeps them all.")


def finish(
    args: argparse.Namespace, out: Path, frames: "Float[Tensor, 'time channel height width']", times: Sequence[float],
    fps: float, said: str,
) -> None:  # fmt: skip
    """What was drawn from nothing at these seconds, to the file: backwards, slowed, faster, as the options ask.

    Raises:
        UserError: if a frame has no finite pixels.
    """
    lost = frames.isfinite().flatten(1).all(dim=1).logical_not().nonzero().flatten().tolist()
    if lost:
        raise UserError(
            f"At {times[lost[0]]:.2f} s the model's states are beyond all numbers (NaN), so far from what it was "
            "trained on. Ask for a shorter --length, or less --before."
        )
    frames = frames.flip(0) if args.backwards else frames
    span = f"{frames_in_words(len(frames))}, from {times[0]:.2f} s to {times[-1]:.2f} s"
    write(out, frames, fps * args.speed, args.scale, f"{span} {said}")
    for stretch in args.slow:
        print(f"From {stretch.start:g} s to {stretch.end:g} s it is {stretch.factor:g} times as slow.")
    if args.speed != 1:
        print(f"It plays at {args.speed:g} times the speed, {fps * args.speed:g} frames per second.")


def frames_in_words(count: int) -> str:
    """`1 frame`, `2 frames`."""
    return "1 frame" if count == 1 else f"{count} frames"
