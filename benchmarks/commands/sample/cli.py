"""`benchmarks sample`: change the frame rate of your own clip, slow it down or continue it with a trained model.

Without a clip: from noise (`generate`), between key frames (`inbetween`), or a MODE-GAN's motion with another's
appearance (`motion_appearance`).
"""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.commands.sample import generate, inbetween, motion_appearance
from benchmarks.commands.sample.common import (
    OF_GENERATED,
    device_of,
    frames_in_words,
    loaded,
    reject_options,
    seconds,
    signed_seconds,
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
"""The largest accepted frame rate, speed, size and scale; anything above is a typing error."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of the command."""
    parser.add_argument("--checkpoint", help="a .ckpt of a run, or a .safetensors")
    parser.add_argument(
        "--input",
        help="the clip: mp4, mov, mkv, avi, mpg or gif; or a data .yaml, for a test clip of it; left out: "
        "unconditional generation",
    )
    parser.add_argument("--clip", type=int, default=0, help="which test clip, if --input is a data .yaml (default: 0)")
    parser.add_argument("--out", help="where the result goes: .mp4 or .gif")
    parser.add_argument(
        "--fps", type=float, help="frames per second of the result (default: the clip's own, or those of the training)"
    )
    parser.add_argument("--predict", type=seconds, metavar="TIME", help="continue the clip for so long, 2s or 500ms")
    parser.add_argument(
        "--start", type=signed_seconds, default=0.0, metavar="TIME",
        help="time of the first frame (default: 0s); without --input it may be negative, -0.5s, for an ODE",
    )  # fmt: skip
    parser.add_argument(
        "--length",
        type=seconds,
        metavar="TIME",
        help="use this much of the clip from --start on (default: all of it); without --input: generate up to this "
        "time (default: the length of a training clip if the checkpoint tells it, else 1s)",
    )
    parser.add_argument("--context", type=int, help="observed frames per window (default: as the model was trained)")
    parser.add_argument("--size", type=int, help="shorter side in pixels (default: the clip's, at most 128)")
    parser.add_argument("--playback-speed", type=float, default=1.0, help="0.25 is slow motion (default: 1)")
    parser.add_argument("--scale", type=int, default=1, help="enlarge each pixel by this factor (default: 1)")
    parser.add_argument("--seed", type=int, default=0, help="of the noise of a stochastic model (default: 0)")
    parser.add_argument("--trust", action="append", default=[], metavar="PACKAGE", help="your own code, if it has any")
    parser.add_argument("--device", default="auto", help="cpu, cuda, mps (default: the best there is)")
    motion_appearance.add_arguments(parser)
    inbetween.add_arguments(parser)


def main(args: argparse.Namespace) -> int:
    """Read the clip, run the model, write its frames."""
    import torch

    from benchmarks.evaluation.tasks import Interpolates, Predicts
    from datamodules.storage.video import read_video

    for option in ("fps", "playback_speed", "scale", "context", "size"):
        value = getattr(args, option)
        if value is not None and not 0 < value <= _MOST:
            raise UserError(f"--{option.replace('_', '-')} must be positive, and at most {_MOST:,}; got {value:g}.")
    for option in ("seed", "motion_seed", "appearance_seed"):
        if not -(2**63) <= (getattr(args, option) or 0) < 2**63:
            raise UserError(f"--{option.replace('_', '-')} must fit into 64 bits; got {getattr(args, option)}.")
    if args.out is None:
        raise UserError("--out is missing: the video's file, which ends in .mp4 or .gif.")
    if motion_appearance.is_requested(args):
        return motion_appearance.main(args)
    if inbetween.is_requested(args):
        return inbetween.main(args)
    if generate.is_requested(args):
        return generate.main(args)
    reject_options(args, OF_GENERATED, "is for unconditional generation, and --input gives a clip")
    if args.start < 0:
        raise UserError(f"With --input, --start must be at least 0s, the clip's first frame; got {args.start:g}s.")
    if missing := [f"--{option}" for option in ("checkpoint", "input") if getattr(args, option) is None]:
        raise UserError(
            f"The following arguments are required: {', '.join(missing)}. See `benchmarks sample --help`. Without a "
            "clip, give --checkpoint alone, or MODE-GAN's --motion-from and --appearance-from; for key frames, "
            "--inbetween."
        )
    if args.fps is None and args.predict is None:
        raise UserError(
            "Give --fps 120 to interpolate between the clip's frames, or --predict 2s to continue the clip."
        )
    out = writable(args.out)
    system = loaded(args.checkpoint, args.trust)
    channels = _channels(system)
    from_data = Path(args.input).suffix in (".yaml", ".yml")
    video = _test_clip(args.input, args.clip) if from_data else read_video(args.input, channels=channels)
    capability = Predicts if args.predict is not None else Interpolates
    if not isinstance(system, capability):
        method, option = ("predict", "--predict") if capability is Predicts else ("interpolate", "--fps")
        raise UserError(
            f"{option} needs a model with the method `{method}`, which {type(system).__name__} does not implement. Use "
            "another checkpoint."
        )
    device = device_of(args.device)
    system = system.to(device)
    clip = _clip(video, args)
    rate = (len(video.times) - 1) / float(video.times[-1]) if len(video.times) > 1 else 25.0
    fps = args.fps or rate
    context = args.context or int(getattr(system, "observe", 5))
    _warn_of_mode(system, capability is Predicts)
    with torch.inference_mode():
        if isinstance(system, Predicts) and args.predict is not None:
            result = continued(system, clip, context, args.predict, fps, args.seed, device)
        else:
            assert isinstance(system, Interpolates)
            result = refined(system, clip, context, fps, args.seed, device)
    moves = f"{(len(result) - 1) / fps:.2f} s of motion at {fps:g} frames per second"
    write(out, result, fps * args.playback_speed, args.scale, f"{frames_in_words(len(result))}, {moves}")
    if args.playback_speed != 1:
        print(f"It plays at {args.playback_speed:g} times the speed, {fps * args.playback_speed:g} frames per second.")
    return 0


def refined(system: "Interpolates", clip: "VideoClip", context: int, fps: float, seed: int, device: "str") -> "Tensor":
    """The clip (T, C, H, W) at another frame rate, in windows of `context` frames; a window begins where one ends.

    Frames that the clip has are kept; those between are the model's.
    """
    import torch
    from rich.progress import track

    from datamodules.clip import VideoClip

    length = clip.times.shape[1]
    if length < 2 or context < 2:
        raise UserError(f"To fill in between takes at least 2 frames; the clip has {length}, --context is {context}.")
    end = float(clip.times[0, -1])
    query_times = torch.arange(int(end * fps + 1e-3) + 1, dtype=torch.float64) / fps
    known = clip.times[0].double()
    tolerance = 0.01 / fps
    frames: dict[int, Tensor] = {}
    starts = range(0, length - 1, context - 1)
    for start in track(starts, description="Generating", transient=True):
        start = max(min(start, length - context), 0)
        window = slice(start, min(start + context, length))
        first, last = known[window][0], known[window][-1]
        inside = ((query_times >= first - tolerance) & (query_times <= last + tolerance)).nonzero().flatten().tolist()
        inside = [index for index in inside if index not in frames]
        for index in list(inside):
            gap, nearest = (known[window] - query_times[index]).abs().min(dim=0)
            if gap <= tolerance:
                frames[index] = clip.frames[0, window][nearest].to(device)
                inside.remove(index)
        if not inside:
            continue
        observed = VideoClip(clip.frames[:, window].to(device), (known[window] - first)[None].float().to(device))
        times = (query_times[inside] - first)[None].float().to(device)
        generated = system.interpolate(observed, times, seeds=torch.tensor([seed], device=device))
        assert isinstance(generated, VideoClip)
        frames.update(zip(inside, generated.frames[0].unbind(0), strict=True))
    return torch.stack([frames[index] for index in range(len(query_times))])


def continued(
    system: "Predicts", clip: "VideoClip", context: int, duration: float, fps: float, seed: int, device: "str"
) -> "Tensor":
    """The last `context` frames of the clip, then the model's prediction of the next `duration` seconds."""
    import torch

    from datamodules.clip import VideoClip

    if clip.times.shape[1] < context:
        raise UserError(
            f"The model is shown {context} frames and the clip has {clip.times.shape[1]}. Give a longer clip, or fewer "
            "frames with --context."
        )
    count = round(duration * fps)
    if count < 1:
        raise UserError(f"{duration:g} s at {fps:g} frames per second is less than one frame; use a longer --predict.")
    times = clip.times[:, -context:] - clip.times[:, -context][:, None]
    observed = VideoClip(clip.frames[:, -context:].to(device), times.to(device))
    query_times = times[:, -1:] + torch.arange(1, count + 1) / fps
    generated = system.predict(observed, query_times.to(device), seeds=torch.tensor([seed], device=device))
    assert isinstance(generated, VideoClip)
    return torch.cat([observed.frames[0], generated.frames[0]])


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
        raise UserError(f"The model has {channels} channels; a video has 1 or 3, so it cannot be the input.")
    return int(channels)


def _warn_of_mode(system: "System", predicts: bool) -> None:
    mode = getattr(system, "mode", None)
    if mode is not None and mode != ("extrapolate" if predicts else "interpolate"):
        print(f"Note: this checkpoint was trained to {mode}, which is another task than this one.")
