"""TGAN's Lipschitz constraint: singular values and batch-norm gains of a critic clipped in place."""

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm


@torch.no_grad()
def clip_singular_values(critic: nn.Module) -> None:
    """Bound the spectral norm of every linear map of a critic by 1, in place (Saito et al., ICCV 2017, Section 4).

    A convolution's weight is read as a matrix (outputs, everything else), whose singular values above 1 become 1. A
    batch norm's gain is clipped to [0.01 s, s], s the running standard deviation of its input, so that its factor
    is at most 1 too (public code).
    """
    for layer in critic.modules():
        if isinstance(layer, nn.Conv1d | nn.Conv2d | nn.Conv3d):
            matrix = layer.weight.flatten(1)
            wide = matrix.double()
            # W W' is small; its eigenvalues are W's squared singular values, its eigenvectors W's left singular vectors
            squares, vectors = torch.linalg.eigh(wide @ wide.T)
            above = squares > 1
            if bool(above.any()):
                kept = vectors[:, above]
                shrink = squares[above].rsqrt() - 1
                wide += (kept * shrink) @ (kept.T @ wide)
                layer.weight.copy_(wide.reshape(layer.weight.shape))
        elif isinstance(layer, _BatchNorm):
            assert layer.running_var is not None
            deviation = layer.running_var.sqrt()
            layer.weight.copy_(torch.minimum(torch.maximum(layer.weight, 0.01 * deviation), deviation))
