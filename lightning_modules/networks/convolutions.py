"""3-D convolutions that autocast leaves in float32 on a CPU, where their bfloat16 gradients are wrong."""

import torch
from torch import Tensor, nn


class Conv3d(nn.Conv3d):
    """A 3-D convolution, in float32 on a CPU even under autocast; elsewhere PyTorch's own.

    PyTorch's bfloat16 kernels for processors (measured: torch 2.15 with oneDNN, avx512_bf16) leave a part of the weight
    gradient unwritten if the time axis has two frames at a kernel of 3 (or one output pixel at a kernel of 4, stride
    2), and for some sizes write outside of their memory, which ends the process. Neither is an error message.
    """

    def forward(self, input: Tensor) -> Tensor:
        """The convolution of (B, C, T, H, W)."""
        if not _mixed_on_cpu(input):
            return super().forward(input)
        with torch.autocast("cpu", enabled=False):
            return super().forward(input.to(self.weight.dtype))


class ConvTranspose3d(nn.ConvTranspose3d):
    """The transposed `Conv3d`."""

    def forward(self, input: Tensor, output_size: list[int] | None = None) -> Tensor:
        """The transposed convolution of (B, C, T, H, W)."""
        if not _mixed_on_cpu(input):
            return super().forward(input, output_size)
        with torch.autocast("cpu", enabled=False):
            return super().forward(input.to(self.weight.dtype), output_size)


def _mixed_on_cpu(tensor: Tensor) -> bool:
    return tensor.device.type == "cpu" and torch.is_autocast_enabled("cpu")
