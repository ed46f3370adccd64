"""SupervisedSystem, InterpolatingSystem: frames predicted from observed ones, trained against targets, no critic."""

from abc import ABC, abstractmethod
from typing import Any, Literal

import torch
from jaxtyping import Bool, Float, Int
from lightning.pytorch.cli import LRSchedulerCallable, OptimizerCallable
from torch import Tensor, nn

from datamodules.clip import Batch, VideoClip
from datamodules.errors import UserError
from lightning_modules.losses.reconstruction import frame_error
from lightning_modules.manual_optimization import Losses, ManualOptimizationSystem
from lightning_modules.networks.vid_ode import Start
from lightning_modules.observed_clip import FrameFormat, check_after_last, check_from_first, observed_clip
from lightning_modules.schedules import FlooredExponentialLR
from lightning_modules.training_example import (
    ObservedFrames,
    TrainingExample,
    to_clip_range,
    to_loss_range,
    training_example,
)

Frames = Float[Tensor, "batch time channel height width"]
Times = Float[Tensor, "batch time"]
Seeds = Int[Tensor, " batch"]


class SupervisedSystem(ManualOptimizationSystem, ABC):
    """A network that predicts target frames from observed ones, trained as Vid-ODE is, without its critics.

    Args:
        network: the network that predicts.
        training: `extrapolate` observes the first `observe` frames and predicts the rest; `interpolate` observes every
            frame and reconstructs the same ones.
        observe: frames observed in extrapolation.
        pixels: `unit` maps [-1, 1] to [0, 1] for network and losses; `data` leaves the values as they are (climate).
        optimizer: Adamax, 1e-3, as Vid-ODE's.
        schedule: Vid-ODE's, 0.99 per epoch with a floor of 0.1.
        optimization: see `ManualOptimizationSystem`.
    """

    def __init__(
        self,
        network: nn.Module,
        *,
        training: Literal["extrapolate", "interpolate"] = "extrapolate",
        observe: int = 5,
        pixels: Literal["unit", "data"] = "unit",
        optimizer: OptimizerCallable = lambda parameters: torch.optim.Adamax(parameters, lr=1e-3),
        schedule: LRSchedulerCallable | None = lambda optimizer: FlooredExponentialLR(optimizer),
        **optimization: Any,
    ) -> None:
        super().__init__(network, schedule=schedule, **optimization)
        self.frame_format: FrameFormat | None = getattr(network, "frame_format", None)
        self.optimizer = optimizer
        self.mode = training
        self.observe = observe
        self.pixels = pixels

    @abstractmethod
    def predict_frames(self, observed: ObservedFrames, times: Times, seeds: Seeds | None) -> Frames:
        """Frames at `times` (model units), in the range of the losses."""

    def predict(
        self,
        observed: VideoClip,
        times: Times,
        *,
        seeds: Seeds | None = None,
        present: Bool[Tensor, "batch observed"] | None = None,
    ) -> VideoClip:
        """Frames at `times` after the last observed one; raises UserError at others (see `check_after_last`)."""
        return self._predict_from("last", observed, times, seeds, present)

    def training_example(self, batch: Batch) -> TrainingExample:
        """What training observes and targets of a batch; see the function of this name for errors."""
        times = self.model_time(batch.clip.times)
        return training_example(
            batch,
            times,
            mode=self.mode,
            observe=self.observe,
            pixels=self.pixels,
            model=type(self).__name__,
            frame_format=self.frame_format,
        )

    def training_output(self, batch: Batch) -> Any:
        """The batch's training example with the prediction for it."""
        example = self.training_example(batch)
        return example, self.predict_frames(example.observed, example.target_times, None)

    def losses(self, batch: Batch, output: Any) -> Losses:
        """Weighted loss terms; here the mean absolute error, as Vid-ODE's reconstruction loss (eq. 5)."""
        example, frames = output
        return {"reconstruction": frame_error(frames, example.target, example.known)}

    def update(self, group: list[Batch]) -> None:
        """One gradient step on the group's mean loss."""
        losses = (self.losses(batch, self.training_output(batch)) for batch in group)
        self._backward(losses, len(group), role="generator")
        self._step_generator()

    def configure_optimizers(self) -> Any:
        """The optimiser with the schedule."""
        return self._with_schedules([self.optimizer(self.generator.parameters())])

    def _predict_from(
        self,
        start: Start,
        observed: VideoClip,
        times: Times,
        seeds: Seeds | None,
        present: Bool[Tensor, "batch observed"] | None,
    ) -> VideoClip:
        model = type(self).__name__
        observed, present = observed_clip(observed, present, model, self.frame_format)
        check = check_after_last if start == "last" else check_from_first
        check(times, observed.times, present, model)
        if not times.numel():
            return VideoClip(observed.frames.new_zeros(*times.shape, *observed.frames.shape[2:]), times)
        frames = to_loss_range(observed.frames, self.pixels)
        context = ObservedFrames(frames, self.model_time(observed.times), present, start)
        prediction = self.predict_frames(context, self.model_time(times), seeds)
        return VideoClip(to_clip_range(prediction, self.pixels), times)


class InterpolatingSystem(SupervisedSystem, ABC):
    """A supervised system that also predicts between the observed frames: its path can start at the first of them."""

    def interpolate(
        self,
        observed: VideoClip,
        times: Times,
        *,
        seeds: Seeds | None = None,
        present: Bool[Tensor, "batch observed"] | None = None,
    ) -> VideoClip:
        """Frames at `times` from the first observed one on; raises UserError at earlier ones."""
        return self._predict_from("first", observed, times, seeds, present)


def sides(size: int | tuple[int, int]) -> tuple[int, int]:
    """Height and width of an image of `size`: one side, or both."""
    return (size, size) if isinstance(size, int) else (size[0], size[1])


def lowered(size: int | tuple[int, int], downs: int) -> tuple[int, int]:
    """Height and width of an image of `size` (a side, or height and width) after `downs` halvings.

    Raises:
        UserError: if a side cannot be halved so often.
    """
    height, width = sides(size)
    if height % 2**downs or width % 2**downs:
        raise UserError(f"The sides of the image must be multiples of 2**downs = {2**downs}; got {height}x{width}.")
    return height // 2**downs, width // 2**downs
