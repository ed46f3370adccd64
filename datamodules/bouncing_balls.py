"""Bouncing balls: three hard discs in a box, simulated exactly, so that the true motion is known at any time.

The data of Sutskever et al. (2008) with the settings of ODE2VAE (Yildiz et al., 2019), which Vid-ODE compares on
(Fig. 4): a box of 10 x 10, three balls of radius 1.2 and mass 1, Gaussian velocities scaled so that the root of the sum
of the squared speeds is 0.5 per frame, 32x32 grey pixels. Initial positions are uniform in [2, 10] x [2, 10], sampled
again until no ball touches another or a wall. A ball is rendered as exp(-(d^2 / r^2)^4), where d is the distance of the
pixel's centre from the ball's; the balls are summed and clipped at 1.

Two things differ from the original program, which takes half-frame steps and reverses a ball after it has entered a
wall: here every collision happens at its exact time, and the centre of pixel i is at (i + 0.5) / 32 of the box. 20
frames of the original are one second here. Licence: simulated, nothing is downloaded. 1,000 training and 50 test clips
(Vid-ODE); the validation clips have other seeds.
"""

from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float32, Float64, Int64, UInt8

from datamodules.base.clip_source import Indices, Positions
from datamodules.base.module import Split
from datamodules.base.simulated import SimulatedDataModule, SimulatedSource
from datamodules.errors import UserError

BOX = 10.0
RADIUS = 1.2
SPEED = 0.5
BASE_RATE = 20.0
"""Frames per second of the original program: SPEED is per frame at this rate."""

_VERSION = 1

Points = Float64[np.ndarray, "clips balls 2"]


class Motion(NamedTuple):
    """Straight segments between collisions: segment e of clip n starts at `starts[n, e]`, or at inf if it has fewer."""

    starts: Float64[np.ndarray, "clips pieces"]
    positions: Float64[np.ndarray, "clips pieces balls 2"]
    velocities: Float64[np.ndarray, "clips pieces balls 2"]

    def at(self, times: Float64[np.ndarray, "clips time"]) -> Float64[np.ndarray, "clips time balls 2"]:
        """Where the balls are, in box units, at times in seconds."""
        segment = (times[:, :, None] >= self.starts[:, None]).sum(axis=2) - 1
        rows = np.arange(len(times))[:, None]
        elapsed = times - self.starts[rows, segment]
        return self.positions[rows, segment] + self.velocities[rows, segment] * elapsed[..., None, None]


def initial_state(seed: int, balls: int = 3) -> tuple[Float64[np.ndarray, "balls 2"], Float64[np.ndarray, "balls 2"]]:
    """Initial positions and velocities (box units, box units per second) of a seed."""
    random = np.random.Generator(np.random.Philox(seed))
    velocity = random.standard_normal((balls, 2))
    velocity *= SPEED * BASE_RATE / np.linalg.norm(velocity)
    for _ in range(100_000):
        position = random.uniform(2, BOX, (balls, 2))
        gaps = np.linalg.norm(position[:, None] - position[None], axis=2)[np.triu_indices(balls, 1)]
        if (position >= RADIUS).all() and (position <= BOX - RADIUS).all() and (gaps >= 2 * RADIUS).all():
            return position, velocity
    raise UserError(f"{balls} balls of radius {RADIUS} do not fit into a box of {BOX}; use fewer.")


def simulate(positions: Points, velocities: Points, duration: float) -> Motion:
    """The exact motion of equal discs in a box with elastic collisions, for at least `duration` seconds."""
    clips, balls = positions.shape[:2]
    position, velocity, now = positions.copy(), velocities.copy(), np.zeros(clips)
    first, second = np.triu_indices(balls, 1)
    segments = [(now.copy(), position.copy(), velocity.copy())]
    rows = np.arange(clips)
    while (running := now < duration).any():
        to_wall = _time_to_wall(position, velocity).reshape(clips, -1)
        to_ball = _time_to_ball(position[:, first] - position[:, second], velocity[:, first] - velocity[:, second])
        waits = np.concatenate([to_wall, to_ball], axis=1)
        event = waits.argmin(axis=1)
        wait = waits[rows, event]
        position += velocity * wait[:, None, None]
        now = now + wait
        wall = event < to_wall.shape[1]
        ball, axis = event[wall] // 2, event[wall] % 2
        velocity[rows[wall], ball, axis] *= -1
        pair = event[~wall] - to_wall.shape[1]
        _exchange(position, velocity, rows[~wall], first[pair], second[pair])
        segments.append((np.where(running, now, np.inf), position.copy(), velocity.copy()))
    starts, where, speeds = (np.stack(part, axis=1) for part in zip(*segments, strict=True))
    return Motion(starts, where, speeds)


def render(
    centres: Float64[np.ndarray, "*shape balls 2"], size: int = 32
) -> UInt8[np.ndarray, "*shape 1 {size} {size}"]:
    """Frames of balls at these centres (box units): x to the right, y down; 0 to 255."""
    pixel = (np.arange(size) + 0.5) * BOX / size
    squared_x = (pixel - centres[..., 0, None]) ** 2
    squared_y = (pixel - centres[..., 1, None]) ** 2
    squared = squared_y[..., :, None] + squared_x[..., None, :]
    light = np.exp(-((squared / RADIUS**2) ** 4)).sum(axis=-3)
    return np.round(255 * np.minimum(light, 1)).astype(np.uint8)[..., None, :, :]


class BouncingBallsSource(SimulatedSource):
    """The simulated clips of one split, rendered once and kept in memory.

    Args:
        seeds: one for each clip.
        num_frames: frames of each clip.
        frame_rate: frames per second; the motion does not depend on it: 4 times the rate shows the same motion at
            intermediate times too.
        size: side of the square frames in pixels.
    """

    channels = 1

    def __init__(self, seeds: range, num_frames: int, frame_rate: float, size: int = 32) -> None:
        times = np.arange(num_frames) / frame_rate
        super().__init__(_VERSION, seeds, times, (size, size), (frame_rate, size, BOX, RADIUS, SPEED))
        states = [initial_state(seed) for seed in seeds]
        motion = simulate(
            np.stack([position for position, _ in states]),
            np.stack([velocity for _, velocity in states]),
            times[-1],
        )
        self._centres = motion.at(np.broadcast_to(times, (len(seeds), num_frames)))
        self._frames = np.concatenate([render(centres, size) for centres in np.array_split(self._centres, 16)])

    def read(self, clips: Indices, frames: Positions) -> UInt8[np.ndarray, "batch time channel height width"]:
        """The frames at these positions, 0 to 255."""
        return self._frames[clips[:, None], frames]

    def read_keypoints(
        self, clips: Indices, frames: Positions
    ) -> tuple[Float32[np.ndarray, "batch time joint 2"], Float32[np.ndarray, "batch time joint"]]:
        """The balls' true centres (-1 and 1 are the centres of the first and last pixel), with confidence 1."""
        size = self.size[0]
        pixels = self._centres[clips[:, None], frames] * size / BOX - 0.5
        keypoints = (2 * pixels / (size - 1) - 1).astype(np.float32)
        return keypoints, np.ones(keypoints.shape[:-1], dtype=np.float32)


def _time_to_wall(position: Points, velocity: Points) -> Points:
    wall = np.where(velocity > 0, BOX - RADIUS, RADIUS)
    with np.errstate(divide="ignore", invalid="ignore"):
        wait = (wall - position) / velocity
    return np.where(velocity == 0, np.inf, np.maximum(wait, 0))


def _time_to_ball(
    gap: Float64[np.ndarray, "clips pairs 2"], closing: Float64[np.ndarray, "clips pairs 2"]
) -> Float64[np.ndarray, "clips pairs"]:
    """The first time at which |gap + closing t| = 2 r, for pairs that approach each other; inf for the others."""
    a, b = (closing**2).sum(-1), (gap * closing).sum(-1)
    c = (gap**2).sum(-1) - (2 * RADIUS) ** 2
    root = b**2 - a * c
    meets = (b < 0) & (root > 0)
    with np.errstate(divide="ignore", invalid="ignore"):
        wait = c / (-b + np.sqrt(np.where(meets, root, 0)))
    return np.where(meets, np.maximum(wait, 0), np.inf)


def _exchange(
    position: Points,
    velocity: Points,
    clip: Int64[np.ndarray, " events"],
    one: Int64[np.ndarray, " events"],
    other: Int64[np.ndarray, " events"],
) -> None:
    """Balls of equal mass exchange their velocities along the line between their centres."""
    line = position[clip, one] - position[clip, other]
    line /= np.linalg.norm(line, axis=1, keepdims=True)
    along = ((velocity[clip, one] - velocity[clip, other]) * line).sum(axis=1, keepdims=True) * line
    velocity[clip, one] -= along
    velocity[clip, other] += along


class BouncingBalls(SimulatedDataModule):
    """Three bouncing balls, 32x32, 20 frames at 20 frames per second.

    Args:
        train_clips: number of training clips.
        val_clips: number of validation clips, whose seeds no other split has.
        test_clips: number of test clips.
        length: frames of each clip.
        frame_rate: frames per second; 80 is four times the rate of the original, with the same motion.
        size: side of the frames in pixels.
        loading: see `ClipDataModule`.
    """

    name = "bouncing-balls"
    channels = 1

    def __init__(
        self,
        train_clips: int = 1000,
        val_clips: int = 50,
        test_clips: int = 50,
        length: int = 20,
        frame_rate: float = BASE_RATE,
        size: int = 32,
        **loading: Any,
    ) -> None:
        if size < 4:
            raise UserError(f"size must be at least 4 pixels; got {size}.")
        super().__init__(clips=(train_clips, val_clips, test_clips), length=length, size=(size, size), **loading)
        self.frame_rate = frame_rate

    def open(self, split: Split) -> BouncingBallsSource:
        """The balls of a split's seeds, simulated in about a second."""
        return BouncingBallsSource(self.seeds(split), self.length, self.frame_rate, self.size[0])
