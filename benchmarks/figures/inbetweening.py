"""The inbetweening paper's figures: generated videos, the mean of many samples, decoded intermediate blocks."""

from abc import abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.figures.base import Figure, Trained, predicted_frames, query_of_row
from benchmarks.utils.errors import UserError
from benchmarks.utils.hashing import slug
from benchmarks.utils.pixels import to_pictures
from datamodules.files import atomic_path

if TYPE_CHECKING:
    from jaxtyping import Float
    from torch import Tensor

    from benchmarks.evaluation.tasks import Query
    from lightning_modules.system import System

GAP = 2
"""White pixels between two frames."""


class _Strips(Figure):
    """An image for each row of the benchmark: for each test clip several videos, each a strip of its frames.

    Args:
        clips: how many test clips are shown, evenly spaced in the test split.
        scale: factor by which frames are enlarged.
    """

    def __init__(self, clips: int = 2, scale: int = 2) -> None:
        if clips < 1 or scale < 1:
            raise UserError(f"clips and scale must be at least 1; got {clips} and {scale}.")
        self.clips = clips
        self.scale = scale

    def draw(self, rows: Sequence[Trained], folder: Path) -> list[Path]:
        """`<row>-s<seed>.png`, and the same as `.gif`, for every row."""
        import torch

        from benchmarks.evaluation.tasks import Inbetween
        from datamodules.storage.video_writer import write_video

        written = []
        for row in rows:
            system, query = row.system(), query_of_row(row, self.clips, Inbetween())
            with torch.inference_mode():
                videos = self.videos(system, query)
            path = folder / f"{slug(f'{row.group} {row.label}'.strip())}-s{row.seed}.png"
            write_strips(path, videos, self.scale)
            moving = torch.cat([torch.cat(list(block), dim=-1) for block in videos], dim=-2)
            rate = (query.times.shape[1] - 1) / float(query.times[0, -1] - query.times[0, 0])
            write_video(path.with_suffix(".gif"), to_pictures(moving, self.scale), rate)
            written += [path, path.with_suffix(".gif")]
        return written

    @abstractmethod
    def videos(self, system: "System", query: "Query") -> "Float[Tensor, 'clip strip time channel height width']":
        """For each clip the videos that are shown below one another."""


class Examples(_Strips):
    """Figure 2: the generated video, with the observed frames at its ends, above the original one."""

    def videos(self, system: "System", query: "Query") -> "Float[Tensor, 'clip 2 time channel height width']":
        """Generated and original."""
        import torch

        from benchmarks.evaluation.tasks import Inbetween

        return torch.stack([whole(query, predicted_frames(Inbetween(), system, query)), original(query)], dim=1)


class MeanOfSamples(_Strips):
    """Figure 3: the mean of many videos generated for the same two frames, above the original one.

    What all samples have in common stays sharp; what differs is blurred into the background.

    Args:
        clips: see `Examples`.
        scale: see `Examples`.
        num_samples: how many videos are averaged: 100 in the paper.
    """

    def __init__(self, clips: int = 2, scale: int = 2, num_samples: int = 100) -> None:
        super().__init__(clips, scale)
        if num_samples < 1:
            raise UserError(f"num_samples must be at least 1; got {num_samples}.")
        self.num_samples = num_samples

    def videos(self, system: "System", query: "Query") -> "Float[Tensor, 'clip 2 time channel height width']":
        """Mean and original."""
        import torch

        from benchmarks.evaluation.tasks import SEED_STEP, Inbetween

        total = torch.zeros_like(original(query))
        for sample in range(self.num_samples):
            reseeded = query._replace(seeds=query.seeds + sample * SEED_STEP)
            total += whole(query, predicted_frames(Inbetween(), system, reseeded))
        return torch.stack([total / self.num_samples, original(query)], dim=1)


class DecodedBlocks(_Strips):
    """Figure 4: the frames between the ends, decoded from the outputs of the latent generator's last blocks.

    Args:
        clips: see `Examples`.
        scale: see `Examples`.
        last: how many blocks, all at the full length: 8 in the paper.
    """

    def __init__(self, clips: int = 1, scale: int = 2, last: int = 8) -> None:
        super().__init__(clips, scale)
        self.last = last

    def videos(self, system: "System", query: "Query") -> "Float[Tensor, 'clip strip time channel height width']":
        """From the earliest block to the last, which is the model's output."""
        import torch

        from datamodules.clip import VideoClip
        from lightning_modules.inbetweening import Inbetweening

        if not isinstance(system, Inbetweening) or not isinstance(query.observed, VideoClip):
            raise UserError(
                f"This figure decodes the blocks of Inbetweening's latent generator; {type(system).__name__} has none. "
                "Leave the row out of the benchmark."
            )
        return torch.stack(system.decode_blocks(query.observed, seeds=query.seeds, last=self.last), dim=1)


def whole(
    query: "Query", between: "Float[Tensor, 'clip between channel height width']"
) -> "Float[Tensor, 'clip time channel height width']":
    """The observed first frame, the frames between, the observed last frame."""
    import torch

    from datamodules.clip import VideoClip

    assert isinstance(query.observed, VideoClip)
    observed = query.observed.frames
    return torch.cat([observed[:, :1], between.to(observed), observed[:, 1:]], dim=1)


def original(query: "Query") -> "Float[Tensor, 'clip time channel height width']":
    """The clip that the query was made from."""
    from datamodules.clip import Trajectory

    assert not isinstance(query.target, Trajectory)
    return whole(query, query.target.frames)


def write_strips(path: Path, videos: "Float[Tensor, 'clip strip time channel height width']", scale: int) -> None:
    """Write one image: a strip of frames for each video, those of one clip close together; atomically."""
    import numpy as np
    from PIL import Image

    lines = []
    for block in videos:
        for video in block:
            frames = to_pictures(video, scale)
            frames = np.repeat(frames, 3 // frames.shape[1], axis=1)
            framed = np.pad(frames, ((0, 0), (0, 0), (0, GAP), (0, GAP)), constant_values=255)
            lines.append(np.concatenate(list(framed.transpose(0, 2, 3, 1)), axis=1))
        lines.append(np.full((4 * GAP, *lines[-1].shape[1:]), 255, dtype=np.uint8))
    with atomic_path(path) as temporary:
        Image.fromarray(np.concatenate(lines[:-1])).save(temporary)
