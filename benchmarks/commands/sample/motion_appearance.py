"""`benchmarks sample --motion-from A --appearance-from B`: a video from two noises, at any frame rate or changing."""

import argparse
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from benchmarks.commands.sample.common import OF_CLIPS, device_of, finish, loaded, reject_options, writable
from benchmarks.utils.errors import UserError

if TYPE_CHECKING:
    from jaxtyping import Float
    from torch import Tensor

    from lightning_modules.mode_gan import ModeGAN
    from lightning_modules.motion_gan import MotionGAN
    from lightning_modules.motion_to_video_gan import MotionToVideoGAN

_BOTH = " Each option stands in for the other where that is left out."
_MOST_FRAMES = 100_000


class TimeWarp(NamedTuple):
    """Slow motion: from `start` to `end` (seconds) the motion is `factor` times slower."""

    start: float
    end: float
    factor: float


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options for a MODE-GAN: a motion by one checkpoint, the appearance by another or the same."""
    group = parser.add_argument_group(
        "unconditional generation: give --checkpoint, or MODE-GAN's --motion-from and --appearance-from; no --input"
    )
    group.add_argument(
        "--motion-from",
        metavar="FILE",
        help="a trained motion_gan, or a ModeGAN whose motion is meant (default: --appearance-from)",
    )
    group.add_argument(
        "--appearance-from", metavar="FILE", help="a trained motion_to_video_gan, or a ModeGAN (default: --motion-from)"
    )
    group.add_argument("--motion-seed", type=int, help="which motion of --motion-from (default: --seed)")
    group.add_argument("--appearance-seed", type=int, help="which appearance of --appearance-from (default: --seed)")
    group.add_argument(
        "--time-warp", type=time_warp, action="append", default=[], metavar="FROM-TO*FACTOR",
        help="slow motion: 0.4-0.6*4 generates four times the frames from 0.4 s to 0.6 s; may be repeated",
    )  # fmt: skip
    group.add_argument("--reverse", action="store_true", help="play the video backwards")


def is_requested(args: argparse.Namespace) -> bool:
    """Whether the command asks for a MODE-GAN's motion and appearance."""
    return args.motion_from is not None or args.appearance_from is not None


def main(args: argparse.Namespace) -> int:
    """Join the stages, generate, write."""
    out, fps = writable(args.out), args.fps or 25.0
    reject_options(args, OF_CLIPS, "needs an input clip, and --motion-from generates without one")
    reject_options(args, {"inbetween": None, "gap": None}, "needs key frames, and --motion-from uses none")
    reject_options(args, {"checkpoint": None, "size": None}, "has no effect with --motion-from and --appearance-from")
    system = mode_gan(args.motion_from or args.appearance_from, args.appearance_from or args.motion_from, args.trust)
    device = device_of(args.device)
    times = frame_times(1.0 if args.length is None else args.length, fps, args.time_warp, args.start)
    motion, look = (args.seed if seed is None else seed for seed in (args.motion_seed, args.appearance_seed))
    frames = generate_frames(system.to(device), times, motion, look, device=device)
    finish(args, out, frames, times, fps, "of the motion")
    return 0


def mode_gan(motion: str, appearance: str, trust: Sequence[str] = ()) -> "ModeGAN":
    """The motion of one checkpoint with the appearance of another, which may be the same file.

    Raises:
        UserError: if a file is no such checkpoint, or the two have other numbers of keypoints.
    """
    from lightning_modules.mode_gan import join

    parts = _motion(loaded(motion, trust), motion), _video(loaded(appearance, trust), appearance)
    return join(*parts)


def frame_times(end: float, fps: float, warps: Sequence[TimeWarp] = (), start: float = 0.0) -> list[float]:
    """The times of the frames in seconds, from `start` to before `end`: `1 / fps` apart, closer within a time warp.

    Played at `fps`, closer times are slow motion. A step that begins within a warp is `factor` times shorter.
    """
    for warp in warps:
        if warp.start >= end or warp.end <= start:
            raise UserError(
                f"--time-warp {warp.start:g}-{warp.end:g} lies outside of the clip, which goes from {start:g} s to "
                f"{end:g} s. Use a larger --length, or warp another part."
            )
    if end <= start:
        raise UserError(f"--length must be above 0s and above --start; got {end:g} s and {start:g} s.")
    times, now, used = [], start, set()
    while now <= end - 1e-6:
        times.append(now)
        if len(times) > _MOST_FRAMES:
            raise UserError(f"The clip has more than {_MOST_FRAMES:,} frames; use a smaller --length or --fps.")
        here = [warp for warp in warps if warp.start - 1e-9 <= now < warp.end - 1e-9]
        used.update(here)
        now += 1 / (fps * max([1.0, *(warp.factor for warp in here)]))
    for warp in warps:
        if warp not in used:
            raise UserError(
                f"No frame begins within --time-warp {warp.start:g}-{warp.end:g}: at {fps:g} frames per second frames "
                f"are {1 / fps:.3g} s apart. Warp a longer part, or raise --fps."
            )
    return times


def generate_frames(
    system: "ModeGAN", times: Sequence[float], motion_seed: int, appearance_seed: int, device: str = "cpu"
) -> "Float[Tensor, 'time channel height width']":
    """One clip at these times (seconds), which may be negative if the motion's dynamics is continuous.

    Raises:
        UserError: if the motion's dynamics is discrete and the times are off its grid.
    """
    import torch

    seeds = [torch.tensor([seed], device=device) for seed in (motion_seed, appearance_seed)]
    with torch.inference_mode():
        clip = system.generate(
            torch.tensor([times], dtype=torch.float32, device=device),
            seeds=seeds[0], motion_seeds=seeds[0], appearance_seeds=seeds[1],
        )  # fmt: skip
    return clip.frames[0]


def time_warp(text: str) -> TimeWarp:
    """`0.4-0.6*4`: from 0.4 s to 0.6 s, four times slower."""
    number = r"(\d+(?:\.\d*)?|\.\d+)s?"
    match = re.fullmatch(rf"{number}-{number}\*{number}", text.replace(" ", ""))
    if match is None or not float(match[1]) < float(match[2]) or float(match[3]) < 1:
        raise argparse.ArgumentTypeError(
            f"a time warp is written FROM-TO*FACTOR in seconds, 0.4-0.6*4, with FACTOR at least 1; got '{text}'"
        )
    return TimeWarp(*(float(part) for part in match.groups()))


def _motion(system: object, place: str) -> "MotionGAN":
    from lightning_modules.mode_gan import ModeGAN
    from lightning_modules.motion_gan import MotionGAN
    from lightning_modules.system import with_config

    if isinstance(system, ModeGAN) and system.config is not None:
        with_config(system.motion, system.config["init_args"]["motion"])
        return system.motion
    if not isinstance(system, MotionGAN):
        raise UserError(
            f"--motion-from must be a trained motion_gan or ModeGAN; {place} is a {type(system).__name__}.{_BOTH}"
        )
    return system


def _video(system: object, place: str) -> "MotionToVideoGAN":
    from lightning_modules.mode_gan import ModeGAN
    from lightning_modules.motion_to_video_gan import MotionToVideoGAN
    from lightning_modules.system import with_config

    if isinstance(system, ModeGAN) and system.config is not None:
        with_config(system.video, system.config["init_args"]["video"])
        return system.video
    if not isinstance(system, MotionToVideoGAN):
        raise UserError(
            f"--appearance-from must be a trained motion_to_video_gan or ModeGAN; {place} is a {type(system).__name__}."
            f"{_BOTH}"
        )
    return system
