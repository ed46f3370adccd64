"""I3D at small frame sizes: about forty times cheaper than FVD's features, for comparisons on a CPU."""

from functools import cache
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from benchmarks.metrics.features.extractor import Extractor, Frames, Rows, coloured, in_parts, resized
from benchmarks.metrics.features.i3d import FEWEST_FRAMES, I3D
from benchmarks.pretrained.registry import SOURCES
from benchmarks.utils.errors import UserError


class SmallI3DFeatures(Extractor):
    """I3D's 400 logits for frames of `size` pixels, computed from its last block averaged over time and space.

    The network was trained at 224 x 224 pixels, for which FVD is defined (`I3DFeatures`): distances of these features
    rank clips of one size and are not comparable with published FVD. The size is part of the name.

    Args:
        size: side of the resized frames, at least 32.

    Raises:
        UserError: if the size is smaller.
    """

    trained: ClassVar[bool] = True
    fewest_frames: ClassVar[int] = FEWEST_FRAMES

    def __init__(self, size: int = 32) -> None:
        if size < 32:
            raise UserError(f"I3D halves frames five times and needs at least 32 pixels; got size={size}.")
        self.size = size

    @property
    def name(self) -> str:
        """For example i3d_logits_at_32px."""
        return f"i3d_logits_at_{self.size}px"

    @property
    def protocol(self) -> dict[str, str]:
        """See `Extractor`."""
        return {
            "extractor": self.name,
            "sha256": str(SOURCES["i3d_kinetics400"].sha256),
            "resize": f"{self.size}x{self.size} bilinear antialiased",
        }

    def prepare(self) -> None:
        """See `Extractor`."""
        _network()

    def __call__(self, frames: Frames) -> Rows:
        """See `Extractor`; computed in small batches, so that memory is bounded."""
        network = _network()
        means = in_parts(network, frames, self._seen, on_cpu=4, elsewhere=64)
        with torch.no_grad():
            return network.Logits["Conv3d_0c_1x1"](means[..., None, None, None]).flatten(1)

    def _seen(self, frames: Frames) -> Float[Tensor, "batch 3 time new_height new_width"]:
        return resized(coloured(frames), (self.size, self.size), "bilinear").transpose(1, 2)


@cache
def _network() -> I3D:
    return I3D.pretrained("mixed5c")
