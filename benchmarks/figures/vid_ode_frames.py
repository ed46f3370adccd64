"""Vid-ODE's pictures of frames: beside other models (4, 21), parts (3), unseen times (8), other rates (17 to 20)."""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

from benchmarks.evaluation.tasks import Interpolate, Interpolates, Predict, Predicts, Query
from benchmarks.figures.base import Figure, Trained, predicted_frames, query_of_row
from benchmarks.figures.plotting import canvas, save
from benchmarks.utils.errors import UserError
from benchmarks.utils.hashing import slug
from benchmarks.utils.pixels import to_pictures
from datamodules.clip import VideoClip
from lightning_modules.vid_ode import VidODE

Strip = Float[Tensor, "_ channel height width"]  # of any length: the lines of a picture differ
Line = tuple[str, Strip, list[str]]
"""A line of a picture: what stands before it, its frames, and what stands over each of them."""


class FrameStrips(Figure):
    """Every row's frames below the true ones, one picture for each group, seed and clip (Figs 4 and 21).

    Args:
        given: frames shown in extrapolation.
        verb: `predict` asks what follows the given frames, `interpolate` what lies between every second one.
        clips: how many test clips, spread evenly over the test split.
    """

    def __init__(self, context: int = 5, verb: Literal["predict", "interpolate"] = "predict", clips: int = 2) -> None:
        self.context = context
        self.verb = verb
        self.clips = clips

    def draw(self, rows: Sequence[Trained], folder: Path) -> list[Path]:
        """`<group>-s<seed>-clip<number>.png`."""
        files = []
        for group, seed in dict.fromkeys((row.group, row.seed) for row in rows):
            chosen = [row for row in rows if (row.group, row.seed) == (group, seed)]
            query = query_of_row(chosen[0], self.clips, self._task(chosen[0], self.clips))
            observed, truth = frames_of(query)
            answers = {row.label: self._answer(row, query) for row in chosen}
            for clip in range(self.clips):
                shown = [f"{time:.3g} s" for time in query.observed.times[clip].tolist()]
                asked = [f"{time:.3g} s" for time in query.target.times[clip].tolist()]
                lines: list[Line] = [("input", observed[clip], shown), ("truth", truth[clip], asked)]
                lines += [(label, frames[clip], []) for label, frames in answers.items()]
                name = slug(f"{group} seed{seed} clip{clip}".strip())
                files.append(write_lines(folder / f"{name}.png", lines))
        return files

    def _task(self, row: Trained, clips: int) -> Predict | Interpolate:
        if self.verb == "predict":
            return Predict(context=self.context)
        count = int(whole_clips(row, clips).times.shape[1])
        return Interpolate(stride=2, frames=count - (count - 1) % 2)

    def _answer(self, row: Trained, query: Query) -> Float[Tensor, "clip time channel height width"]:
        task: Predict | Interpolate = Predict(context=self.context) if self.verb == "predict" else Interpolate()
        return predicted_frames(task, row.system(), query)


class Composition(Figure):
    """What Vid-ODE's frames are made of: the warped frame, the difference, the mask, and their composition (Fig. 3).

    Args:
        given: frames shown.
        clips: how many test clips.
    """

    def __init__(self, context: int = 5, clips: int = 2) -> None:
        self.context = context
        self.clips = clips

    def draw(self, rows: Sequence[Trained], folder: Path) -> list[Path]:
        """`<row>-s<seed>-clip<number>.png`; grey is no difference, a white mask takes the warped frame."""
        files = []
        for row in rows:
            system, query = row.system(), query_of_row(row, self.clips, Predict(context=self.context))
            if not isinstance(system, VidODE) or not isinstance(query.observed, VideoClip):
                raise UserError(f"This figure takes Vid-ODE apart; '{row.label}' is {type(system).__name__}.")
            with torch.inference_mode():
                decoded = system.decode(query.observed, query.times, "last")
            if decoded.warped is None or decoded.differences is None or decoded.masks is None:
                raise UserError(f"'{row.label}' composes no frames (`composition: {system.network.composition}`).")
            observed, truth = frames_of(query)
            for clip in range(self.clips):
                times = [f"{time:.3g} s" for time in query.times[clip].tolist()]
                mask = (2 * decoded.masks[clip] - 1).expand_as(decoded.frames[clip])
                lines: list[Line] = [
                    ("input", observed[clip], []),
                    ("truth", truth[clip], times),
                    ("warped", 2 * decoded.warped[clip] - 1, []),
                    ("difference", decoded.differences[clip], []),
                    ("mask", mask, []),
                    ("frame", 2 * decoded.frames[clip] - 1, []),
                ]
                name = slug(f"{row.group} {row.label} seed{row.seed} clip{clip}".strip())
                files.append(write_lines(folder / f"{name}.png", lines))
        return files


class UnseenTimes(Figure):
    """Frames at times between those that training knew, for each row (Fig. 8: t = 2, 2.25, 2.5, 2.75, 3).

    Args:
        stride: of the shown frames in the test clips.
        shown: how many are shown.
        first: the number of the shown frame where the strip begins, from 0.
        parts: into how many parts the interval to the next shown frame is divided.
        clips: how many test clips.
    """

    def __init__(self, stride: int = 2, shown: int = 5, first: int = 2, parts: int = 4, clips: int = 2) -> None:
        if not (stride >= 1 and parts >= 1 and 0 <= first < shown - 1):
            raise UserError(
                f"stride and parts must be at least 1 and first from 0 to {shown - 2}; got {stride}, {parts}, {first}."
            )
        self.stride = stride
        self.shown = shown
        self.first = first
        self.parts = parts
        self.clips = clips

    def draw(self, rows: Sequence[Trained], folder: Path) -> list[Path]:
        """`seed<n>-clip<number>.png`."""
        files = []
        for seed in dict.fromkeys(row.seed for row in rows):
            chosen = [row for row in rows if row.seed == seed]
            observed = shown_of(chosen[0], self.clips, self.shown, self.stride)
            start, end = observed.times[:, self.first], observed.times[:, self.first + 1]
            share = torch.arange(self.parts + 1) / self.parts
            times = start[:, None] + (end - start)[:, None] * share
            answers = {row.label: _between(row, observed, times) for row in chosen}
            marks = [f"t = {self.first + part:.3g}" for part in share.tolist()]
            for clip in range(self.clips):
                names = [f"t = {number}" for number in range(self.shown)]
                lines: list[Line] = [("input", observed.frames[clip], names)]
                lines += [(label, frames[clip], marks) for label, frames in answers.items()]
                files.append(write_lines(folder / f"seed{seed}-clip{clip}.png", lines))
        return files


class FrameRates(Figure):
    """The same stretch of a video at several frame rates, from an input that counts as 5 frames per second (17 to 20).

    The paper counts its model's time in seconds: five shown frames one fifth of a unit apart are "5 FPS".

    Args:
        verb: `interpolate` fills the stretch from the first shown frame to the last, `predict` what follows the last.
        shown: how many frames are shown.
        stride: of the shown frames in the test clips.
        shown_rate: what the shown frames count as, in frames per second.
        rates: the rates asked.
        clips: how many test clips.
    """

    def __init__(
        self,
        verb: Literal["predict", "interpolate"] = "interpolate",
        shown: int = 5,
        stride: int = 2,
        shown_rate: float = 5,
        rates: Sequence[float] = (8, 11, 14, 17, 20),
        clips: int = 1,
    ) -> None:
        if min(shown_rate, *rates) <= 0 or shown < 2:
            raise UserError(f"Rates must be positive and shown at least 2; got {shown_rate}, {rates} and {shown}.")
        self.verb = verb
        self.shown = shown
        self.stride = stride
        self.shown_rate = shown_rate
        self.rates = tuple(rates)
        self.clips = clips

    def draw(self, rows: Sequence[Trained], folder: Path) -> list[Path]:
        """`<row>-s<seed>-clip<number>.png`."""
        files = []
        for row in rows:
            observed = shown_of(row, self.clips, self.shown, self.stride)
            ends = observed.times[:, 0], observed.times[:, -1]
            second = (ends[1] - ends[0]) / (self.shown - 1) * self.shown_rate
            duration = (self.shown - 1) / self.shown_rate
            blocks = []
            for rate in self.rates:
                count = int(duration * rate + 1e-6)
                steps = torch.arange(count + 1) if self.verb == "interpolate" else torch.arange(1, count + 1)
                start = ends[0] if self.verb == "interpolate" else ends[1]
                times = start[:, None] + second[:, None] * steps / rate
                blocks.append((f"{rate:g} fps", _between(row, observed, times, self.verb)))
            for clip in range(self.clips):
                lines: list[Line] = [(f"input, {self.shown_rate:g} fps", observed.frames[clip], [])]
                lines += [(label, frames[clip], []) for label, frames in blocks]
                name = slug(f"{row.group} {row.label} seed{row.seed} clip{clip}".strip())
                files.append(write_lines(folder / f"{name}.png", lines, width=0.6))
        return files


def whole_clips(row: Trained, clips: int) -> VideoClip:
    """Some of the row's test clips, spread evenly over the test split; raises UserError if there are fewer."""
    query = query_of_row(row, clips, Predict(context=1))
    first, rest = query.observed, query.target
    assert isinstance(first, VideoClip)
    frames = torch.cat([first.frames, frames_of(query)[1]], dim=1)
    return VideoClip(frames, torch.cat([first.times, rest.times], dim=1))


def shown_of(row: Trained, clips: int, shown: int, stride: int) -> VideoClip:
    """The first `shown` frames of some test clips, `stride` apart."""
    clip = whole_clips(row, clips)
    if clip.times.shape[1] <= (shown - 1) * stride:
        raise UserError(
            f"The figure shows {shown} frames with a stride of {stride}; the test clips of '{row.label}' have "
            f"{clip.times.shape[1]}. Lengthen `eval_sampling` or lower `shown` or `stride`."
        )
    every = slice(0, (shown - 1) * stride + 1, stride)
    return VideoClip(clip.frames[:, every], clip.times[:, every])


def frames_of(query: Query) -> tuple[Tensor, Tensor]:
    """The shown frames and the true ones, both (clip, time, channel, height, width)."""
    assert isinstance(query.observed, VideoClip)
    return query.observed.frames, query.target.frames  # type: ignore[union-attr]


def write_lines(path: Path, lines: Sequence[Line], width: float = 0.9) -> Path:
    """A picture: every line's frames side by side; colour where there are three channels, else the first channel."""
    columns = max(len(frames) for _, frames, _ in lines)
    height, wide = lines[0][1].shape[-2:]
    size = 1.2 + width * columns, max(1.0, (width * height / wide + 0.14) * len(lines))
    figure, axes = canvas(len(lines), columns, size)
    for line, (label, frames, marks) in zip(axes, lines, strict=True):
        pictures = to_pictures(frames.float())
        for number, place in enumerate(line):
            place.set_axis_off()
            if number >= len(pictures):
                continue
            picture = pictures[number]
            if len(picture) == 3:
                place.imshow(picture.transpose(1, 2, 0))
            else:
                place.imshow(picture[0], cmap="gray", vmin=0, vmax=255)
            if number < len(marks):
                place.set_title(marks[number], fontsize=6, pad=1)
        line[0].text(-0.1, 0.5, label, transform=line[0].transAxes, ha="right", va="center", fontsize=7)
    return save(figure, path, dots_per_inch=150)


def _between(row: Trained, observed: VideoClip, times: Tensor, verb: str = "interpolate") -> Tensor:
    system = row.system()
    if not isinstance(system, Interpolates if verb == "interpolate" else Predicts):
        raise UserError(
            f"'{row.label}' ({type(system).__name__}) does not implement `{verb}`. Leave the row out of the benchmark."
        )
    seeds = torch.full((len(times),), row.seed)
    try:
        with torch.inference_mode():
            answer = getattr(system, verb)(observed, times, seeds=seeds)
    except UserError as error:
        raise UserError(f"'{row.label}': {error}") from error
    assert isinstance(answer, VideoClip)
    return answer.frames
