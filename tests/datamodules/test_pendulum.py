"""Pendulums: the laws of mechanics, and trajectories as the contract has them."""

import numpy as np
import torch
from scipy.integrate import solve_ivp

from datamodules.clip import Trajectory, check_clip
from datamodules.pendulum import Pendulum, Pendulums, pendulums, simulate
from datamodules.sampling import Regular


def test_without_friction_energy_stays_and_with_friction_it_falls() -> None:
    times = np.arange(50) * 0.1
    things = Pendulums(np.array([0.0, 0.4]), np.array([9.81, 9.81]), np.array([1.2, 1.2]))
    angle, speed = np.moveaxis(simulate(things, times), -1, 0)
    energy = speed**2 / 2 - 9.81 * np.cos(angle)
    np.testing.assert_allclose(energy[0], energy[0, 0], atol=1e-5)
    assert (np.diff(energy[1]) <= 1e-9).all()


def test_simulation_is_scipys() -> None:
    things, times = pendulums(range(5)), np.arange(40) * 0.1
    ours = simulate(things, times)
    for row, (damping, stiffness, angle) in enumerate(zip(*things, strict=True)):
        theirs = solve_ivp(
            lambda _, s, k=stiffness, b=damping: [s[1], -k * np.sin(s[0]) - b * s[1]],
            (0, times[-1]), [angle, 0.0], t_eval=times, rtol=1e-10, atol=1e-10,
        )  # fmt: skip
        np.testing.assert_allclose(ours[row], theirs.y.T, atol=1e-4)


def test_pendulums_keep_to_physics() -> None:
    things = pendulums(range(300))
    assert (things.damping >= 0).all()
    assert ((things.stiffness > 0) & (things.stiffness < 98.1)).all()
    assert (abs(things.angle) <= np.pi / 2).all()


def test_a_batch_is_of_trajectories() -> None:
    data = Pendulum(train_clips=4, val_clips=2, test_clips=2, length=16, sampling=Regular(16), batch_size=2)
    data.setup()
    batch = data.on_after_batch_transfer(next(iter(data.train_dataloader())), 0)
    assert isinstance(batch.clip, Trajectory)
    assert batch.clip.values.shape == (2, 16, 2)
    assert batch.clip.values.dtype == torch.float32
    check_clip(batch.clip)
