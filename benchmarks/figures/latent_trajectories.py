"""Figs 1 and 2 of latent neural differential equations, for trained models: latent trajectories, and their frames."""

from collections.abc import Sequence
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor

from benchmarks.figures.base import Figure, Trained
from benchmarks.figures.latent_gan import gan_of, generate_clips, times_of
from benchmarks.figures.plotting import canvas, save, save_numbers
from lightning_modules.dynamics.base import OffGridError
from lightning_modules.latent_dynamics import LatentDynamicsGAN

_FINE = 8
_WIDE = 5


class LatentTrajectories(Figure):
    """For each row the states z_t of several codes in their first two principal components, above frames of the first.

    Trajectories of continuous temporal models are plotted at eight times the frame rate, with dots at the frames; those
    of discrete models as dots joined by dashed lines, because they have no states in between (Fig. 2). Stochastic
    models have several trajectories for one code, which are plotted faintly.

    Args:
        codes: number of codes.
        paths: number of trajectories of the first code, for stochastic models.
        frames: how many frames of the first clip are shown (Fig. 1).
    """

    def __init__(self, codes: int = 6, paths: int = 12, frames: int = 8) -> None:
        self.codes = codes
        self.paths = paths
        self.frames = frames

    def draw(self, rows: Sequence[Trained], folder: Path) -> list[Path]:
        """`trajectories.png` of the rows' first seed, and the plotted states in `trajectories.csv`."""
        chosen = [row for row in rows if row.seed == rows[0].seed]
        wide = min(len(chosen), _WIDE)
        high = -(-len(chosen) // wide)
        figure, axes = canvas(2 * high, wide, (2.9 * wide, 4.2 * high), gridspec_kw={"height_ratios": [4, 1] * high})
        for empty in axes.flat:
            empty.axis("off")
        panels = [
            (axes[2 * line, column], axes[2 * line + 1, column]) for line in range(high) for column in range(wide)
        ]
        numbers: list[tuple[str, int, float, float, float]] = []
        for (above, below), row in zip(panels, chosen, strict=False):
            above.axis("on")
            system, times = gan_of(row), times_of(row)
            fine, states, ways = self._states(system, times)
            mean, plane, share = _plane(states.flatten(0, 1))
            for way in ((ways - mean) @ plane).numpy():
                above.plot(*way.T, color="0.8", linewidth=0.7)
            stride = _FINE if len(fine) > len(times) else 1
            for code, path in enumerate(((states - mean) @ plane).numpy()):
                above.plot(*path.T, "-" if stride > 1 else "--", linewidth=1, color=f"C{code}")
                above.plot(*path[::stride].T, ".", markersize=4, color=f"C{code}")
                numbers += [
                    (row.label, code, float(t), float(x), float(y)) for t, (x, y) in zip(fine, path, strict=True)
                ]
            above.set(title=row.label, xlabel=f"{share:.0%} of the variance", xticks=[], yticks=[])
            shown = torch.linspace(0, len(times) - 1, self.frames).round().long()
            clip = generate_clips(system, times, 1)[0, shown].clamp(-1, 1)
            strip = ((clip + 1) / 2).permute(2, 0, 3, 1).flatten(1, 2)
            below.imshow(strip.expand(-1, -1, 3).numpy(), interpolation="nearest")
        columns = ("row", "code", "seconds", "x", "y")
        return [
            save(figure, folder / "trajectories.png"),
            save_numbers(folder / "trajectories.csv", columns, numbers),
        ]

    @torch.no_grad()
    def _states(
        self, system: LatentDynamicsGAN, times: Float[Tensor, " time"]
    ) -> tuple[Float[Tensor, " fine"], Float[Tensor, "code fine state"], Float[Tensor, "path fine state"]]:
        """The times, the states of the first codes at these times, and further trajectories of the first code."""
        fine = torch.linspace(float(times[0]), float(times[-1]), (len(times) - 1) * _FINE + 1)
        try:
            codes, states = _codes_and_states(system, fine, self.codes)
        except OffGridError:
            fine = times
            codes, states = _codes_and_states(system, fine, self.codes)
        model_times = system.model_time(fine).expand(self.paths, -1)
        same = codes[:1].expand(self.paths, *codes.shape[1:])
        ways = system.network.dynamics(same, model_times, seeds=torch.arange(self.paths) + 1)
        return fine, states.flatten(2), ways.flatten(2)


def _codes_and_states(system: LatentDynamicsGAN, times: Float[Tensor, " time"], count: int) -> tuple[Tensor, Tensor]:
    """The inputs and outputs of the dynamics when clips with the seeds 0, 1, 2, ... are generated."""
    calls: list[tuple[Tensor, Tensor]] = []
    handle = system.network.dynamics.register_forward_hook(
        lambda _, inputs, states: calls.append((inputs[0], states.detach()))
    )
    try:
        system.generate(times.expand(count, -1), seeds=torch.arange(count))
    finally:
        handle.remove()
    return calls[0]


def _plane(points: Float[Tensor, "point state"]) -> tuple[Float[Tensor, " state"], Float[Tensor, "state 2"], float]:
    """The mean of the points, their first two principal directions, and the share of the variance in these."""
    mean = points.mean(0)
    _, sizes, directions = torch.linalg.svd(points - mean, full_matrices=False)
    return mean, directions[:2].T, float(sizes[:2].square().sum() / sizes.square().sum())
