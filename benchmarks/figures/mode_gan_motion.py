"""MODE-GAN's figures of keypoints and of metrics: motions over one second (6, 14), distance by frame rate (21)."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from benchmarks.figures.base import Figure, Trained
from benchmarks.figures.mode_gan import by_group, clock
from benchmarks.figures.plotting import canvas, save, save_numbers
from benchmarks.utils.errors import UserError
from datamodules.clip import KeypointClip
from lightning_modules.mode_gan import ModeGAN
from lightning_modules.motion_gan import MotionGAN

BODY = (
    (0, 1), (0, 2), (1, 3), (2, 4), (5, 6), (5, 7), (7, 9), (6, 8), (8, 10), (5, 11), (6, 12), (11, 12), (11, 13),
    (13, 15), (12, 14), (14, 16),
)  # fmt: skip
"""The bones of the 17 COCO joints; bones whose joints are dropped (the ankles) are not plotted."""


class KeypointTrails(Figure):
    """One second of motion at a high frame rate: every n-th pose opaque, the poses between faint (Figs 6 and 14).

    Args:
        samples: motions of each group.
        fps: poses per second.
        seconds: duration of the motions.
        every: every `every`-th pose is opaque.
        columns: the maximum number of opaque poses, shown from left to right.
        data: whether as many real motions are shown above, with all poses opaque.
    """

    def __init__(
        self,
        samples: int = 2,
        fps: float = 64.0,
        seconds: float = 1.0,
        every: int = 4,
        columns: int = 8,
        data: bool = False,
    ) -> None:
        self.samples = samples
        self.fps = fps
        self.seconds = seconds
        self.every = every
        self.columns = columns
        self.data = data

    def draw(self, rows: Sequence[Trained], folder: Path) -> list[Path]:
        """`<group>.png` with a line of poses for each motion, and the keypoints in `<group>.csv`."""
        files = []
        for group, members in by_group(rows).items():
            motions = self._real(members[0]) if self.data else []
            motions += [motion for row in members for motion in self._generated(row)]
            shown = min(self.columns, max(-(-len(motion.poses) // motion.every) for motion in motions))
            figure, axes = canvas(len(motions), shown, (1.6 * shown, 1.7 * len(motions)))
            for line, motion in zip(axes, motions, strict=True):
                line[0].set_ylabel(motion.label, fontsize="small")
                length = -(-len(motion.poses) // motion.every)
                for column, axis in enumerate(line):
                    first = round(column * (length - 1) / max(1, shown - 1)) * motion.every
                    faint = range(first, min(first + motion.every, len(motion.poses)))
                    for index in reversed(faint):
                        self._pose(axis, motion.poses[index], 1.0 if index == first else 0.25)
                    axis.set(xlim=(-1.1, 1.1), ylim=(1.1, -1.1), aspect="equal", xticks=[], yticks=[])
            files.append(save(figure, folder / f"{group}.png"))
            numbers = (
                (motion.label, number, float(seconds), joint, float(x), float(y))
                for number, motion in enumerate(motions)
                for seconds, pose in zip(motion.times, motion.poses, strict=True)
                for joint, (x, y) in enumerate(pose)
            )
            columns = ("row", "motion", "seconds", "joint", "x", "y")
            files.append(save_numbers(folder / f"{group}.csv", columns, numbers))
        return files

    def _generated(self, row: Trained) -> list["_Motion"]:
        system = row.system()
        motion = system.motion if isinstance(system, ModeGAN) else system
        if not isinstance(motion, MotionGAN):
            raise UserError(f"'{row.label}' is a {type(system).__name__}; this figure needs motions of keypoints.")
        times = clock(self.seconds, self.fps).expand(self.samples, -1)
        with torch.inference_mode():
            clip = motion.generate(times, seeds=torch.arange(self.samples))
        if not isinstance(clip, KeypointClip):
            raise UserError(f"'{row.label}' generates trajectories; this figure needs keypoints.")
        return [_Motion(row.label, poses, times[0], self.every) for poses in clip.keypoints]

    def _real(self, row: Trained) -> list["_Motion"]:
        """Test motions of the row, evenly spaced in the split, because data are often ordered by class."""
        data = row.data()
        data.prepare_data()
        data.setup("test")
        motions = []
        for batch in data.test_dataloader():
            if not isinstance(batch.clip, KeypointClip):
                raise UserError(f"The data of '{row.label}' have no keypoints: they are {type(batch.clip).__name__}s.")
            motions += [_Motion("real", poses, times, 1) for poses, times in zip(
                batch.clip.keypoints.float(), batch.clip.times, strict=True
            )]  # fmt: skip
        return [motions[index * len(motions) // self.samples] for index in range(min(self.samples, len(motions)))]

    def _pose(self, axis: object, pose: Float[Tensor, "joint 2"], strength: float) -> None:
        axis.scatter(*pose.T, s=8 * strength + 2, color="C0", alpha=strength)  # type: ignore[attr-defined]
        if 15 <= len(pose) <= 17:  # a body, with or without ankles; a face has 13
            for one, other in BODY:
                if max(one, other) < len(pose):
                    ends = pose[[one, other]].T
                    axis.plot(*ends, color="C0", alpha=strength, linewidth=1.2 * strength)  # type: ignore[attr-defined]


class _Motion(NamedTuple):
    label: str
    poses: Float[Tensor, "time joint 2"]
    times: Float[Tensor, " time"]
    every: int


class DistanceByFrameRate(Figure):
    """A metric against the frame rate of the generated clips, a curve for each row with its range over seeds (Fig. 21).

    Each row is evaluated on one task for each rate, `Generate(fps=...)`; without `fps` the rate is that of the data.

    Args:
        metric: the name of the metric.
        own_rate: the data's own frame rate.
    """

    shows_scale = True  # other real clips are the data's own curve

    def __init__(self, metric: str, own_rate: float = 16.0) -> None:
        self.metric = metric
        self.own_rate = own_rate

    def draw(self, rows: Sequence[Trained], folder: Path) -> list[Path]:
        """`<metric>.png` and `<metric>.csv`."""
        numbers = []
        for row in rows:
            for record in row.records:
                entry = record.metrics.get(self.metric)
                if entry is None:
                    raise UserError(
                        f"The records of '{row.label}' have no {self.metric}; they have {', '.join(record.metrics)}."
                    )
                if entry.value is not None:
                    rate = float(record.task.get("fps") or self.own_rate)
                    numbers.append((row.label, row.seed, rate, entry.value))
        numbers.sort(key=lambda line: line[2])
        files = [save_numbers(folder / f"{self.metric}.csv", ("row", "seed", "fps", self.metric), numbers)]
        if not numbers:
            return files  # a metric whose weights are not available is n/a in every record
        figure, axes = canvas(1, 1, (5.0, 3.4))
        for label in dict.fromkeys(row.label for row in rows):
            curve: dict[float, list[float]] = {}
            for name, _, rate, value in numbers:
                if name == label:
                    curve.setdefault(rate, []).append(value)
            if curve:
                means = [sum(values) / len(values) for values in curve.values()]
                axes[0][0].plot(list(curve), means, ".-", label=label)
                lows, highs = map(min, curve.values()), map(max, curve.values())
                axes[0][0].fill_between(list(curve), list(lows), list(highs), alpha=0.2)
        axes[0][0].set(xlabel="frames per second", ylabel=self.metric)
        axes[0][0].legend()
        return [save(figure, folder / f"{self.metric}.png"), *files]
