"""`benchmarks sample --motion-from A --appearance-from B`: a video from two noises, at any frame rate or changing."""

import argparse
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from benchmarks.commands.sample.common import OF_CLIPS, device_of, finish, loaded, refuse, seconds, writable
from benchmarks.utils.errors import UserError

if TYPE_CHECKING:
    from jaxtyping import Float
    from torch import Tensor

    from lightning_modules.mode_gan import ModeGAN
    from lightning_modules.motion_gan import MotionGAN
    from lightning_modules.motion_to_video_gan import MotionToVideoGAN

_BOTH = " Each option stands in for the other where that is left out."
_MOST_FRAMES = 100_000


class Slowed(NamedTuple):
    """A stretch of a clip, in seconds, and how many times as long it takes to play."""

    start: float
    end: float
    factor: float


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options for a MODE-GAN: a motion by one checkpoint, the appearance by another or the same."""
    group = parser.add_argument_group(
        "draw from nothing: give --checkpoint, or MODE-GAN's --motion-from and --appearance-from; no --input"
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
        "--slow", type=slowed, action="append", default=[], metavar="FROM-TO*TIMES",
        help="slow motion within what is drawn: 0.4-0.6*4 draws four times the frames there; may be repeated",
    )  # fmt: skip
    group.add_argument(
        "--before",
        type=seconds,
        metavar="TIME",
        help="begin so long before the motion's first frame (0.5s, 200ms): by an ODE",
    )
    group.add_argument("--backwards", action="store_true", help="play it backwards in time")


def wanted(args: argparse.Namespace) -> bool:
    """Whether the command asks for a video from nothing."""
    return args.motion_from is not None or args.appearance_from is not None


def main(args: argparse.Namespace) -> int:
    """Join the stages, draw, write."""
    out, fps = writable(args.out), args.fps or 25.0
    refuse(args, OF_CLIPS, "speaks of a clip, and --motion-from draws one from nothing")
    refuse(args, {"inbetween": None, "gap": None}, "speaks of pictures, and --motion-from draws from nothing")
    refuse(args, {"checkpoint": None, "size": None}, "says nothing to --motion-from and --appearance-from")
    system = mode_gan(args.motion_from or args.appearance_from, args.appearance_from or args.motion_from, args.trust)
    device = device_of(args.device)
    times = moments(1.0 if args.length is None else args.length, fps, args.slow, args.before or 0.0)
    motion, look = (args.seed if seed is None else seed for seed in (args.motion_seed, args.appearance_seed))
    frames = drawn(system.to(device), times, motion, look, device=device)
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


def moments(duration: float, fps: float, slow: Sequence[Slowed] = (), before: float = 0.0) -> list[float]:
    """When the frames are taken: `1 / fps` apart, closer where the motion is slowed, from `-before` on.

    Played at `fps`, uneven moments are slow motion. Each moment is a step after the one before it, and a step that
    begins within a slowed stretch is `factor` times as short.
    """
    for stretch in slow:
        if stretch.start >= duration or stretch.end <= -before:
            raise UserError(
                f"--slow {stretch.start:g}-{stretch.end:g} lies outside of the clip, which goes from {-before:g} s to "
                f"{duration:g} s. Lengthen it with --length, or slow another part."
            )
    if duration + before <= 0:
        raise UserError("A clip of no length has no frames: --length must be above 0s.")
    times, now, used = [], 0.0 - before, set()
    while now <= duration - 1e-6:
        times.append(now)
        if len(times) > _MOST_FRAMES:
            raise UserError(f"That is more than {_MOST_FRAMES:,} frames; ask for a shorter clip or a lower --fps.")
        here = [stretch for stretch in slow if stretch.start - 1e-9 <= now < stretch.end - 1e-9]
        used.update(here)
        now += 1 / (fps * max([1.0, *(stretch.factor for stretch in here)]))
    for stretch in slow:
        if stretch not in used:
            raise UserError(
                f"No frame begins within --slow {stretch.start:g}-{stretch.end:g}, so nothing would be slowed: at "
                f"{fps:g} frames per second they are {1 / fps:.3g} s apart. Slow a longer part, or raise --fps."
            )
    return times


def drawn(
    system: "ModeGAN", times: Sequence[float], motion_seed: int, appearance_seed: int, device: str = "cpu"
) -> "Float[Tensor, 'time channel height width']":
    """One clip at these seconds, which may lie before 0 where the motion's dynamics is continuous.

    Raises:
        UserError: if the motion does not know these times, because it is an RNN's.
    """
    import torch

    seeds = [torch.tensor([seed], device=device) for seed in (motion_seed, appearance_seed)]
    with torch.inference_mode():
        clip = system.generate(
            torch.tensor([times], dtype=torch.float32, device=device),
            seeds=seeds[0], motion_seeds=seeds[0], appearance_seeds=seeds[1],
        )  # fmt: skip
    return clip.frames[0]


def slowed(text: str) -> Slowed:
    """`0.4-0.6*4`: from 0.4 s to 0.6 s, four times as slow."""
    number = r"(\d+(?:\.\d*)?|\.\d+)s?"
    match = re.fullmatch(rf"{number}-{number}\*{number}", text.replace(" ", ""))
    if match is None or not float(match[1]) < float(match[2]) or float(match[3]) < 1:
        raise argparse.ArgumentTypeError(
            f"slow motion is written FROM-TO*TIMES in seconds, 0.4-0.6*4, with TIMES at least 1; got '{text}'"
        )
    return Slowed(*(float(part) for part in match.groups()))


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
