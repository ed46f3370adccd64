"""Augmentation: flips and rotations of whole clips, on the device, as a pure function of (seed, epoch, sample id)."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn.functional import affine_grid, grid_sample

from datamodules.base.rng import AUGMENT, uniforms
from datamodules.clip import Batch, KeypointClip, Trajectory, VideoClip
from datamodules.errors import UserError

Flips = Bool[Tensor, " batch"]
Angles = Float[Tensor, " batch"]
BLACK = -1.0


@dataclass(frozen=True)
class Augmentation:
    """One flip and one rotation per clip, black outside the rotated frame (Vid-ODE: flip, 10 degrees).

    Args:
        flip: mirror left and right with probability one half.
        rotate_degrees: rotate by an angle that is uniform between minus and plus this many degrees.
    """

    flip: bool = True
    rotate_degrees: float = 10.0

    def __post_init__(self) -> None:
        if not 0 <= self.rotate_degrees <= 180:
            raise UserError(f"rotate_degrees must be from 0 to 180; got {self.rotate_degrees}.")

    def sample_parameters(self, ids: Int[Tensor, " batch"], *, seed: int, epoch: int) -> tuple[Flips, Angles]:
        """Whether each clip is mirrored, and its angle of rotation in radians (counter-clockwise)."""
        numbers = torch.from_numpy(uniforms(AUGMENT, seed, epoch, ids.cpu().numpy(), 2))
        flips = (numbers[:, 0] < 0.5) & self.flip
        angles = torch.deg2rad((2 * numbers[:, 1] - 1) * self.rotate_degrees)
        return flips.to(ids.device), angles.float().to(ids.device)

    def __call__(self, batch: Batch, *, seed: int, epoch: int, joint_pairs: Sequence[tuple[int, int]] = ()) -> Batch:
        """The batch with each clip augmented by its own random parameters; its frames are float in [-1, 1]."""
        flips, angles = self.sample_parameters(batch.ids, seed=seed, epoch=epoch)
        if self.flip:
            batch = flip(batch, flips, joint_pairs)
        return rotate(batch, angles) if self.rotate_degrees else batch


def flip(batch: Batch, flips: Flips, joint_pairs: Sequence[tuple[int, int]] = ()) -> Batch:
    """Mirror the chosen clips left to right; the joints of each of the `joint_pairs` (left, right) are swapped."""
    choice, clip = flips[:, None, None, None, None], _pictures(batch)
    clip = clip._replace(frames=torch.where(choice, clip.frames.flip(-1), clip.frames))
    if isinstance(clip, KeypointClip):
        order = _swapped(clip.keypoints.shape[-2], joint_pairs).to(flips.device)
        mirrored = clip.keypoints[..., order, :] * clip.keypoints.new_tensor([-1.0, 1.0])
        clip = clip._replace(
            keypoints=torch.where(flips[:, None, None, None], mirrored, clip.keypoints),
            confidence=torch.where(flips[:, None, None], clip.confidence[..., order], clip.confidence),
        )
    valid = batch.valid
    if valid is not None:
        valid = torch.where(choice, valid.flip(-1), valid)
    return batch._replace(clip=clip, valid=valid)


def rotate(batch: Batch, angles: Angles) -> Batch:
    """Rotate each clip about its centre (radians, counter-clockwise), bilinear, black outside the frame."""
    clip = _pictures(batch)
    height, width = clip.frames.shape[-2:]
    cos, sin = angles.cos(), angles.sin()
    # In pixels a rotation is a rotation; in [-1, 1] coordinates the two axes have different units when H and W differ.
    aspect = (height - 1) / max(width - 1, 1)
    inverse = torch.stack([torch.stack([cos, -sin * aspect], -1), torch.stack([sin / aspect, cos], -1)], -2)
    forward = torch.stack([torch.stack([cos, sin * aspect], -1), torch.stack([-sin / aspect, cos], -1)], -2)
    clip = clip._replace(frames=_sample(clip.frames - BLACK, inverse) + BLACK)
    if isinstance(clip, KeypointClip):
        clip = clip._replace(keypoints=torch.einsum("bij,btkj->btki", forward, clip.keypoints))
    valid = batch.valid
    if valid is not None:
        # a pixel is valid when all pixels that it is interpolated from are
        valid = _sample(valid.to(clip.frames.dtype), inverse) > 1 - 1e-3
    return batch._replace(clip=clip, valid=valid)


def _pictures(batch: Batch) -> VideoClip | KeypointClip:
    if isinstance(batch.clip, Trajectory):
        raise UserError("A Trajectory has no pixels to mirror or rotate; set `augmentation: null`.")
    return batch.clip


def _sample(
    frames: Float[Tensor, "batch time channel height width"], matrices: Float[Tensor, "batch 2 2"]
) -> Float[Tensor, "batch time channel height width"]:
    stacked = frames.flatten(1, 2)
    theta = torch.cat([matrices, matrices.new_zeros(len(matrices), 2, 1)], dim=-1).to(frames.dtype)
    grid = affine_grid(theta, list(stacked.shape), align_corners=True)
    return grid_sample(stacked, grid, mode="bilinear", padding_mode="zeros", align_corners=True).view_as(frames)


def _swapped(joints: int, pairs: Sequence[tuple[int, int]]) -> Int[Tensor, " joint"]:
    order = torch.arange(joints)
    for left, right in pairs:
        order[[left, right]] = order[[right, left]]
    return order
