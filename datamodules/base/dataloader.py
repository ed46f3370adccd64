"""Data loading: which clips each process reads, in which order and batches, and where an interrupted run resumes."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from jaxtyping import Int64
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from datamodules.base.clip_source import KeypointSource, Source
from datamodules.base.rng import SHUFFLE, permutation
from datamodules.clip import Batch, KeypointClip, VideoClip, sample_id
from datamodules.sampling import Sampling

Request = tuple[int, int]
"""(epoch, index): with the seed, all that a sample depends on. It is taken from clip `index % number of clips`."""


def train_order(count: int, batch_size: int, *, rank: int, world: int, seed: int, epoch: int) -> list[list[int]]:
    """The batches of one process in one epoch of training.

    A permutation of `count` is split into global batches of `world * batch_size`, and each of those into equal parts:
    two processes with batch size 4 together see what one with batch size 8 sees. The incomplete last batch is dropped;
    its clips differ from epoch to epoch.
    """
    order = permutation(SHUFFLE, seed, epoch, count)
    whole = batch_size * world
    firsts = range(rank * batch_size, count - count % whole, whole)
    return [order[first : first + batch_size] for first in firsts]


def eval_order(count: int, batch_size: int, *, rank: int, world: int) -> list[list[int]]:
    """The batches of one process in evaluation: every clip once over all processes, unpadded."""
    mine = list(range(rank, count, world))
    return [mine[first : first + batch_size] for first in range(0, len(mine), batch_size)]


class ClipDataset(Dataset[Batch]):
    """The samples of a source, read in batches.

    Args:
        source: where the clips come from.
        clips: the indices of the source's clips that are used.
        sampling: which frames make up a sample.
        seed: with the request's epoch and index, all that a sample depends on.
        first_number: added to a clip's index in its id, so that the ids of two splits differ.
    """

    def __init__(
        self, source: Source, clips: Int64[np.ndarray, " used"], sampling: Sampling, *, seed: int, first_number: int = 0
    ) -> None:
        self.source = source
        self.clips = clips
        self.sampling = sampling
        self.seed = seed
        self.first_number = first_number
        self._labels = source.labels()
        self._origins = np.array([origin.number for origin in source.origins()], dtype=np.int64)
        self._keypoints = source if isinstance(source, KeypointSource) else None

    def __len__(self) -> int:
        return len(self.clips)

    def __getitem__(self, request: Request) -> Batch:
        return self.__getitems__([request])

    def __getitems__(self, requests: list[Request]) -> Batch:
        """The batch of these requests: frames uint8 (measured fields: float32), times float32."""
        epoch, indices = requests[0][0], np.array([index for _, index in requests], dtype=np.int64)
        if any(request[0] != epoch for request in requests):
            raise ValueError("The requests of a batch must be of one epoch.")
        clips = self.clips[indices % len(self.clips)]
        clip_times = [self.source.times(clip) for clip in clips.tolist()]
        lengths = np.array([len(times) for times in clip_times], dtype=np.int64)
        frames = self.sampling.batch(lengths, seed=self.seed, epoch=epoch, indices=indices)
        present = self.sampling.present(seed=self.seed, epoch=epoch, indices=indices)
        times = np.stack([row_times[row] for row_times, row in zip(clip_times, frames, strict=True)])
        pixels = self.source.read(clips, frames)
        valid = self.sampling.valid(self.source.size, seed=self.seed, epoch=epoch, indices=indices)
        if pixels.dtype != np.uint8 and (gaps := np.isnan(pixels)).any():
            there = np.asarray(~gaps.any(axis=2, keepdims=True))
            valid = there if valid is None else valid & there
        if not present.all():
            pixels[~present] = 0
        if valid is not None:
            pixels = np.where(valid, pixels, pixels.dtype.type(0))
        return Batch(
            clip=self._clip(
                clips, frames, pixels, torch.from_numpy((times - times[:, :1]).astype(np.float32)), present
            ),
            ids=torch.tensor(list(map(sample_id, (clips + self.first_number).tolist(), frames[:, 0].tolist()))),
            origins=torch.from_numpy(self._origins[clips]),
            labels=torch.from_numpy(self._labels[clips]),
            present=torch.from_numpy(present),
            valid=None if valid is None else torch.from_numpy(valid),
        )

    def _clip(
        self, clips: np.ndarray, frames: np.ndarray, pixels: np.ndarray, times: Tensor, present: np.ndarray
    ) -> VideoClip | KeypointClip:
        if self._keypoints is None:
            return VideoClip(torch.from_numpy(pixels), times)
        keypoints, confidence = self._keypoints.read_keypoints(clips, frames)
        confidence = confidence * present[..., None]
        return KeypointClip(torch.from_numpy(pixels), times, torch.from_numpy(keypoints), torch.from_numpy(confidence))


class ClipLoader:
    """The batches of a dataset, epoch by epoch; its state is saved, so that an interrupted run resumes where it was.

    It owns a DataLoader instead of being one: Lightning replaces the samplers of the DataLoaders it is given (by
    padding samplers in evaluation), and leaves other loaders alone.

    Args:
        dataset: where the samples come from.
        order: the batches of an epoch, as indices.
        epoch: returns the current epoch; called when the first batch of an epoch is requested.
        num_workers: processes that prefetch; 0 reads in this process, which is fast enough for a memory-mapped store.
        pin_memory: put batches into pinned memory, from which a GPU copies asynchronously.
    """

    def __init__(
        self,
        dataset: ClipDataset,
        order: Callable[[int], list[list[int]]],
        epoch: Callable[[], int],
        *,
        num_workers: int = 0,
        pin_memory: bool = False,
    ) -> None:
        self.dataset = dataset
        self._order = order
        self._epoch = epoch
        self._requests: list[list[Request]] = []
        self._position = (0, 0)
        self._resume: tuple[int, int] | None = None
        self._loader = DataLoader(
            dataset,
            batch_sampler=_BatchRequests(self),
            collate_fn=_identity,
            num_workers=num_workers,
            persistent_workers=num_workers > 0,
            pin_memory=pin_memory,
            # its own generator: one that advanced the global generator would disturb the state a resumed run restores
            generator=torch.Generator(),
        )

    def __len__(self) -> int:
        return len(self._order(0))

    def __iter__(self) -> Iterator[Batch]:
        # This runs at the first `next`: only then does the trainer know its epoch after loading a checkpoint.
        epoch = self._epoch()
        batches = self._order(epoch)
        resume, self._resume = self._resume, None
        done = resume[1] if resume is not None and resume[0] == epoch else 0
        self._position = (epoch, done)
        self._requests = [[(epoch, index) for index in batch] for batch in batches[done:]]
        for number, batch in enumerate(self._loader, start=done + 1):
            self._position = (epoch, number)
            yield batch

    def state_dict(self) -> dict[str, Any]:
        """The epoch, and how many of its batches were yielded."""
        return {"epoch": self._position[0], "batches": self._position[1]}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Resume after the batches that were yielded."""
        self._position = self._resume = (state["epoch"], state["batches"])


class _BatchRequests:
    """The loader's current requests, as the batch sampler of its DataLoader."""

    def __init__(self, owner: ClipLoader) -> None:
        self._owner = owner

    def __iter__(self) -> Iterator[list[Request]]:
        return iter(self._owner._requests)

    def __len__(self) -> int:
        return len(self._owner._requests)


def _identity(batch: Any) -> Any:
    return batch
