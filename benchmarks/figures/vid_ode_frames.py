"""Vid-ODE's figures of frames: models compared (4, 5, 11 to 16), parts (3), unseen times (8), rates (1, 17 to 20)."""

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
from lightning_modules.networks.vid_ode import Start
from lightning_modules.vid_ode import VidODE

Strip = Float[Tensor, "_ channel height width"]  # of any length: the lines of a figure differ
Line = tuple[str, Strip, list[str]]
"""A line of a figure: its label, its frames, and the titles of the frames."""


class FrameStrips(Figure):
    """Every row's frames below the true ones, one image for each group, seed and clip (Figs 4, 5, 11 to 16, 21, 22).

    Args:
        context: observed frames in extrapolation.
        capability: `predict` extrapolates from the first `context` frames, `interpolate` fills in every second frame.
        clips: how many test clips, evenly spaced in the test split.
    """

    def __init__(
        self, context: int = 5, capability: Literal["predict", "interpolate"] = "predict", clips: int = 2
    ) -> None:
        self.context = context
        self.capability = capability
        self.clips = clips

    def draw(self, rows: Sequence[Trained], folder: Path) -> list[Path]:
        """`<group>-s<seed>-clip<number>.png`."""
        files = []
        for group, seed in dict.fromkeys((row.group, row.seed) for row in rows):
            chosen = [row for row in rows if (row.group, row.seed) == (group, seed)]
            query = query_of_row(chosen[0], self.clips, task_of(self.capability, self.context, chosen[0], self.clips))
            observed, target = frames_of(query)
            predictions = {row.label: self._predicted(row, query) for row in chosen}
            for clip in range(self.clips):
                observed_times = [f"{time:.3g} s" for time in query.observed.times[clip].tolist()]
                target_times = [f"{time:.3g} s" for time in query.target.times[clip].tolist()]
                lines: list[Line] = [
                    ("input", observed[clip], observed_times),
                    ("target", target[clip], target_times),
                ]
                lines += [(label, frames[clip], []) for label, frames in predictions.items()]
                name = slug(f"{group} seed{seed} clip{clip}".strip())
                files.append(write_lines(folder / f"{name}.png", lines))
        return files

    def _predicted(self, row: Trained, query: Query) -> Float[Tensor, "clip time channel height width"]:
        task: Predict | Interpolate = Predict(context=self.context) if self.capability == "predict" else Interpolate()
        return predicted_frames(task, row.system(), query)


class Composition(Figure):
    """The parts of Vid-ODE's frames: the warped frame, the difference, the mask, and their composition (Fig. 3).

    Args:
        context: number of observed frames in extrapolation.
        clips: how many test clips.
        capability: as of `FrameStrips`; the paper shows interpolation.
    """

    def __init__(
        self, context: int = 5, clips: int = 2, capability: Literal["predict", "interpolate"] = "interpolate"
    ) -> None:
        self.context = context
        self.clips = clips
        self.capability = capability

    def draw(self, rows: Sequence[Trained], folder: Path) -> list[Path]:
        """`<row>-s<seed>-clip<number>.png`; grey is no difference, a white mask keeps the warped frame."""
        files = []
        for row in rows:
            system = row.system()
            query = query_of_row(row, self.clips, task_of(self.capability, self.context, row, self.clips))
            if not isinstance(system, VidODE) or not isinstance(query.observed, VideoClip):
                raise UserError(
                    f"This figure shows the parts of Vid-ODE's frames; '{row.label}' is a {type(system).__name__}."
                )
            with torch.inference_mode():
                start: Start = "last" if self.capability == "predict" else "first"
                decoded = system.decode(query.observed, query.times, start)
            parts = decoded.parts
            if not {"warped", "differences", "masks"} <= parts.keys():
                raise UserError(f"'{row.label}' composes no frames (`composition: {system.network.composition}`).")
            observed, target = frames_of(query)
            for clip in range(self.clips):
                times = [f"{time:.3g} s" for time in query.times[clip].tolist()]
                mask = (2 * parts["masks"][clip] - 1).expand_as(decoded.frames[clip])
                lines: list[Line] = [
                    ("input", observed[clip], []),
                    ("target", target[clip], times),
                    ("warped", 2 * parts["warped"][clip] - 1, []),
                    ("difference", parts["differences"][clip], []),
                    ("mask", mask, []),
                    ("frame", 2 * decoded.frames[clip] - 1, []),
                ]
                name = slug(f"{row.group} {row.label} seed{row.seed} clip{clip}".strip())
                files.append(write_lines(folder / f"{name}.png", lines))
        return files


class UnseenTimes(Figure):
    """Frames at times between those of training, for each row (Fig. 8: t = 2, 2.25, 2.5, 2.75, 3).

    Args:
        stride: of the observed frames in the test clips.
        context: how many frames are observed.
        first: the index of the observed frame where the strip starts, from 0.
        parts: number of equal parts of the interval to the next observed frame.
        clips: how many test clips.
    """

    def __init__(self, stride: int = 2, context: int = 5, first: int = 2, parts: int = 4, clips: int = 2) -> None:
        if not (stride >= 1 and parts >= 1 and 0 <= first < context - 1):
            raise UserError(
                f"stride and parts must be at least 1 and first from 0 to {context - 2}; got {stride}, {parts} and "
                f"{first}."
            )
        self.stride = stride
        self.context = context
        self.first = first
        self.parts = parts
        self.clips = clips

    def draw(self, rows: Sequence[Trained], folder: Path) -> list[Path]:
        """`seed<n>-clip<number>.png`."""
        files = []
        for seed in dict.fromkeys(row.seed for row in rows):
            chosen = [row for row in rows if row.seed == seed]
            observed = context_of(chosen[0], self.clips, self.context, self.stride)
            start, end = observed.times[:, self.first], observed.times[:, self.first + 1]
            share = torch.arange(self.parts + 1) / self.parts
            times = start[:, None] + (end - start)[:, None] * share
            predictions = {row.label: _between(row, observed, times) for row in chosen}
            titles = [f"t = {self.first + part:.3g}" for part in share.tolist()]
            for clip in range(self.clips):
                names = [f"t = {number}" for number in range(self.context)]
                lines: list[Line] = [("input", observed.frames[clip], names)]
                lines += [(label, frames[clip], titles) for label, frames in predictions.items()]
                files.append(write_lines(folder / f"seed{seed}-clip{clip}.png", lines))
        return files


class FrameRateStrips(Figure):
    """The same part of a video at several frame rates, from observed frames at nominally 5 per second (1, 17 to 20).

    The paper takes its model's unit of time as one second: five observed frames one fifth of a unit apart are "5 FPS".

    Args:
        capability: `interpolate` covers the time from the first observed frame to the last, `predict` the same duration
            after the last, below the true frames there, as far as the test clips go (Figs 19 and 20).
        context: how many frames are observed.
        stride: of the observed frames in the test clips, and of the true ones.
        context_rate: the nominal rate of the observed frames, in frames per second.
        rates: the frame rates of the predictions.
        clips: how many test clips.
    """

    def __init__(
        self,
        capability: Literal["predict", "interpolate"] = "interpolate",
        context: int = 5,
        stride: int = 2,
        context_rate: float = 5,
        rates: Sequence[float] = (8, 11, 14, 17, 20),
        clips: int = 1,
    ) -> None:
        if min(context_rate, *rates) <= 0 or context < 2:
            raise UserError(
                f"Rates must be positive and context at least 2; got {context_rate}, {rates} and {context}."
            )
        self.capability = capability
        self.context = context
        self.stride = stride
        self.context_rate = context_rate
        self.rates = tuple(rates)
        self.clips = clips

    def draw(self, rows: Sequence[Trained], folder: Path) -> list[Path]:
        """`<row>-s<seed>-clip<number>.png`."""
        files = []
        for row in rows:
            observed = context_of(row, self.clips, self.context, self.stride)
            ends = observed.times[:, 0], observed.times[:, -1]
            second = (ends[1] - ends[0]) / (self.context - 1) * self.context_rate
            duration = (self.context - 1) / self.context_rate
            blocks = []
            for rate in self.rates:
                count = int(duration * rate + 1e-6)
                steps = torch.arange(count + 1) if self.capability == "interpolate" else torch.arange(1, count + 1)
                start = ends[0] if self.capability == "interpolate" else ends[1]
                times = start[:, None] + second[:, None] * steps / rate
                blocks.append((f"{rate:g} fps", _between(row, observed, times, self.capability)))
            for clip in range(self.clips):
                lines: list[Line] = [(f"input, {self.context_rate:g} fps", observed.frames[clip], [])]
                if self.capability == "predict" and len(true := self._after(row)[clip]):
                    lines.append(("target", true, []))
                lines += [(label, frames[clip], []) for label, frames in blocks]
                name = slug(f"{row.group} {row.label} seed{row.seed} clip{clip}".strip())
                files.append(write_lines(folder / f"{name}.png", lines, width=0.6))
        return files

    def _after(self, row: Trained) -> Float[Tensor, "clip time channel height width"]:
        """The true frames of the predicted seconds, at the interval of the observed ones."""
        frames = whole_clips(row, self.clips).frames[:, :: self.stride]
        return frames[:, self.context : 2 * self.context - 1]


def task_of(
    capability: Literal["predict", "interpolate"], context: int, row: Trained, clips: int
) -> Predict | Interpolate:
    """Extrapolation from the first `context` frames, or interpolation of every second frame of the row's test clips."""
    if capability == "predict":
        return Predict(context=context)
    count = int(whole_clips(row, clips).times.shape[1])
    return Interpolate(stride=2, frames=count - (count - 1) % 2)


def whole_clips(row: Trained, clips: int) -> VideoClip:
    """Some of the row's test clips, evenly spaced in the test split; raises UserError if there are fewer."""
    query = query_of_row(row, clips, Predict(context=1))
    first, rest = query.observed, query.target
    assert isinstance(first, VideoClip)
    frames = torch.cat([first.frames, frames_of(query)[1]], dim=1)
    return VideoClip(frames, torch.cat([first.times, rest.times], dim=1))


def context_of(row: Trained, clips: int, context: int, stride: int) -> VideoClip:
    """The first `context` frames of some test clips, `stride` apart."""
    clip = whole_clips(row, clips)
    if clip.times.shape[1] <= (context - 1) * stride:
        raise UserError(
            f"The figure needs {context} frames with a stride of {stride}; the test clips of '{row.label}' have "
            f"{clip.times.shape[1]}. Lengthen `eval_sampling` or lower `context` or `stride`."
        )
    every = slice(0, (context - 1) * stride + 1, stride)
    return VideoClip(clip.frames[:, every], clip.times[:, every])


def frames_of(query: Query) -> tuple[Tensor, Tensor]:
    """The observed frames and the targets, both (clip, time, channel, height, width)."""
    assert isinstance(query.observed, VideoClip)
    return query.observed.frames, query.target.frames  # type: ignore[union-attr]


def write_lines(path: Path, lines: Sequence[Line], width: float = 0.9) -> Path:
    """Write an image with each line's frames side by side; in colour with three channels, else the first channel."""
    columns = max(len(frames) for _, frames, _ in lines)
    height, wide = lines[0][1].shape[-2:]
    size = 1.2 + width * columns, max(1.0, (width * height / wide + 0.14) * len(lines))
    figure, axes = canvas(len(lines), columns, size)
    for line, (label, frames, titles) in zip(axes, lines, strict=True):
        pictures = to_pictures(frames.float())
        for number, axis in enumerate(line):
            axis.set_axis_off()
            if number >= len(pictures):
                continue
            picture = pictures[number]
            if len(picture) == 3:
                axis.imshow(picture.transpose(1, 2, 0))
            else:
                axis.imshow(picture[0], cmap="gray", vmin=0, vmax=255)
            if number < len(titles):
                axis.set_title(titles[number], fontsize=6, pad=1)
        line[0].text(-0.1, 0.5, label, transform=line[0].transAxes, ha="right", va="center", fontsize=7)
    return save(figure, path, dots_per_inch=150)


def _between(row: Trained, observed: VideoClip, times: Tensor, capability: str = "interpolate") -> Tensor:
    system = row.system()
    if not isinstance(system, Interpolates if capability == "interpolate" else Predicts):
        raise UserError(
            f"'{row.label}' ({type(system).__name__}) does not implement `{capability}`. Leave the row out of the "
            "benchmark."
        )
    seeds = torch.full((len(times),), row.seed)
    try:
        with torch.inference_mode():
            prediction = getattr(system, capability)(observed, times, seeds=seeds)
    except UserError as error:
        raise UserError(f"'{row.label}': {error}") from error
    assert isinstance(prediction, VideoClip)
    return prediction.frames
