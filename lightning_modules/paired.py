"""PairedSystem, InterpolatingPaired: frames asked of others of a clip, learnt against the truth, without critics."""

from abc import ABC, abstractmethod
from typing import Any, Literal, NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from lightning.pytorch.cli import LRSchedulerCallable, OptimizerCallable
from torch import Tensor, nn

from datamodules.clip import Batch, KeypointClip, VideoClip
from datamodules.errors import UserError
from lightning_modules.adversarial import AdversarialSystem, Losses
from lightning_modules.losses.reconstruction import frame_error
from lightning_modules.networks.vid_ode import Start, start_index
from lightning_modules.schedules import FlooredExponentialLR

Frames = Float[Tensor, "batch time channel height width"]
Times = Float[Tensor, "batch time"]
Seeds = Int[Tensor, " batch"]


class Shown(NamedTuple):
    """The frames that a question shows, in the range of the losses, at model times.

    Extrapolation starts from the `last` frame that is there, interpolation from the `first`.
    """

    frames: Float[Tensor, "batch shown channel height width"]
    times: Float[Tensor, "batch shown"]
    present: Bool[Tensor, "batch shown"]
    start: Start

    @property
    def anchor(self) -> Float[Tensor, " batch"]:
        """When the frame was taken that the answer starts from."""
        return self.time_of(self.start)

    def time_of(self, end: Start) -> Float[Tensor, " batch"]:
        """When each clip's first or last frame was taken, of those that are there."""
        return self.times.gather(1, start_index(self.present, end)[:, None])[:, 0]

    def side_by_side(self, count: int, model: str) -> Float[Tensor, "batch channels height width"]:
        """The frames' channels in a row, for an encoder of `count` frames; a missing frame is a black one.

        Raises:
            UserError: if another number of frames is shown; `model` is the name that the message uses.
        """
        if self.frames.shape[1] != count:
            raise UserError(
                f"{model} was built for {count} frames side by side and is shown {self.frames.shape[1]}. Set `observe` "
                "to the number of shown frames, or use a recurrent encoder, which takes any number."
            )
        return (self.frames * self.present[:, :, None, None, None]).flatten(1, 2)


class Question(NamedTuple):
    """What is shown of a batch, when frames are asked, and which they are; `known` is False where they are missing."""

    shown: Shown
    times: Float[Tensor, "batch asked"]
    target: Float[Tensor, "batch asked channel height width"]
    known: Bool[Tensor, "batch asked 1 _ _"] | None


def lowered(size: int | tuple[int, int], downs: int) -> tuple[int, int]:
    """Height and width of an image of `size` (a side, or height and width) after `downs` halvings.

    Raises:
        UserError: if a side cannot be halved so often.
    """
    height, width = (size, size) if isinstance(size, int) else size
    if height % 2**downs or width % 2**downs:
        raise UserError(f"The sides of the image must be multiples of 2**downs = {2**downs}; got {height}x{width}.")
    return height // 2**downs, width // 2**downs


class PairedSystem(AdversarialSystem, ABC):
    """A network that is shown some frames of a clip and asked others, trained as Vid-ODE is but for its critics.

    The counters, the budgets, clipping and accumulation are those of `AdversarialSystem`, with nobody to judge.

    Args:
        network: what answers.
        training: `extrapolate` shows the first `observe` frames and asks the rest; `interpolate` shows every frame and
            asks the same ones.
        observe: frames shown in extrapolation.
        pixels: `unit` maps [-1, 1] to [0, 1] at the border; `data` leaves the values as they come (climate).
        optimizer: Adamax, 1e-3, as Vid-ODE's.
        schedule: Vid-ODE's, 0.99 per epoch with a floor of 0.1.
        shared: see `AdversarialSystem`.
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
        schedule_interval: Literal["epoch", "update"] = "epoch",
        clip_norm: float | None = None,
        accumulate: int = 1,
        seconds_per_unit: float = 1.0,
        first_time: float = 0.0,
    ) -> None:
        super().__init__(
            network,
            {},
            generator_optimizer=optimizer,
            critic_optimizer=optimizer,
            schedule=schedule,
            schedule_interval=schedule_interval,
            order="joint",
            fakes="shared",
            clip_norm=clip_norm,
            accumulate=accumulate,
            seconds_per_unit=seconds_per_unit,
            first_time=first_time,
        )
        self.mode = training
        self.observe = observe
        self.pixels = pixels

    @abstractmethod
    def answer(self, shown: Shown, times: Times, seeds: Seeds | None) -> Frames:
        """Frames at `times` (model units), in the range of the losses."""

    def predict(
        self,
        observed: VideoClip,
        times: Times,
        *,
        seeds: Seeds | None = None,
        present: Bool[Tensor, "batch shown"] | None = None,
    ) -> VideoClip:
        """Frames at `times` after the last observed one."""
        return self._ask(observed, times, "last", seeds, present)

    def critic_losses(self, batch: Batch, fakes: Any) -> Losses:
        """None: there is no critic."""
        return {}

    def draw(self, batch: Batch) -> Any:
        """The answer to the batch's question, beside what it is held against."""
        question = self.question(batch)
        return question, self.answer(question.shown, question.times, None)

    def generator_losses(self, batch: Batch, fakes: Any) -> Losses:
        """Mean absolute error, as Vid-ODE's reconstruction loss (eq. 5)."""
        question, frames = fakes
        return {"reconstruction": frame_error(frames, question.target, question.known)}

    def question(self, batch: Batch) -> Question:
        """What training shows and asks of a batch.

        Raises:
            UserError: if the data have no pixels, or too few frames for `observe`.
        """
        if not isinstance(batch.clip, VideoClip | KeypointClip):
            raise UserError(
                f"{type(self).__name__} draws frames; this data has trajectories, without pixels. Choose other data."
            )
        frames, times = self._inwards(batch.clip.frames), self.model_time(batch.clip.times)
        known = None
        if not bool(batch.present.all()) or batch.valid is not None:
            known = batch.present[:, :, None, None, None]
            known = known if batch.valid is None else known & batch.valid
            frames = torch.where(known, frames, 0)
        if self.mode == "interpolate":
            return Question(Shown(frames, times, batch.present, "first"), times, frames, known)
        k = self.observe
        if not 0 < k < frames.shape[1]:
            raise UserError(
                f"Extrapolation shows the first {k} of {frames.shape[1]} frames and asks the rest; `observe` must be "
                f"from 1 to {frames.shape[1] - 1}. Change `observe` or the number of frames of the data's sampling."
            )
        shown = Shown(frames[:, :k], times[:, :k], batch.present[:, :k], "last")
        return Question(shown, times[:, k:], frames[:, k:], None if known is None else known[:, k:])

    def _ask(
        self,
        observed: VideoClip,
        times: Times,
        start: Start,
        seeds: Seeds | None,
        present: Bool[Tensor, "batch shown"] | None,
    ) -> VideoClip:
        if present is None:
            present = torch.ones_like(observed.times, dtype=torch.bool)
        shown = Shown(self._inwards(observed.frames), self.model_time(observed.times), present, start)
        frames = self.answer(shown, self.model_time(times), seeds)
        if self.pixels == "unit":
            frames = (2 * frames - 1).clamp(-1, 1)
        return VideoClip(frames.float(), times)

    def _inwards(self, frames: Frames) -> Frames:
        return (frames + 1) / 2 if self.pixels == "unit" else frames


class InterpolatingPaired(PairedSystem, ABC):
    """A paired system that also answers between the frames it is shown: its path can start at the first of them."""

    def interpolate(
        self,
        observed: VideoClip,
        times: Times,
        *,
        seeds: Seeds | None = None,
        present: Bool[Tensor, "batch shown"] | None = None,
    ) -> VideoClip:
        """Frames at `times` from the first observed one on."""
        return self._ask(observed, times, "first", seeds, present)
