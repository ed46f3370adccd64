"""ClipDataModule: the base of all data sets; disjoint splits, loaders, conversion to floats and augmentation."""

import hashlib
import os
import warnings
from abc import ABC, abstractmethod
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from jaxtyping import Int, Int64
from lightning import LightningDataModule

from datamodules.augmentation import Augmentation
from datamodules.base.clip_source import Source
from datamodules.base.dataloader import ClipDataset, ClipLoader, eval_order, train_order
from datamodules.base.other_clips import OtherClips, WholeClip, whole_clips
from datamodules.base.rng import seed_of_run
from datamodules.clip import Batch, KeypointClip, VideoClip, source_of, start_of
from datamodules.errors import UserError
from datamodules.sampling import Sampling

Split = Literal["train", "val", "test"]
SPLITS: tuple[Split, ...] = ("train", "val", "test")
EVAL_SEED = 0
"""Of the samples of val, test and predict, whatever the run's seed."""
_FIRST_NUMBER: dict[Split, int] = {"train": 0, "val": 1 << 22, "test": 2 << 22}


class ClipDataModule(LightningDataModule, ABC):
    """The clips of a data set, as a LightningDataModule.

    A subclass defines `name`, `channels`, `size`, `prepare_data` and `open`.

    Args:
        sampling: which frames make up a training sample.
        eval_sampling: which frames make up a val, test or predict sample; None is that of training. There is one
            sample per clip, the same in every epoch; Vid-ODE's protocol is `start: first`.
        batch_size: clips per process and step.
        eval_batch_size: the same in val, test and predict; None is that of training.
        augmentation: of training clips only; None for none.
        seed: with the epoch and the index, all that training samples, their order and their augmentation depend on.
            None is the run's seed (`--seed_everything`, in Python Lightning's `seed_everything`; 0 without one),
            which checkpoints hold, so that a resumed run goes on in the same order. It moves neither the clips of a
            data set, nor its splits, nor what is sampled in val, test and predict: all runs are evaluated alike.
        num_workers: processes that prefetch; 0 reads in the main process, which is fast enough for a memory-mapped
            store.
        root: the folder of prepared data; None is `$CHRONOREEL_DATA`, or `data`.
        windows_per_clip: how many samples of each clip an epoch of training has.
        short_clips: raise an error if a clip is shorter than a sample, or exclude such clips with a warning.
        joint_pairs: (left, right) keypoints that are swapped when a clip is mirrored.
        test_split: the split that tests evaluate on. `train` is for papers that hold nothing out (MODE-GAN compares
            generated clips with its training clips); the id of the data in the record then contains `train`.
    """

    name: str
    """The data set's name in records and folders: a class attribute of every data set."""

    def __init__(
        self,
        *,
        sampling: Sampling,
        eval_sampling: Sampling | None = None,
        batch_size: int = 8,
        eval_batch_size: int | None = None,
        augmentation: Augmentation | None = None,
        seed: int | None = None,
        num_workers: int = 0,
        root: str | None = None,
        windows_per_clip: int = 1,
        short_clips: Literal["raise", "exclude"] = "raise",
        joint_pairs: tuple[tuple[int, int], ...] = (),
        test_split: Split = "test",
    ) -> None:
        super().__init__()
        for argument, value in [("batch_size", batch_size), ("windows_per_clip", windows_per_clip)]:
            if value < 1:
                raise UserError(f"{argument} must be at least 1; got {value}.")
        self.sampling = sampling
        self.eval_sampling = eval_sampling or sampling
        self.batch_size = batch_size
        self.eval_batch_size = eval_batch_size or batch_size
        self.augmentation = augmentation
        self.seed = seed
        self.num_workers = num_workers
        self.root = Path(root or os.environ.get("CHRONOREEL_DATA", "data"))
        self.windows_per_clip = windows_per_clip
        self.short_clips = short_clips
        self.joint_pairs = joint_pairs
        self.test_split: Split = test_split
        if test_split == "train" and self.eval_sampling.span > sampling.span:
            raise UserError(
                "With `test_split: train`, test samples must not span more frames than training samples: "
                f"{self.eval_sampling.span} against {sampling.span}. Shorten `eval_sampling`."
            )
        self._run_seed: int | None = None
        self._sources: dict[Split, Source] = {}
        self._used: dict[Split, Int64[np.ndarray, " used"]] = {}

    @property
    @abstractmethod
    def channels(self) -> int:
        """1 for grey, 3 for colour; known before the data are prepared."""

    @property
    @abstractmethod
    def size(self) -> tuple[int, int]:
        """Height and width in pixels; known before the data are prepared."""

    @abstractmethod
    def prepare_data(self) -> None:
        """Prepare the data under `root`, once, in one process; returns immediately if they are prepared."""

    @abstractmethod
    def open(self, split: Split) -> Source:
        """The clips of a split, which may be empty."""

    def setup(self, stage: str | None = None) -> None:
        """Open all splits, check that they share no clip, and find the clips that are long enough.

        Raises:
            UserError: if two splits share an origin, or a clip is too short and `short_clips` is "raise".
        """
        if stage == "fit":  # another fit may be another run
            self._run_seed = seed_of_run()
        if self._sources:
            return
        sources = {split: self.open(split) for split in SPLITS}
        check_disjoint(sources)
        self._used = {split: self._long_enough(split, source) for split, source in sources.items()}
        self._sources = sources

    @property
    def train_seed(self) -> int:
        """The seed of training samples, their order and their augmentation."""
        if self.seed is not None:
            return self.seed
        return seed_of_run() if self._run_seed is None else self._run_seed

    def state_dict(self) -> dict[str, Any]:
        """The seed of training, for a checkpoint."""
        return {"train_seed": self.train_seed}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on with the seed of the run that is resumed."""
        self._run_seed = state_dict["train_seed"]

    def source(self, split: Split) -> Source:
        """The clips of a split, all of them, as `setup` opened them."""
        self.setup()
        return self._sources[split]

    def dataset(self, split: Split, *, evaluated: bool = False) -> ClipDataset:
        """The samples of a split; with `evaluated`, training clips are sampled by `eval_sampling`."""
        source = self.source(split)
        if not len(self._used[split]):
            raise UserError(
                f"{self.name} has no {split} clips. Add some, or skip the stage (`--trainer.limit_{split}_batches=0`)."
            )
        training = split == "train" and not evaluated
        return ClipDataset(
            source,
            self._used[split],
            self.sampling if training else self.eval_sampling,
            seed=self.train_seed if training else EVAL_SEED,
            first_number=_FIRST_NUMBER[split],
        )

    def used_clips(self, split: Split) -> Int64[np.ndarray, " used"]:
        """The indices of a split's clips that are long enough for a sample."""
        self.setup()
        return self._used[split]

    def first_number(self, split: Split) -> int:
        """What is added to a clip's index in the ids of a split, so that the ids of two splits differ."""
        return _FIRST_NUMBER[split]

    def other_clips(self, split: Split) -> OtherClips:
        """Real clips of a split that are not those evaluated, for baselines."""
        return OtherClips(self, split, EVAL_SEED)

    def whole_clips(self, split: Split) -> Iterator[WholeClip]:
        """Every frame of a split's clips, in parts of at most 64 frames."""
        return whole_clips(self, split)

    def place(self, ids: Int[torch.Tensor, " batch"]) -> list[tuple[int, float]]:
        """Of each sample its origin, and when it starts, in seconds since the first frame of its source clip."""
        places = []
        for number, frame in zip(source_of(ids).tolist(), start_of(ids).tolist(), strict=True):
            split = max((split for split in SPLITS if _FIRST_NUMBER[split] <= number), key=_FIRST_NUMBER.__getitem__)
            source, clip = self.source(split), number - _FIRST_NUMBER[split]
            places.append((source.origins()[clip].number, float(source.times(clip)[frame])))
        return places

    def data_id(self, split: Split) -> str:
        """A readable name and a short hash of the content, for records: equal ids mean equal clips.

        That of `test` is the id of `test_split`.
        """
        split = self.test_split if split == "test" else split
        source = self.source(split)
        content = hashlib.sha256(f"{source.fingerprint} {self._used[split].tolist()}".encode()).hexdigest()[:8]
        return f"{self.name}-{side_of(self.size)}px-{self.channels}ch-{split}-{content}"

    def train_dataloader(self) -> ClipLoader:
        """Shuffled, without the incomplete last batch; with `overfit_batches` the same batches in every epoch."""
        dataset = self.dataset("train")
        rank, world = self._rank_and_world_size()
        count, seed = len(dataset) * self.windows_per_clip, self.train_seed
        if count < self.batch_size * world:
            raise UserError(
                f"{self.name} has {count} training samples per epoch, less than one batch of {self.batch_size} on "
                f"{world} process(es). Lower `batch_size` to at most {count // world}, or raise `windows_per_clip`."
            )

        def order(epoch: int) -> list[list[int]]:
            return train_order(count, self.batch_size, rank=rank, world=world, seed=seed, epoch=epoch)

        return self._loader(dataset, order, self._epoch)

    def val_dataloader(self) -> ClipLoader:
        """Every val clip once, distributed over all processes."""
        return self._eval_loader("val")

    def test_dataloader(self) -> ClipLoader:
        """Every test clip once, distributed over all processes."""
        return self._eval_loader(self.test_split)

    def predict_dataloader(self) -> ClipLoader:
        """Every test clip once, distributed over all processes."""
        return self._eval_loader(self.test_split)

    def on_after_batch_transfer(self, batch: Batch, dataloader_idx: int) -> Batch:
        """On the device: uint8 frames become floats in [-1, 1], and training clips are augmented."""
        batch = normalise(batch)
        if self.augmentation is None or self.trainer is None or not self.trainer.training:
            return batch
        return self.augmentation(batch, seed=self.train_seed, epoch=self._epoch(), joint_pairs=self.joint_pairs)

    def _eval_loader(self, split: Split) -> ClipLoader:
        dataset = self.dataset(split, evaluated=True)
        rank, world = self._rank_and_world_size()
        if len(dataset) < world:
            # in Lightning a process without a batch skips the stage, and the others wait for its metrics for ever
            raise UserError(
                f"{self.name} has {len(dataset)} {split} clips, but each of the {world} processes needs one of its "
                f"own. Evaluate on at most {len(dataset)} (`--trainer.devices={len(dataset)}`)."
            )

        def order(epoch: int) -> list[list[int]]:
            return eval_order(len(dataset), self.eval_batch_size, rank=rank, world=world)

        return self._loader(dataset, order, lambda: 0)

    def _loader(self, dataset: ClipDataset, order: Any, epoch: Any) -> ClipLoader:
        pin = self.trainer is not None and self.trainer.strategy.root_device.type == "cuda"
        return ClipLoader(dataset, order, epoch, num_workers=self.num_workers, pin_memory=pin)

    def _rank_and_world_size(self) -> tuple[int, int]:
        return (0, 1) if self.trainer is None else (self.trainer.global_rank, self.trainer.world_size)

    def _epoch(self) -> int:
        if self.trainer is None or self.trainer.overfit_batches:  # type: ignore[attr-defined]
            return 0
        return self.trainer.current_epoch

    def _long_enough(self, split: Split, source: Source) -> Int64[np.ndarray, " used"]:
        sampling = self.sampling if split == "train" else self.eval_sampling
        lengths = np.array([len(source.times(index)) for index in range(len(source))], dtype=np.int64)
        short = np.flatnonzero(lengths < sampling.span)
        if len(short):
            origins = source.origins()
            listed = ", ".join(f"{origins[i].name} ({lengths[i]} frames)" for i in short[:10])
            listed += f" and {len(short) - 10} more" if len(short) > 10 else ""
            rule = (
                f"{len(short)} of {len(source)} {split} clips of {self.name} have less than the {sampling.span} frames"
            )
            if self.short_clips == "raise":
                raise UserError(
                    f"{rule} that {sampling} spans: {listed}. Sample fewer frames, "
                    "or leave such clips out with `short_clips: exclude`."
                )
            warnings.warn(f"{rule} of a sample and are left out: {listed}.", stacklevel=2)
        return np.flatnonzero(lengths >= sampling.span).astype(np.int64)


def shape_of(size: int | tuple[int, int]) -> tuple[int, int]:
    """Height and width of a frame, from the side of a square or from both.

    Raises:
        UserError: if one is below 1.
    """
    height, width = (size, size) if isinstance(size, int) else size
    if min(height, width) < 1:
        raise UserError(f"size is the side of the frames in pixels, at least 1, or (height, width); got {size}.")
    return height, width


def side_of(shape: tuple[int, int]) -> str:
    """A frame's size as in names of folders and data: 64 for a square, else 60x80."""
    height, width = shape
    return str(height) if height == width else f"{height}x{width}"


def normalise(batch: Batch) -> Batch:
    """The batch with uint8 frames made float32 in [-1, 1]; floats are left as they are."""
    clip = batch.clip
    if not isinstance(clip, VideoClip | KeypointClip) or clip.frames.dtype != torch.uint8:
        return batch
    return batch._replace(clip=clip._replace(frames=clip.frames.float().div_(127.5).sub_(1.0)))


def check_disjoint(sources: dict[Split, Source]) -> None:
    """Raise a UserError that names the clip if two splits share one, by name or by content."""
    seen: dict[str, tuple[Split, str]] = {}
    for split, source in sources.items():
        for origin in source.origins():
            for key in {f"name {origin.name}", f"digest {origin.digest}"}:
                other, name = seen.setdefault(key, (split, origin.name))
                if other != split:
                    same = "is in both" if name == origin.name else f"and {name} have the same content"
                    raise UserError(
                        f"The {other} and {split} splits must share no clip, but {origin.name} {same}. "
                        "Remove it from one of them."
                    )
