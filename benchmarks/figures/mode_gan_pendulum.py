"""MODE-GAN's pendulum figures: what an ODE and an RNN make of angle and velocity (5, 12), and their states (10)."""

from collections.abc import Sequence
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor

from benchmarks.figures.base import Figure, Trained
from benchmarks.figures.plotting import canvas, save, save_numbers
from benchmarks.utils.errors import UserError
from datamodules.clip import Trajectory
from lightning_modules.motion_gan import MotionGAN


class PendulumCurves(Figure):
    """Angle and angular velocity over time, and where the bob is, for the data and each row (Figs 5 and 12).

    A row that was trained with several seeds is drawn once for each, every one a file of its own. Samples are those of
    the first seeds, not chosen.

    Args:
        samples: motions of each row: 1 as in Fig. 5, or more, as in Fig. 12.
        bob: whether the bob's path is drawn beside the curves.
    """

    def __init__(self, samples: int = 1, bob: bool = True) -> None:
        self.samples = samples
        self.bob = bob

    def draw(self, rows: Sequence[Trained], folder: Path) -> list[Path]:
        """`seed-<n>.png` and the curves' numbers in `seed-<n>.csv`."""
        files = []
        for seed in dict.fromkeys(row.seed for row in rows):
            chosen = [row for row in rows if row.seed == seed]
            truth = _pendulums(chosen[0], self.samples)
            motions = {"data": truth} | {row.label: sampled(row, truth.times) for row in chosen}
            files.append(self._picture(motions, folder / f"seed-{seed}.png"))
            numbers = (
                (label, sample, float(time), float(angle), float(speed))
                for label, motion in motions.items()
                for sample in range(self.samples)
                for time, (angle, speed) in zip(motion.times[sample], motion.values[sample], strict=True)
            )
            columns = ("row", "sample", "seconds", "angle", "velocity")
            files.append(save_numbers(folder / f"seed-{seed}.csv", columns, numbers))
        return files

    def _picture(self, motions: dict[str, Trajectory], path: Path) -> Path:
        figure, axes = canvas(
            len(motions), self.samples * (1 + self.bob), (3.6 * self.samples * (1 + self.bob), 2.2 * len(motions))
        )
        for line, (label, motion) in zip(axes, motions.items(), strict=True):
            line[0].set_ylabel(label)
            for sample in range(self.samples):
                angle, speed = motion.values[sample].T
                curves = line[sample * (1 + self.bob)]
                curves.plot(motion.times[sample], angle, ".-", label="angle (rad)", linewidth=1)
                curves.plot(motion.times[sample], speed, ".-", label="velocity (rad/s)", linewidth=1)
                curves.set_xlabel("seconds")
                curves.grid(alpha=0.3)
                if self.bob:
                    place = line[2 * sample + 1]
                    place.plot(angle.sin(), -angle.cos(), color="0.8", linewidth=1)
                    place.scatter(angle.sin(), -angle.cos(), c=motion.times[sample], s=12, cmap="viridis")
                    place.set(xlim=(-1.2, 1.2), ylim=(-1.2, 1.2), aspect="equal", title="the bob, dark to light")
        axes[0][0].legend(fontsize="x-small")
        return save(figure, path)


class PendulumStates(Figure):
    """What differs between the two generators: the states h between P and Q, over time, above what Q makes of them.

    Fig. 10 is a drawing of the two architectures; this is the same comparison of trained ones.

    Args:
        sample: the seed of the motion that is shown.
    """

    def __init__(self, sample: int = 0) -> None:
        self.sample = sample

    def draw(self, rows: Sequence[Trained], folder: Path) -> list[Path]:
        """`states.png`, of the rows' first seed, and `generators.csv` with their sizes."""
        chosen = [row for row in rows if row.seed == rows[0].seed]
        figure, axes = canvas(2, len(chosen), (4.2 * len(chosen), 5.0))
        numbers = []
        for column, row in enumerate(chosen):
            system = _motion_gan(row)
            network, seeds = system.network, torch.tensor([self.sample])
            times = _pendulums(row, 1).times
            motion = sampled(row, times, first_seed=self.sample)
            with torch.inference_mode():
                code = system.code(seeds)
                states = network.dynamics(code, system.model_time(times), seeds=seeds)[0]
            above, below = axes[:, column]
            above.imshow(states.T, aspect="auto", cmap="coolwarm", extent=(0, float(times[0, -1]), states.shape[1], 0))
            above.set(title=row.label, ylabel="states h" if not column else "")
            for values, name in zip(motion.values[0].T, ("angle (rad)", "velocity (rad/s)"), strict=True):
                below.plot(times[0], values, ".-", label=name, linewidth=1)
            below.set(xlabel="seconds")
            parameters = sum(parameter.numel() for parameter in network.parameters())
            numbers.append((row.label, parameters, system.function_evaluations))
        axes[1][0].legend(fontsize="x-small")
        columns = ("row", "parameters", "function_evaluations")
        return [save(figure, folder / "states.png"), save_numbers(folder / "generators.csv", columns, numbers)]


def sampled(row: Trained, times: Float[Tensor, "batch time"], first_seed: int = 0) -> Trajectory:
    """Motions of a trained row, of the seeds from `first_seed` on."""
    system = _motion_gan(row)
    with torch.inference_mode():
        motion = system.generate(times, seeds=torch.arange(first_seed, first_seed + len(times)))
    assert isinstance(motion, Trajectory)
    return motion


def _motion_gan(row: Trained) -> MotionGAN:
    system = row.system()
    if not isinstance(system, MotionGAN) or system.heatmaps is not None:
        raise UserError(f"'{row.label}' is a {type(system).__name__}; this figure draws a MotionGAN of trajectories.")
    return system


def _pendulums(row: Trained, count: int) -> Trajectory:
    """The first test motions of the data that the row was trained on."""
    data = row.data()
    data.prepare_data()
    data.setup("test")
    found: list[Trajectory] = []
    for batch in data.test_dataloader():
        clip = data.on_after_batch_transfer(batch, 0).clip
        if not isinstance(clip, Trajectory) or clip.values.shape[-1] != 2:
            raise UserError(f"'{row.label}' was not trained on pendulums: its data are {type(clip).__name__}s.")
        found.append(clip)
        if sum(len(clip.times) for clip in found) >= count:
            break
    return Trajectory(*(torch.cat(parts)[:count] for parts in zip(*found, strict=True)))
