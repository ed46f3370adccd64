"""MODE-GAN's generators (Kim et al., BMVC 2021): a code to a motion (Table 2), a motion to a video (Table 4)."""

import math
from itertools import pairwise

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import interpolate, leaky_relu

from datamodules.errors import UserError
from lightning_modules.dynamics.base import Dynamics, Seeds
from lightning_modules.dynamics.mlp import MLP

Image = Float[Tensor, "frame channel height width"]
Maps = Float[Tensor, "frame joint tall wide"]
Appearance = Float[Tensor, "clip feature"]


class MotionGenerator(nn.Module):
    """h = dynamics(z_m), k = Q(h) (eq. 1): P is the dynamics' `initial`, f its `field`.

    Args:
        dynamics: from the code to the states; the diversity loss is on the states at time 0.
        readout: Q, from a state to K keypoints as 2 K values, or to the state of a trajectory. The table has no
            activation after it, so a keypoint can leave the image.
        code_size: length of z_m.
        bounded: keep keypoints in the image, by a tanh after Q. Far outside, a keypoint's heatmap is zero wherever it
            is, so the critics' gradient cannot bring it back.
    """

    def __init__(self, dynamics: Dynamics, readout: nn.Module, code_size: int = 128, bounded: bool = False) -> None:
        super().__init__()
        self.dynamics = dynamics
        self.readout = readout
        self.code_size = code_size
        self.bounded = bounded

    def forward(
        self, code: Float[Tensor, "batch code"], times: Float[Tensor, "batch time"], *, seeds: Seeds | None = None
    ) -> Float[Tensor, "batch time value"]:
        """The keypoints, or the trajectory's states, at `times` (model units)."""
        with torch.autocast(code.device.type, enabled=False):  # keypoints are places: bfloat16 would round them
            values = self.readout(self.dynamics(code, times, seeds=seeds))
            return values.tanh() if self.bounded else values

    def initial_value(self, code: Float[Tensor, "batch code"]) -> Float[Tensor, "batch *state"]:
        """h_0: the state at time 0."""
        return self.dynamics(code, code.new_zeros(len(code), 1))[:, 0]


class MotionToVideoGenerator(nn.Module):
    """Frames from heatmaps and an appearance code, each frame independently (Table 4, Fig. 3).

    The first feature map is the appearance feature as 512 x 4 x 4, as in the table (the text has L / 4 x 2 x 2, from
    which the table's four blocks would not reach 64 pixels). Each further block, with half the channels, doubles the
    size.

    Args:
        joints: number of heatmaps.
        channels: of a frame.
        size: side of the frames, a power of two from 8 on; 64 in the paper.
        width: channels of the last block at 64 pixels; the first map has eight times as many.
        code_size: length of z_a.
        hidden: width of the appearance layers and of each block's FC^n.
    """

    def __init__(
        self,
        joints: int,
        channels: int = 3,
        size: int = 64,
        width: int = 64,
        code_size: int = 128,
        hidden: int = 128,
    ) -> None:
        super().__init__()
        if size < 8 or size & (size - 1):
            raise UserError(f"Blocks double the size from 4x4 on: `size` must be a power of two from 8 on; got {size}.")
        blocks = int(math.log2(size)) - 2
        widths = [8 * width, *[max(1, 8 * width >> index) for index in range(blocks)]]  # 512: 512, 256, 128, 64, 32
        feature = widths[0] * 16
        self.appearance = nn.Sequential(
            MLP([code_size, hidden, hidden, hidden, feature], "leaky_relu"), nn.LeakyReLU(0.2)
        )
        self.blocks = nn.ModuleList(
            CompositionBlock(before, after, joints, feature, hidden) for before, after in pairwise(widths)
        )
        self.to_frame = nn.Conv2d(widths[-1], channels, 3, padding=1)
        self.joints = joints
        self.channels = channels
        self.code_size = code_size
        self.size = size

    def forward(
        self, code: Float[Tensor, "batch code"], heatmaps: Float[Tensor, "batch time joint size size"]
    ) -> Float[Tensor, "batch time channel height width"]:
        """One frame for each set of heatmaps; all frames of a clip have the same appearance."""
        batch, length = heatmaps.shape[:2]
        feature = self.appearance(code)
        frames = heatmaps.flatten(0, 1)
        image = feature.unflatten(1, (-1, 4, 4)).repeat_interleave(length, dim=0)
        for block in self.blocks:
            image = block(interpolate(image, scale_factor=2, mode="nearest"), frames, feature, length)
        return self.to_frame(image).tanh().unflatten(0, (batch, length))


class CompositionBlock(nn.Module):
    """Batch normalisation over all frames, scale and shift by motion and appearance (eq. 5, Fig. 3c), a convolution.

    gamma = a Conv(H) + (1 - a) FC(FC^n(f_a)), beta likewise with its own `a`: each a learned scalar in (0, 1),
    initially 0.5. Gamma's biases start at 1, so that a block initially passes on its normalised input. At test time the
    running statistics are used, so that a frame does not depend on the number of others. The heatmaps are resized
    bilinearly with antialiasing: without it a Gaussian narrower than a coarse pixel could vanish between samples.

    Args:
        before: channels in.
        after: channels out.
        joints: number of heatmaps.
        feature: length of the appearance feature f_a.
        hidden: length of FC^n(f_a).
    """

    def __init__(self, before: int, after: int, joints: int, feature: int, hidden: int) -> None:
        super().__init__()
        self.standardise = nn.BatchNorm2d(before, affine=False)
        self.project = nn.Sequential(nn.Linear(feature, hidden), nn.LeakyReLU(0.2))
        self.motion_scale = nn.Conv2d(joints, before, 3, padding=1)
        self.motion_shift = nn.Conv2d(joints, before, 3, padding=1)
        self.appearance_scale = nn.Linear(hidden, before)
        self.appearance_shift = nn.Linear(hidden, before)
        self.balance = nn.Parameter(torch.zeros(2))
        self.convolve = nn.Conv2d(before, after, 3, padding=1)
        for layer in (self.motion_scale, self.appearance_scale):
            assert layer.bias is not None
            nn.init.ones_(layer.bias)

    def forward(
        self, image: Image, heatmaps: Maps, feature: Appearance, length: int
    ) -> Float[Tensor, "frame after height width"]:
        """The next feature map of each frame; `feature` has one row per clip of `length` frames."""
        motion = interpolate(heatmaps, size=image.shape[-2:], mode="bilinear", antialias=True)
        appearance = self.project(feature)
        scale, shift = self.balance.sigmoid()
        gamma = scale * self.motion_scale(motion) + (1 - scale) * _spread(self.appearance_scale(appearance), length)
        beta = shift * self.motion_shift(motion) + (1 - shift) * _spread(self.appearance_shift(appearance), length)
        return self.convolve(leaky_relu(gamma * self.standardise(image) + beta, 0.2))


def _spread(vector: Float[Tensor, "clip channel"], length: int) -> Float[Tensor, "frame channel 1 1"]:
    """A vector per clip, repeated for each of its frames and broadcast to every pixel."""
    return vector.repeat_interleave(length, dim=0)[:, :, None, None]
