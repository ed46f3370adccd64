"""`benchmarks sample`: one command on a person's own clip, to slow it down, raise its frame rate or continue it.

Or on no clip at all: from noise (`generate`), or a MODE-GAN's motion with its appearance (`motion_appearance`).
"""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.commands.sample import generate, inbetween, motion_appearance
from benchmarks.commands.sample.common import (
    OF_MOTIONS,
    device_of,
    frames_in_words,
    loaded,
    refuse,
    seconds,
    writable,
    write,
)
from benchmarks.utils.errors import UserError

if TYPE_CHECKING:
    from torch import Tensor

    from benchmarks.evaluation.capabilities import Interpolates, Predicts
    from datamodules.clip import VideoClip
    from datamodules.storage.video import Video
    from lightning_modules.system import System

_MOST = 100_000
"""The largest frame rate, speed, size and so on that is no slip of the finger."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of the command."""
    parser.add_argument("--checkpoint", help="a .ckpt of a run, or a .safetensors")
    parser.add_argument(
        "--input",
        help="the clip: mp4, mov, mkv, avi, mpg or gif; or a data .yaml, for a test clip of it; left out, a GAN draws "
        "from nothing",
    )
    parser.add_argument("--clip", type=int, default=0, help="which test clip, if --input is a data .yaml (default: 0)")
    parser.add_argument("--out", help="where the result goes: .mp4 or .gif")
    parser.add_argument(
        "--fps", type=float, help="frames per second of the result (default: the clip's own, or those of the training)"
    )
    parser.add_argument("--predict", type=seconds, metavar="TIME", help="continue the clip for so long, 2s or 500ms")
    parser.add_argument("--start", type=seconds, default=0.0, metavar="TIME", help="begin the clip here (default: 0s)")
    parser.add_argument(
        "--length",
        type=seconds,
        metavar="TIME",
        help="use so much of the clip (default: all of it); from nothing: draw so much (default: a clip of the "
        "training where the checkpoint tells, or 1s)",
    )
    parser.add_argument("--given", type=int, help="frames shown at a time (default: as the model was trained)")
    parser.add_argument("--size", type=int, help="shorter side in pixels (default: the clip's, at most 128)")
    parser.add_argument("--speed", type=float, default=1.0, help="play so fast: 0.25 is slow motion (default: 1)")
    parser.add_argument("--scale", type=int, default=1, help="enlarge each pixel to so many, for looking (default: 1)")
    parser.add_argument("--seed", type=int, default=0, help="what a stochastic model draws (default: 0)")
    parser.add_argument("--trust", action="append", default=[], metavar="PACKAGE", help="your own code, if it has any")
    parser.add_argument("--device", default="auto", help="cpu, cuda, mps (default: the best there is)")
    motion_appearance.add_arguments(parser)
    inbetween.add_arguments(parser)


def main(args: argparse.Namespace) -> int:
    """Read the clip, ask the model, write what it answers."""
    import torch

    from benchmarks.evaluation.tasks import Interpolates, Predicts
    from datamodules.storage.video import read_video

    for option in ("fps", "speed", "scale", "given", "size"):
        value = getattr(args, option)
        if value is not None and not 0 < value <= _MOST:
            raise UserError(f"--{option} must be positive, and at most {_MOST:,}; got {value:g}.")
    for option in ("seed", "motion_seed", "appearance_seed"):
        if not -(2**63) <= (getattr(args, option) or 0) < 2**63:
            raise UserError(f"--{option.replace('_', '-')} must fit into 64 bits; got {getattr(args, option)}.")
    if args.out is None:
        raise UserError("Say where the video goes: --out is missing, a file that ends in .mp4 or .gif.")
    if motion_appearance.wanted(args):
        return motion_appearance.main(args)
    if inbetween.wanted(args):
        return inbetween.main(args)
    if generate.wanted(args):
        return generate.main(args)
    refuse(args, OF_MOTIONS, "speaks of a motion drawn from nothing, and --input gives a clip")
    if missing := [f"--{option}" for option in ("checkpoint", "input") if getattr(args, option) is None]:
        raise UserError(
            f"The following arguments are required: {', '.join(missing)}. See `benchmarks sample --help`; to draw from "
            "nothing, give --checkpoint alone, or MODE-GAN's --motion-from and --appearance-from; between pictures, "
            "--inbetween."
        )
    if args.fps is None and args.predict is None:
        raise UserError(
            "Say what is to be drawn: --fps 120 fills in between the clip's frames, --predict 2s continues the clip."
        )
    out = writable(args.out)
    system = loaded(args.checkpoint, args.trust)
    channels = _channels(system)
    from_data = Path(args.input).suffix in (".yaml", ".yml")
    video = _test_clip(args.input, args.clip) if from_data else read_video(args.input, channels=channels)
    verb = Predicts if args.predict is not None else Interpolates
    if not isinstance(system, verb):
        wanted = "continue a clip (--predict)" if verb is Predicts else "fill in between frames (--fps)"
        raise UserError(f"{type(system).__name__} cannot {wanted}: it has no such verb.")
    device = device_of(args.device)
    system = system.to(device)
    clip = _clip(video, args)
    rate = (len(video.times) - 1) / float(video.times[-1]) if len(video.times) > 1 else 25.0
    fps = args.fps or rate
    given = args.given or int(getattr(system, "observe", 5))
    _warn_of_mode(system, verb is Predicts)
    with torch.inference_mode():
        if isinstance(system, Predicts) and args.predict is not None:
            result = continued(system, clip, given, args.predict, fps, args.seed, device)
        else:
            assert isinstance(system, Interpolates)
            result = refined(system, clip, given, fps, args.seed, device)
    moves = f"{(len(result) - 1) / fps:.2f} s of motion at {fps:g} frames per second"
    write(out, result, fps * args.speed, args.scale, f"{frames_in_words(len(result))}, {moves}")
    if args.speed != 1:
        print(f"It plays at {args.speed:g} times the speed, {fps * args.speed:g} frames per second.")
    return 0


def refined(system: "Interpolates", clip: "VideoClip", given: int, fps: float, seed: int, device: "str") -> "Tensor":
    """The clip (T, C, H, W) at another frame rate: `given` frames at a time, the end of one window beginning the next.

    Frames that the clip has are kept; those between are the model's.
    """
    import torch
    from rich.progress import track

    from datamodules.clip import VideoClip

    length = clip.times.shape[1]
    if length < 2 or given < 2:
        raise UserError(f"To fill in between takes at least 2 frames; the clip has {length}, --given is {given}.")
    end = float(clip.times[0, -1])
    asked = torch.arange(int(end * fps + 1e-3) + 1, dtype=torch.float64) / fps
    known = clip.times[0].double()
    tolerance = 0.01 / fps
    answers: dict[int, Tensor] = {}
    starts = range(0, length - 1, given - 1)
    for start in track(starts, description="Drawing", transient=True):
        start = max(min(start, length - given), 0)
        window = slice(start, min(start + given, length))
        first, last = known[window][0], known[window][-1]
        inside = ((asked >= first - tolerance) & (asked <= last + tolerance)).nonzero().flatten().tolist()
        inside = [index for index in inside if index not in answers]
        for index in list(inside):
            gap, place = (known[window] - asked[index]).abs().min(dim=0)
            if gap <= tolerance:
                answers[index] = clip.frames[0, window][place].to(device)
                inside.remove(index)
        if not inside:
            continue
        observed = VideoClip(clip.frames[:, window].to(device), (known[window] - first)[None].float().to(device))
        times = (asked[inside] - first)[None].float().to(device)
        drawn = system.interpolate(observed, times, seeds=torch.tensor([seed], device=device))
        assert isinstance(drawn, VideoClip)
        answers.update(zip(inside, drawn.frames[0].unbind(0), strict=True))
    return torch.stack([answers[index] for index in range(len(asked))])


def continued(
    system: "Predicts", clip: "VideoClip", given: int, duration: float, fps: float, seed: int, device: "str"
) -> "Tensor":
    """The last `given` frames of the clip, then what the model thinks comes after them, for `duration` seconds."""
    import torch

    from datamodules.clip import VideoClip

    if clip.times.shape[1] < given:
        raise UserError(
            f"The model is shown {given} frames and the clip has {clip.times.shape[1]}. Give a longer clip, or fewer "
            "frames with --given."
        )
    count = round(duration * fps)
    if count < 1:
        raise UserError(f"{duration:g} s at {fps:g} frames per second is less than a frame; ask for a longer time.")
    times = clip.times[:, -given:] - clip.times[:, -given][:, None]
    observed = VideoClip(clip.frames[:, -given:].to(device), times.to(device))
    asked = times[:, -1:] + torch.arange(1, count + 1) / fps
    drawn = system.predict(observed, asked.to(device), seeds=torch.tensor([seed], device=device))
    assert isinstance(drawn, VideoClip)
    return torch.cat([observed.frames[0], drawn.frames[0]])


def _clip(video: "Video", args: argparse.Namespace) -> "VideoClip":
    """The chosen part of the video, small enough and of a size that a network can halve, in [-1, 1]."""
    import torch
    from torchvision.transforms.v2.functional import resize

    from benchmarks.utils.pixels import from_pixels
    from datamodules.clip import VideoClip

    times = torch.from_numpy(video.times)
    end = float("inf") if args.length is None else args.start + args.length
    chosen = ((times >= args.start - 1e-6) & (times <= end + 1e-6)).nonzero().flatten()
    if not len(chosen):
        raise UserError(f"The clip is {float(times[-1]):.2f} s long and has no frame from {args.start:g} s on.")
    frames = torch.from_numpy(video.frames)[chosen]
    height, width = frames.shape[-2:]
    short = args.size or min(height, width, 128)
    scale = short / min(height, width)
    size = [max(round(side * scale / 16) * 16, 16) for side in (height, width)]
    if size != [height, width]:
        frames = resize(frames, size, antialias=True)
    times = (times[chosen] - times[chosen[0]]).float()
    return VideoClip(from_pixels(frames.numpy())[None], times[None])


def _test_clip(path: str, index: int) -> "Video":
    """A test clip of the data set that a YAML file describes, with its own times."""
    import numpy as np

    from benchmarks.config.build import build_data, find_data
    from datamodules.storage.video import Video

    data = build_data(find_data(path))
    data.prepare_data()
    source = data.source("test")
    if not 0 <= index < len(source):
        raise UserError(f"--clip must be from 0 to {len(source) - 1}, the test clips of {data.name}; got {index}.")
    times = source.times(index)
    frames = source.read(np.array([index]), np.arange(len(times))[None])[0]
    return Video(frames, times)


def _channels(system: "System") -> int:
    channels = getattr(getattr(system, "generator", None), "channels", 3)
    if channels not in (1, 3):
        raise UserError(f"The model draws fields of {channels} channels, not pictures; a video cannot be its input.")
    return int(channels)


def _warn_of_mode(system: "System", predicts: bool) -> None:
    mode = getattr(system, "mode", None)
    if mode is not None and mode != ("extrapolate" if predicts else "interpolate"):
        print(f"Note: this checkpoint was trained to {mode}; what you ask of it is not what it has learned.")
