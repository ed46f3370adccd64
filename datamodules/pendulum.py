"""Pendulums: the angle and angular velocity of damped pendulums, integrated to float64's accuracy.

MODE-GAN's experiment (Kim et al., BMVC 2021, eq. 8, Section B.4): theta'' + (B / M) theta' + (g / L) sin theta = 0 with
g = 9.81, B, L and M from normal distributions with means 0.2, 1 and 1 and unit variance, 1,000 trajectories, a step of
0.1 s. Taken literally, lengths and masses can be negative and motions diverge, so they are sampled again until L and M
exceed 0.1 and B is not negative. The paper gives no initial states; ours have an angle uniform in [-pi/2, pi/2], at
rest. As in the paper, integration is by the fourth-order Runge-Kutta method, here in steps of at most 0.01 s. Licence:
simulated, nothing is downloaded.
"""

import math
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float32, Float64, UInt8

from datamodules.base.clip_source import Indices, Positions
from datamodules.base.module import Split
from datamodules.base.simulated import SimulatedDataModule, SimulatedSource
from datamodules.clip import Batch, KeypointClip, Trajectory

GRAVITY = 9.81
STEP = 0.1
"""Seconds between the samples of a trajectory."""

_FINEST = 0.01

Parameters = Float64[np.ndarray, " pendulum"]


class Pendulums(NamedTuple):
    """The parameters of pendulums: damping B / M, stiffness g / L, and the initial angle in radians."""

    damping: Parameters
    stiffness: Parameters
    angle: Parameters


def pendulums(seeds: range) -> Pendulums:
    """The pendulums of these seeds."""
    rows = []
    for seed in seeds:
        random = np.random.Generator(np.random.Philox(seed))
        while True:
            damping, length, mass = random.normal((0.2, 1.0, 1.0), 1.0)
            if damping >= 0 and length > 0.1 and mass > 0.1:
                break
        rows.append((damping / mass, GRAVITY / length, random.uniform(-math.pi / 2, math.pi / 2)))
    return Pendulums(*np.array(rows, dtype=np.float64).T)


def simulate(things: Pendulums, times: Float64[np.ndarray, " time"]) -> Float64[np.ndarray, "pendulum time 2"]:
    """Angle and angular velocity at increasing times from 0 on, by the classical fourth-order Runge-Kutta method."""

    def slope(state: np.ndarray) -> np.ndarray:
        return np.stack([state[1], -things.stiffness * np.sin(state[0]) - things.damping * state[1]])

    state, now, states = np.stack([things.angle, np.zeros_like(things.angle)]), 0.0, []
    for time in times:
        steps = max(1, math.ceil((time - now) / _FINEST - 1e-9))
        h = (time - now) / steps
        for _ in range(steps if time > now else 0):
            a = slope(state)
            b = slope(state + h / 2 * a)
            c = slope(state + h / 2 * b)
            d = slope(state + h * c)
            state = state + h / 6 * (a + 2 * b + 2 * c + d)
        now = float(time)
        states.append(state.T)
    return np.stack(states, axis=1)


class PendulumSource(SimulatedSource):
    """Simulated trajectories of one split: frames without channels, and one "joint" at (angle, angular velocity)."""

    channels = 0

    def __init__(self, seeds: range, length: int) -> None:
        super().__init__(1, seeds, np.arange(length) * STEP, (1, 1), (STEP, GRAVITY))
        self._states = simulate(pendulums(seeds), self._times)

    def read(self, clips: Indices, frames: Positions) -> UInt8[np.ndarray, "batch time channel height width"]:
        """No pixels."""
        return np.zeros((*frames.shape, 0, 1, 1), dtype=np.uint8)

    def read_keypoints(
        self, clips: Indices, frames: Positions
    ) -> tuple[Float32[np.ndarray, "batch time joint 2"], Float32[np.ndarray, "batch time joint"]]:
        """Angle and angular velocity, which `Pendulum` turns into a Trajectory."""
        states = self._states[clips[:, None], frames][:, :, None].astype(np.float32)
        return states, np.ones(states.shape[:-1], dtype=np.float32)


class Pendulum(SimulatedDataModule):
    """Damped pendulums as Trajectories of angle (radians) and angular velocity (radians per second).

    Args:
        train_clips: number of training trajectories.
        val_clips: number of validation trajectories, whose seeds no other split has.
        test_clips: number of test trajectories.
        length: time steps of each, 0.1 s apart.
        loading: see `ClipDataModule`.
    """

    name = "pendulum"
    channels = 0
    frame_rate = 1 / STEP

    def __init__(
        self,
        train_clips: int = 1000,
        val_clips: int = 200,
        test_clips: int = 1000,
        length: int = 64,
        **loading: Any,
    ) -> None:
        super().__init__(clips=(train_clips, val_clips, test_clips), length=length, size=(1, 1), **loading)

    def open(self, split: Split) -> PendulumSource:
        """The pendulums of a split's seeds."""
        return PendulumSource(self.seeds(split), self.length)

    def on_after_batch_transfer(self, batch: Batch, dataloader_idx: int) -> Batch:
        """Turn the batch into one of Trajectories: the only joint is the state."""
        clip = batch.clip
        assert isinstance(clip, KeypointClip)
        return batch._replace(clip=Trajectory(clip.keypoints[..., 0, :], clip.times))
