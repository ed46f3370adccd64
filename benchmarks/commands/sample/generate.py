"""`benchmarks sample --checkpoint C` without a clip: unconditional generation, at any times the model supports."""

import argparse
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from benchmarks.commands.sample.common import OF_CLIPS, device_of, finish, loaded, reject_options, writable
from benchmarks.commands.sample.motion_appearance import frame_times
from benchmarks.utils.errors import UserError

if TYPE_CHECKING:
    from jaxtyping import Float
    from torch import Tensor

    from benchmarks.evaluation.capabilities import Generates
    from lightning_modules.system import System

OFF_GRID = 0.01
"""A time within this distance of a discrete model's grid counts as on it; in steps of the grid."""


class TrainingClip(NamedTuple):
    """The clips of the training: frames per second, and seconds."""

    rate: float
    length: float


def is_requested(args: argparse.Namespace) -> bool:
    """Whether the command asks for a video by a checkpoint alone."""
    return args.checkpoint is not None and args.input is None


def main(args: argparse.Namespace) -> int:
    """Generate, write."""
    for option, left_out in OF_CLIPS.items():
        if getattr(args, option) != left_out:
            raise UserError(
                f"--{option} needs a clip: give one as --input, or leave --{option} out for unconditional generation."
            )
    reject_options(args, {"size": None}, "cannot be set: a model that generates without input has its own size")
    reject_options(
        args, {"motion_seed": None, "appearance_seed": None}, "goes with --motion-from, and --checkpoint with --seed"
    )
    out = writable(args.out)
    model = loaded(args.checkpoint, args.trust)
    system, device, clock = pixel_generator(model, args.checkpoint), device_of(args.device), of_training(model)
    model.to(device)
    fps, length = args.fps or clock.rate, clock.length if args.length is None else args.length
    times = frame_times(length, fps, args.time_warp, args.start)
    try:
        frames = generate_frames(system, times, args.seed, device)
    except UserError as error:
        raise UserError(way_out(error, model, times, fps)) from error
    finish(args, out, frames, times, fps, f"at {fps:g} frames per second")
    return 0


def pixel_generator(system: "System", place: str) -> "Generates":
    """The system, if it generates frames without input.

    Raises:
        UserError: if it needs a clip, or is a stage of MODE-GAN; the message names the option for it.
    """
    from benchmarks.evaluation.capabilities import Generates
    from datamodules.clip import KeypointClip, VideoClip
    from lightning_modules.motion_to_video_gan import MotionToVideoGAN

    name = type(system).__name__
    if isinstance(system, MotionToVideoGAN):
        raise UserError(
            f"{place} is a {name}, which renders a given motion: use it as --appearance-from, with a "
            "motion_gan as --motion-from."
        )
    if not isinstance(system, Generates):
        raise UserError(
            f"The following arguments are required: --input. {place} is a {name}, which cannot generate without a clip."
        )
    if system.sample_type is KeypointClip:
        raise UserError(
            f"{place} is a {name}, which generates keypoints, not frames: use it as --motion-from, with a "
            "motion_to_video_gan as --appearance-from."
        )
    if system.sample_type is not VideoClip:
        raise UserError(
            f"{place} is a {name} whose samples are of type {system.sample_type.__name__}, not frames. Use a "
            "checkpoint that was trained on frames."
        )
    return system


def of_training(system: "System") -> TrainingClip:
    """The frame rate and length of a clip as the checkpoint tells them; 25 frames per second for 1 s where it does not.

    A clip of a LatentDynamicsGAN has `generator.frames` frames, whose first to last are one unit of model time; a
    discrete temporal model has its own `interval`.
    """
    from lightning_modules.networks.video_generator import VideoGenerator

    generator = getattr(system, "generator", None)
    if not isinstance(generator, VideoGenerator):
        return TrainingClip(25.0, 1.0)
    interval = getattr(generator.dynamics, "interval", 1 / (generator.frames - 1))
    rate = 1 / (interval * system.seconds_per_unit)
    if abs(rate - round(rate)) < 1e-5 * rate:  # configurations round 1 / 15
        rate = float(round(rate))
    return TrainingClip(rate, generator.frames / rate)


def generate_frames(
    system: "Generates", times: Sequence[float], seed: int, device: str = "cpu"
) -> "Float[Tensor, 'time channel height width']":
    """One clip at these times (seconds), without a label; a function of its seed.

    Raises:
        UserError: if the system does not support these times.
    """
    import torch

    from datamodules.clip import VideoClip

    query_times = torch.tensor([times], dtype=torch.float32, device=device)
    with torch.inference_mode():
        clip = system.generate(query_times, seeds=torch.tensor([seed], device=device))
    assert isinstance(clip, VideoClip)
    return clip.frames[0]


def way_out(error: UserError, system: "System", times: Sequence[float], fps: float) -> str:
    """Why a temporal model does not support these times, and which option to change."""
    from lightning_modules.dynamics import Interpolated
    from lightning_modules.dynamics.base import OffGridError
    from lightning_modules.networks.video_generator import VideoGenerator

    generator = getattr(system, "generator", None)
    if not isinstance(generator, VideoGenerator) or system.first_time:
        return str(error)
    dynamics, rate = generator.dynamics, of_training(system).rate
    if times[0] < 0:
        return (
            f"{type(dynamics).__name__} does not support times before 0, and --start is {times[0]:g} s; only ODEs do. "
            "Leave --start out; --reverse plays the clip backwards."
        )
    if not isinstance(error, OffGridError):
        return str(error)
    if not isinstance(dynamics, Interpolated) and any(_off_grid(time * rate) for time in times):
        cause, remedy = "--time-warp asks", "Leave it out"
        if _off_grid(rate / fps):
            cause, remedy = f"--fps {fps:g} asks", f"Use --fps {rate:g}"
        return (
            f"{type(dynamics).__name__} generates {rate:g} frames per second and nothing between them, which {cause} "
            f"for. {remedy}; --playback-speed 0.5 plays them half as fast."
        )
    inner = dynamics.dynamics if isinstance(dynamics, Interpolated) else dynamics
    last = (getattr(inner, "frames", generator.frames) - 1) / rate
    beyond = next((time for time in times if time > last + OFF_GRID / rate), None)
    if beyond is None:
        return str(error)
    return (
        f"{type(inner).__name__} generates nothing after {last:.4g} s, and --length asks for more. Use --length "
        f"{f'{beyond:.6f}'.rstrip('0').rstrip('.')}s at most; recurrent models, ODEs and SDEs have no such limit."
    )


def _off_grid(steps: float) -> bool:
    return abs(steps - round(steps)) > OFF_GRID
