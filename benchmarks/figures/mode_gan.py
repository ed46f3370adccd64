"""MODE-GAN's figures of frames: samples side by side, motion and appearance, transfer, frame rates, data."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from benchmarks.evaluation.tasks import Generates
from benchmarks.figures.base import Figure, Trained
from benchmarks.figures.plotting import canvas, save
from benchmarks.utils.errors import UserError
from benchmarks.utils.hashing import slug
from benchmarks.utils.pixels import to_pixels
from datamodules.clip import KeypointClip, VideoClip
from lightning_modules.mode_gan import ModeGAN

Frames = Float[Tensor, "time channel height width"]
Strip = UInt8[np.ndarray, "_ _ 3"]


class SideBySide(Figure):
    """Clips of every row below one another, an image for each group: Figs 4 and 15, and 20 at 20 frames per second.

    Args:
        samples: clips of each row, with the seeds 0, 1, 2, ...
        fps: frames per second of the generated clips.
        seconds: duration of the clips.
        shown: how many frames of each clip are shown, evenly spaced.
        data: whether real clips are shown above.
    """

    def __init__(
        self, samples: int = 2, fps: float = 16.0, seconds: float = 1.0, shown: int = 8, data: bool = True
    ) -> None:
        self.samples = samples
        self.fps = fps
        self.seconds = seconds
        self.shown = shown
        self.data = data

    def draw(self, rows: Sequence[Trained], folder: Path) -> list[Path]:
        """`<group>.png` for each group, of the first seed of each row."""
        files = []
        times = clock(self.seconds, self.fps)
        for group, members in by_group(rows).items():
            lines = [("real", clip) for clip in real_clips(members[0], self.samples)] if self.data else []
            for row in members:
                lines += [(row.label, clip) for clip in samples(row, times, range(self.samples))]
            files.append(page([(label, [spread(clip, self.shown)]) for label, clip in lines], folder / f"{group}.png"))
        return files


class MotionAgainstAppearance(Figure):
    """One motion with several appearances and one appearance with several motions: Fig. 7, and 16 to 19.

    Args:
        fixed: what is the same within a block of lines: the `motion`, the `appearance`, or `both`, one figure each.
        blocks: how many values of the fixed part.
        lines: how many values of the other part, each a line.
        fps: frames per second.
        seconds: duration of the clips.
        shown: how many frames of each clip are shown.
    """

    def __init__(
        self,
        fixed: Literal["motion", "appearance", "both"] = "both",
        blocks: int = 1,
        lines: int = 3,
        fps: float = 16.0,
        seconds: float = 1.0,
        shown: int = 8,
    ) -> None:
        self.fixed = fixed
        self.blocks = blocks
        self.lines = lines
        self.fps = fps
        self.seconds = seconds
        self.shown = shown

    def draw(self, rows: Sequence[Trained], folder: Path) -> list[Path]:
        """`<group>-fixed-motion.png` and `<group>-fixed-appearance.png`, as `fixed` says."""
        files = []
        times = clock(self.seconds, self.fps)
        for group, members in by_group(rows).items():
            system = joined(members[0])
            for fixed in ("motion", "appearance") if self.fixed == "both" else (self.fixed,):
                lines = []
                for block in range(self.blocks):
                    for line in range(self.lines):
                        seeds = (block, line) if fixed == "motion" else (line, block)
                        with torch.inference_mode():
                            clip = system.generate(
                                times, seeds=torch.tensor([0]),
                                motion_seeds=torch.tensor(seeds[:1]), appearance_seeds=torch.tensor(seeds[1:]),
                            )  # fmt: skip
                        lines.append((f"motion {seeds[0]}\nlook {seeds[1]}", [spread(clip.frames[0], self.shown)]))
                files.append(page(lines, folder / f"{group}-fixed-{fixed}.png"))
        return files


class MotionTransfer(Figure):
    """The motion learned from one data set with the appearance of another (Fig. 8).

    For each pair three lines: the motion in its own domain, its keypoints, and the same motion in the other domain.

    Args:
        pairs: the groups of rows that the motion and the appearance come from.
        seed: of the motion.
        fps: frames per second.
        seconds: duration of the clips.
        shown: how many frames of each clip are shown.
    """

    def __init__(
        self, pairs: list[tuple[str, str]], seed: int = 0, fps: float = 16.0, seconds: float = 1.0, shown: int = 8
    ) -> None:
        self.pairs = pairs
        self.seed = seed
        self.fps = fps
        self.seconds = seconds
        self.shown = shown

    def draw(self, rows: Sequence[Trained], folder: Path) -> list[Path]:
        """`<motion's group>-to-<appearance's group>.png` for each pair."""
        groups = {row.group: row for row in reversed(rows)}
        times, seeds = clock(self.seconds, self.fps), torch.tensor([self.seed])
        files = []
        for source, target in self.pairs:
            for group in (source, target):
                if group not in groups:
                    raise UserError(f"No row has the group '{group}'. Available: {', '.join(groups)}.")
            here, there = joined(groups[source]), joined(groups[target])
            with torch.inference_mode():
                motion = here.move(times, seeds=seeds)
                own, other = (system.video.render(motion, seeds=seeds).frames[0] for system in (here, there))
                maps = here.video.heatmaps(motion.keypoints)[0].amax(1, keepdim=True) * 2 - 1
            lines = {source: own, "keypoints": maps, target: other}
            name = f"{slug(source)}-to-{slug(target)}.png"
            strips = [(label, [spread(clip, self.shown)]) for label, clip in lines.items()]
            files.append(page(strips, folder / name))
        return files


class FrameRateGrids(Figure):
    """The same clips at several frame rates: an animated grid for each rate, and the frames of one clip (Fig. 9).

    Args:
        rates: frames per second.
        seconds: duration of the clips.
        samples: clips of each row, side by side in the animated grids.
        groups: the groups of rows to show; None is all. Leave out first stages, which generate no frames.
    """

    def __init__(
        self,
        rates: Sequence[float] = (16.0, 24.0, 64.0),
        seconds: float = 1.0,
        samples: int = 4,
        groups: Sequence[str] | None = None,
    ) -> None:
        self.rates = list(rates)
        self.seconds = seconds
        self.samples = samples
        self.groups = groups

    def draw(self, rows: Sequence[Trained], folder: Path) -> list[Path]:
        """`<group>-<rate>fps.gif` for each rate and `<group>.png`; a GIF shows at most 50 frames per second."""
        from datamodules.storage.video_writer import write_video

        files = []
        chosen = [row for row in rows if self.groups is None or row.group in self.groups]
        for group, members in by_group(chosen).items():
            lines = []
            for rate in self.rates:
                times = clock(self.seconds, rate)
                generated = [samples(row, times, range(self.samples)) for row in members]
                moving = [torch.cat([pixels(clip) for clip in clips], dim=-1) for clips in generated]
                path = folder / f"{group}-{rate:g}fps.gif"
                write_video(path, torch.cat(moving, dim=-2).numpy(), rate)
                files.append(path)
                lines += [
                    (f"{row.label}\n{rate:g} fps", [spread(clips[0], round(self.seconds * rate))])
                    for row, clips in zip(members, generated, strict=True)
                ]
            files.append(page(lines, folder / f"{group}.png"))
        return files


class RealFrames(Figure):
    """Frames of the data, sampled as in the evaluation (Fig. 13).

    Args:
        samples: clips of each data set.
        shown: how many frames of each clip are shown.
    """

    shows_scale = True

    def __init__(self, samples: int = 3, shown: int = 8) -> None:
        self.samples = samples
        self.shown = shown

    def draw(self, rows: Sequence[Trained], folder: Path) -> list[Path]:
        """`<group>.png` for each group."""
        return [
            page(
                [(group, [spread(clip, self.shown)]) for clip in real_clips(members[0], self.samples)],
                folder / f"{group}.png",
            )
            for group, members in by_group(rows).items()
        ]


def clock(seconds: float, fps: float) -> Float[Tensor, "1 time"]:
    """The times of one clip in seconds."""
    return torch.arange(max(1, round(seconds * fps)), dtype=torch.float64)[None].div(fps).float()


def by_group(rows: Sequence[Trained]) -> dict[str, list[Trained]]:
    """The rows of each group with the group's first seed, by the group's name in file names."""
    groups: dict[str, list[Trained]] = {}
    for row in rows:
        groups.setdefault(slug(row.group or "samples"), []).append(row)
    return {name: [row for row in members if row.seed == members[0].seed] for name, members in groups.items()}


def samples(row: Trained, times: Float[Tensor, "1 time"], seeds: Iterable[int]) -> list[Frames]:
    """Clips that a row's model generates, one call for each seed."""
    system = row.system()
    if not isinstance(system, Generates):
        raise UserError(f"'{row.label}' is a {type(system).__name__}, which does not implement `generate`.")
    clips = []
    with torch.inference_mode():
        for seed in seeds:
            clip = system.generate(times, seeds=torch.tensor([seed]))
            if not isinstance(clip, VideoClip | KeypointClip) or not clip.frames.shape[2]:
                raise UserError(f"'{row.label}' generates motions without frames; this figure shows frames.")
            clips.append(clip.frames[0])
    return clips


def joined(row: Trained) -> ModeGAN:
    """The row's ModeGAN."""
    system = row.system()
    if not isinstance(system, ModeGAN):
        raise UserError(f"This figure needs a ModeGAN (a row with `join`); '{row.label}' is a {type(system).__name__}.")
    return system


def real_clips(row: Trained, count: int) -> list[Frames]:
    """The first clips that the row is evaluated on."""
    data = row.data()
    data.prepare_data()
    data.setup("test")
    clips: list[Frames] = []
    for batch in data.test_dataloader():
        clip = data.on_after_batch_transfer(batch, 0).clip
        if not isinstance(clip, VideoClip | KeypointClip):
            raise UserError(f"The data of '{row.label}' have no frames: they are {type(clip).__name__}s.")
        clips += list(clip.frames)
        if len(clips) >= count:
            break
    return clips[:count]


def pixels(frames: Frames) -> UInt8[Tensor, "time 3 height width"]:
    """Frames in [-1, 1] as RGB pixels."""
    return to_pixels(frames).expand(-1, 3, -1, -1)


def spread(frames: Frames, count: int) -> Strip:
    """At most `count` frames, evenly spaced, side by side."""
    chosen = torch.linspace(0, len(frames) - 1, min(count, len(frames))).round().long()
    return torch.cat(list(pixels(frames[chosen])), dim=-1).permute(1, 2, 0).numpy()


def page(lines: Sequence[tuple[str, Sequence[Strip]]], path: Path) -> Path:
    """Write an image of labelled strips, one below the other."""
    strips = [strip for _, strips in lines for strip in strips]
    tall, wide = max(len(strip) for strip in strips), max(strip.shape[1] for strip in strips)
    width = min(14.0, max(4.0, wide / 64))
    figure, axes = canvas(len(lines), 1, (width + 1, max(0.5, width * tall / wide) * len(lines) + 0.2))
    for axis, (label, parts) in zip(axes[:, 0], lines, strict=True):
        axis.imshow(np.concatenate(parts, axis=1), interpolation="nearest")
        axis.set_ylabel(label, rotation=0, ha="right", va="center", fontsize="small")
        axis.set(xticks=[], yticks=[])
    return save(figure, path)
