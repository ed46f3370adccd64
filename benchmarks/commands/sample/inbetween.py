"""`benchmarks sample --inbetween a.png b.png ...`: key frames, two or a whole comic strip, to one video."""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.commands.sample.common import (
    OF_CLIPS,
    OF_GENERATED,
    device_of,
    frames_in_words,
    loaded,
    reject_options,
    seconds,
    writable,
    write,
)
from benchmarks.utils.errors import UserError

if TYPE_CHECKING:
    from jaxtyping import Float
    from torch import Tensor

    from lightning_modules.system import System

GAP = 0.6
"""Seconds between two key frames for a system that knows any time: the paper's 15 steps at 25 frames a second."""
_LARGEST = 128
"""Shorter side for a system that generates any size, if --size is left out."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options for key frames."""
    group = parser.add_argument_group("inbetweening of key frames: give --inbetween, no --input")
    group.add_argument("--inbetween", nargs="+", metavar="PICTURE", help="png or jpg, two or more, in order")
    group.add_argument(
        "--gap",
        type=seconds,
        metavar="TIME",
        help="between two key frames: 2s, 500ms (default: the model's own, or 0.6s)",
    )


def is_requested(args: argparse.Namespace) -> bool:
    """Whether the command asks for a video between key frames."""
    return args.inbetween is not None or args.gap is not None


def main(args: argparse.Namespace) -> int:
    """Read the key frames, generate the frames between them, write."""
    import torch

    for option in ("checkpoint", "inbetween"):
        if getattr(args, option) is None:
            raise UserError(f"Inbetweening needs --checkpoint and --inbetween; --{option} is missing.")
    reject_options(
        args, OF_CLIPS | {"start": 0.0, "length": None}, "needs an input clip, and --inbetween has key frames"
    )
    reject_options(args, OF_GENERATED, "needs unconditional generation, and --inbetween has key frames")
    out, fps = writable(args.out), args.fps or 25.0
    system, device = loaded(args.checkpoint, args.trust), device_of(args.device)
    with torch.inference_mode():
        frames = fill_between(
            system.to(device), args.inbetween, fps=fps, gap=args.gap, size=args.size, seed=args.seed, device=device
        )
    each = (len(frames) - 1) // (len(args.inbetween) - 1) - 1
    said = f"{frames_in_words(len(frames))}, {len(args.inbetween)} given and {each} between each two"
    write(out, frames, fps * args.playback_speed, args.scale, said)
    return 0


def fill_between(
    system: "System",
    pictures: Sequence[str],
    *,
    fps: float,
    gap: float | None,
    size: int | None,
    seed: int,
    device: str,
) -> "Float[Tensor, 'time channel height width']":
    """All frames from the first picture to the last in [-1, 1], each picture in its place as the model sees it.

    Args:
        system: one that can `inbetween`, or `interpolate`.
        pictures: files, in the order of the story.
        fps: frames per second of the video.
        gap: seconds from one key frame to the next; None: as many frames as the system generates, or 0.6 s.
        size: shorter side in pixels; None: the system's own, or the first picture's (at most 128).
        seed: of the noise.
        device: where.

    Raises:
        UserError: if a picture cannot be read or the system cannot generate these frames.
    """
    import torch

    from benchmarks.evaluation.tasks import Inbetweens, Interpolates
    from datamodules.clip import VideoClip

    if not isinstance(system, Inbetweens | Interpolates):
        raise UserError(
            f"{type(system).__name__} cannot generate between key frames (--inbetween): it implements neither "
            "`inbetween` nor `interpolate`."
        )
    steps = _steps(system, fps, gap)
    keys = read_pictures(system, pictures, size).to(device)
    known = torch.arange(keys.shape[1], dtype=torch.float64)[None] * steps / fps
    query_times = torch.arange((keys.shape[1] - 1) * steps + 1, dtype=torch.float64)[None] / fps
    observed, times = VideoClip(keys, known.float().to(device)), query_times.float().to(device)
    seeds = torch.tensor([seed], device=device)
    generate = system.inbetween if isinstance(system, Inbetweens) else system.interpolate
    generated = generate(observed, times, seeds=seeds)
    assert isinstance(generated, VideoClip)
    frames = generated.frames[0].clone()
    frames[::steps] = keys[0]  # a system that interpolates may change the frames it was given
    return frames


def read_pictures(
    system: "System", pictures: Sequence[str], size: int | None = None
) -> "Float[Tensor, '1 key channel height width']":
    """The pictures cut about the centre to one shape, resized and in [-1, 1], as the system wants them."""
    import numpy as np

    from benchmarks.utils.pixels import from_pixels
    from datamodules.storage.video import read_video

    if len(pictures) < 2:
        raise UserError(f"--inbetween takes two pictures or more; got {len(pictures)}.")
    generator = getattr(system, "generator", None)
    channels, own = int(getattr(generator, "channels", 3)), getattr(generator, "size", None)
    if own is not None and size not in (None, own):
        raise UserError(f"--size must be {own}, the only one that this model generates, or left out; got {size}.")
    shape = None if own is None else (int(own), int(own))
    keys = []
    for path in pictures:
        video = read_video(path, size=shape, channels=channels)
        if len(video.times) != 1:
            raise UserError(
                f"A key frame is one picture; {Path(path).name} has {len(video.times)} frames. To slow a clip down, "
                "use --input and --fps."
            )
        if shape is None:
            shape = _shape(video.frames.shape[-2:], size)
            video = read_video(path, size=shape, channels=channels)
        keys.append(video.frames)
    return from_pixels(np.concatenate(keys)[None])


def _steps(system: "System", fps: float, gap: float | None) -> int:
    """Frames from one key frame to the next."""
    from lightning_modules.inbetweening import Inbetweening

    if gap is not None and gap <= 0:
        raise UserError(f"--gap, from one key frame to the next, must be above 0 s; got {gap:g}s.")
    if isinstance(system, Inbetweening):
        steps = system.network.frames - 1
        if gap is not None and abs(gap * fps - steps) > 0.01:
            raise UserError(
                f"This model always generates {steps - 1} frames between two key frames; {gap:g} s at {fps:g} "
                f"frames per second would have {gap * fps:g} steps instead of {steps}. Ask for --fps {steps / gap:g}, "
                "or leave --gap out."
            )
        return steps
    seconds = GAP if gap is None else gap
    steps = round(seconds * fps)
    if steps < 1 or abs(seconds * fps - steps) > 0.01:
        raise UserError(
            f"From one key frame to the next there must be a whole number of frames; {seconds:g} s at {fps:g} frames "
            f"per second are {seconds * fps:g}. Ask for --gap {max(steps, 1) / fps:g}s."
        )
    return steps


def _shape(picture: Sequence[int], size: int | None) -> tuple[int, int]:
    """Height and width of about the picture's shape that a network can halve four times."""
    scale = (size or min(*picture, _LARGEST)) / min(picture)
    height, width = (max(round(side * scale / 16) * 16, 16) for side in picture)
    return height, width
