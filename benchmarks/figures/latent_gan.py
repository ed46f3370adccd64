"""Helpers of the latent-dynamics figures: a row's trained GAN, the true shapes of its data, generated clips."""

import torch
from jaxtyping import Float
from torch import Tensor

from benchmarks.figures.base import Trained
from benchmarks.utils.errors import UserError
from datamodules.clip import VideoClip
from datamodules.moving_shapes import MovingShapesSource
from lightning_modules.latent_dynamics import LatentDynamicsGAN

_AT_ONCE = 32


def gan_of(row: Trained) -> LatentDynamicsGAN:
    """The row's model; raises UserError for a model of another kind."""
    system = row.system()
    if not isinstance(system, LatentDynamicsGAN):
        raise UserError(f"'{row.label}' is a {type(system).__name__}; this figure needs a LatentDynamicsGAN.")
    return system


def shapes_of(row: Trained) -> tuple[MovingShapesSource, int, float]:
    """The row's test shapes, which can be rendered at any time, the number of frames of a clip, and their rate.

    Raises:
        UserError: for other data.
    """
    data = row.data()
    source = data.source("test")
    if not isinstance(source, MovingShapesSource):
        raise UserError(
            f"'{row.label}' is trained on {data.name}; this figure needs moving shapes, which are known between frames."
        )
    times = times_of(row)
    return source, len(times), 1 / float(times[1] - times[0])


def times_of(row: Trained) -> Float[Tensor, " time"]:
    """The times of the row's first test clip, in seconds."""
    data = row.data()
    data.prepare_data()
    data.setup("test")
    return next(iter(data.test_dataloader())).clip.times[0]


def generate_clips(
    system: LatentDynamicsGAN, times: Float[Tensor, " time"], count: int
) -> Float[Tensor, "clip time _ _ _"]:
    """Clips generated with the seeds 0, 1, 2, ... at the same times, in [-1, 1].

    Raises:
        OffGridError: if the dynamics is discrete and the times are off its grid.
    """
    parts = []
    for seeds in torch.arange(count).split(_AT_ONCE):
        clip = system.generate(times.expand(len(seeds), -1), seeds=seeds)
        assert isinstance(clip, VideoClip)
        parts.append(clip.frames)
    return torch.cat(parts)
