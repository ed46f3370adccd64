"""I3D at its clips' own, small size: some forty times cheaper than FVD's features, for comparisons on one processor."""

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
    """I3D's 400 logits from frames of `size` pixels, of the mean of its last block over time and place.

    The network learnt from 224 x 224 pixels, and FVD is defined there (`I3DFeatures`): distances of these features rank
    clips of one size among themselves and mean nothing beside published ones. The name says the size.

    Args:
        size: side of the frames that the network sees, at least 32.

    Raises:
        UserError: for a smaller size.
    """

    trained: ClassVar[bool] = True
    fewest_frames: ClassVar[int] = FEWEST_FRAMES

    def __init__(self, size: int = 32) -> None:
        if size < 32:
            raise UserError(f"I3D halves frames five times, so they have 32 pixels at least; got {size}.")
        self.size = size

    @property
    def name(self) -> str:
        """With the size, on which everything depends."""
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
        """See `Extractor`; a few clips at a time, so that memory is bounded."""
        network = _network()
        means = in_parts(network, frames, self._seen, on_cpu=4, elsewhere=64)
        with torch.no_grad():
            return network.Logits["Conv3d_0c_1x1"](means[..., None, None, None]).flatten(1)

    def _seen(self, frames: Frames) -> Float[Tensor, "batch 3 time new_height new_width"]:
        return resized(coloured(frames), (self.size, self.size), "bilinear").transpose(1, 2)


@cache
def _network() -> I3D:
    return I3D.pretrained("mixed5c")
