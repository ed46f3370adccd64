from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.testing import assert_array_equal
from torch.testing import assert_close

from datamodules.augmentation import Augmentation
from datamodules.base.clip_source import Origin, Source
from datamodules.base.dataloader import ClipDataset, eval_order, train_order
from datamodules.base.module import check_disjoint, normalise
from datamodules.clip import Batch, KeypointClip, VideoClip, check_clip
from datamodules.sampling import Irregular, MissingFrames, MissingPixels, Regular
from support.counting import Counting, CountingSource


def module(**changes: Any) -> Counting:
    return Counting(**{"sampling": Regular(num_frames=4), "batch_size": 3} | changes)


@pytest.mark.parametrize("world", [1, 2, 3])
@pytest.mark.parametrize("count", [1, 7, 12, 101])
def test_evaluation_covers_each_clip_once_whatever_the_number_of_processes(world: int, count: int) -> None:
    shards = [eval_order(count, 4, rank=rank, world=world) for rank in range(world)]
    seen = [index for shard in shards for batch in shard for index in batch]
    assert sorted(seen) == list(range(count))
    assert all(len(batch) <= 4 for shard in shards for batch in shard)


@pytest.mark.parametrize("world", [2, 3])
def test_processes_train_on_the_parts_of_one_global_batch(world: int) -> None:
    alone = train_order(101, 4 * world, rank=0, world=1, seed=5, epoch=2)
    shards = [train_order(101, 4, rank=rank, world=world, seed=5, epoch=2) for rank in range(world)]
    assert [list(chain(*parts)) for parts in zip(*shards, strict=True)] == alone


def test_training_order_is_a_pure_function_of_seed_and_epoch() -> None:
    def order(seed: int, epoch: int) -> list[list[int]]:
        return train_order(20, 4, rank=0, world=1, seed=seed, epoch=epoch)

    assert order(0, 1) == order(0, 1)
    assert len({str(order(seed, epoch)) for seed in range(3) for epoch in range(3)}) == 9
    assert sorted(chain(*order(0, 0))) == list(range(20))


def test_a_batch_keeps_the_contract() -> None:
    data = module(augmentation=Augmentation())
    batch = next(iter(data.train_dataloader()))
    assert isinstance(batch, Batch)
    assert isinstance(batch.clip, VideoClip)
    assert batch.clip.frames.shape == (3, 4, 1, 6, 8)
    assert batch.clip.frames.dtype == torch.uint8
    assert batch.clip.times.dtype == torch.float32
    assert_close(batch.clip.times, (torch.arange(4) / 25).expand(3, 4))
    assert batch.present.all()
    clips, starts = batch.ids >> 24, batch.ids & (2**24 - 1)
    assert_close(batch.clip.frames[:, :, 0, 0, 0].long(), 16 * clips[:, None] + starts[:, None] + torch.arange(4))
    assert_close(batch.labels, clips % 2)
    after = data.on_after_batch_transfer(batch, 0)
    check_clip(after.clip)
    assert_close(after.clip.frames, batch.clip.frames.float() / 127.5 - 1)  # no trainer is training: not augmented


def test_irregular_samples_have_their_own_times() -> None:
    batch = next(iter(module(sampling=Irregular(window=12, inputs=2, outputs=2)).train_dataloader()))
    picked = batch.clip.frames[:, :, 0, 0, 0].long() & 15
    assert_close(batch.clip.times, (picked - picked[:, :1]).float() / 25)
    check_clip(normalise(batch).clip)
    assert len({tuple(row) for row in picked.tolist()}) > 1


def test_missing_frames_are_black_and_said_to_be_missing() -> None:
    data = module(sampling=MissingFrames(Regular(num_frames=12), context=10, rate=0.5), batch_size=10)
    batch = next(iter(data.train_dataloader()))
    assert (batch.present.sum(dim=1) == 7).all()
    assert not batch.clip.frames[~batch.present].any()
    assert batch.clip.frames[batch.present].amax(dim=(-3, -2, -1)).sum() > 0


def test_ids_of_splits_differ_and_do_not_move_when_another_split_grows() -> None:
    small, large = module(train=10), module(train=12)
    ids = {name: set() for name in ("train", "val", "test")}
    for data, names in [(small, ids)]:
        for name in names:
            loader = getattr(data, f"{name}_dataloader")()
            names[name] = {clip for batch in loader for clip in batch.ids.tolist()}
    assert not ids["train"] & ids["test"]
    assert not ids["val"] & ids["test"]
    small.eval_sampling = large.eval_sampling = Regular(num_frames=4, start="first")
    first, second = (torch.cat([b.ids for b in data.test_dataloader()]) for data in (module(), module(train=12)))
    assert_close(first >> 24, second >> 24)


def test_a_batch_says_which_samples_share_an_origin() -> None:
    data = module(train=10, windows_per_clip=2, batch_size=20)
    batch = next(iter(data.train_dataloader()))
    person = ((batch.ids >> 24) + 1) // 2
    assert torch.equal(batch.origins[:, None] == batch.origins, person[:, None] == person)
    assert len(batch.origins.unique()) == 6
    assert torch.equal(data.on_after_batch_transfer(batch, 0).origins, batch.origins)


def test_splits_that_share_a_clip_are_refused() -> None:
    data = module()
    data.clips["test"] = range(9, 15)
    with pytest.raises(ValueError, match=r"train and test splits must share no clip, but clip 9 is in both"):
        data.setup()


def test_a_copy_under_another_name_is_found() -> None:
    ours, theirs = CountingSource(range(3)), CountingSource(range(3, 5))
    theirs.origins = lambda: [Origin("copy.mp4", ours.origins()[2].digest)]  # type: ignore[method-assign]
    with pytest.raises(ValueError, match=r"copy\.mp4 and clip 2 have the same content"):
        check_disjoint({"train": ours, "val": theirs})


class Uneven(Counting):
    """Train clips of 12, 3, 12 and 2 frames."""

    def open(self, split: str) -> CountingSource:
        lengths = [12, 3, 12, 2] if split == "train" else None
        return CountingSource(self.clips[split], lengths)


def test_short_clips_are_named_or_excluded() -> None:
    options: dict[str, Any] = {"sampling": Regular(num_frames=4), "batch_size": 2, "train": 4}
    with pytest.raises(ValueError, match=r"2 of 4 train clips .* clip 1 \(3 frames\), clip 3 \(2 frames\).*exclude"):
        Uneven(**options).setup()
    data = Uneven(**options, short_clips="exclude")
    with pytest.warns(UserWarning, match=r"2 of 4 train clips .* left out: clip 1"):
        data.setup()
    (batch,) = data.train_dataloader()
    assert sorted((batch.ids >> 24).tolist()) == [0, 2]
    assert data.data_id("train") != module(train=4).data_id("train")


def test_an_empty_split_and_too_large_a_batch_say_the_way_out() -> None:
    with pytest.raises(ValueError, match=r"has no test clips.*limit_test_batches=0"):
        module(test=0).test_dataloader()
    with pytest.raises(ValueError, match=r"Lower `batch_size` to at most 2, or raise `windows_per_clip`"):
        module(train=2).train_dataloader()
    with pytest.raises(ValueError, match="batch_size must be at least 1"):
        module(batch_size=0)


def test_several_windows_per_clip_are_several_samples() -> None:
    loader = module(windows_per_clip=6).train_dataloader()
    batches = list(loader)
    assert len(batches) == len(loader) == 20
    ids = torch.cat([batch.ids for batch in batches])
    assert torch.equal((ids >> 24).bincount(), torch.full((10,), 6))
    assert len(ids.unique()) > 25


def test_data_ids_are_readable_and_follow_the_content() -> None:
    data = module()
    assert data.data_id("test").startswith("counting-6x8px-1ch-test-")
    assert data.data_id("test") == module(batch_size=2).data_id("test")
    changed = module()
    changed.source("test").fingerprint = "cd34"
    assert changed.data_id("test") != data.data_id("test")


def test_keypoint_sources_make_keypoint_clips() -> None:
    class WithKeypoints(CountingSource):
        def read_keypoints(self, clips: np.ndarray, frames: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
            return np.zeros((*frames.shape, 2, 2), np.float32), np.ones((*frames.shape, 2), np.float32)

    assert isinstance(WithKeypoints(range(3)), Source)
    sampling = MissingFrames(Regular(num_frames=4), context=4, rate=0.5)
    dataset = ClipDataset(WithKeypoints(range(3)), np.arange(3), sampling, seed=0)
    batch = dataset.__getitems__([(0, 0), (0, 1)])
    assert isinstance(batch.clip, KeypointClip)
    assert torch.equal(batch.clip.confidence > 0, batch.present[..., None].expand(2, 4, 2))  # not seen, not known
    check_clip(normalise(batch).clip)


def test_floats_are_not_normalised_twice() -> None:
    batch = normalise(next(iter(module().train_dataloader())))
    assert normalise(batch) is batch
    extremes = batch._replace(
        clip=batch.clip._replace(frames=torch.tensor([0, 255], dtype=torch.uint8).view(1, 2, 1, 1, 1))
    )
    assert normalise(extremes).clip.frames.flatten().tolist() == [-1.0, 1.0]


def test_the_root_comes_from_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("CHRONOREEL_DATA", raising=False)
    assert module().root == Path("data")
    monkeypatch.setenv("CHRONOREEL_DATA", str(tmp_path))
    assert module().root == tmp_path
    assert module(root="here").root == Path("here")


def test_reading_batches_takes_nothing_from_the_global_generators() -> None:
    states = torch.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002
    list(module(num_workers=0).train_dataloader())
    assert torch.equal(torch.get_rng_state(), states[0])
    assert_array_equal(np.random.get_state()[1], states[1])  # noqa: NPY002


def test_the_test_shows_the_training_clips_where_a_paper_holds_nothing_out() -> None:
    """In order, as an evaluation samples them; the id of the data says so."""
    usual = module(eval_sampling=Regular(num_frames=2, start="first"))
    data = module(eval_sampling=Regular(num_frames=2, start="first"), test_split="train")
    for one in (usual, data):
        one.setup()
    batches = list(data.test_dataloader())
    first = torch.cat([batch.clip.frames[:, 0, 0, 0, 0] for batch in batches])
    assert (first // 16).tolist() == list(range(10))  # the training clips, each from its first frame
    assert (first % 16 == 0).all()
    assert all(batch.clip.times.shape[1] == 2 for batch in batches)
    assert "-train-" in data.data_id("test") == data.data_id("train")
    assert "-test-" in usual.data_id("test")
    with pytest.raises(ValueError, match="more frames"):
        module(eval_sampling=Regular(num_frames=5), test_split="train")


def test_missing_pixels_are_black_and_not_valid() -> None:
    rule = MissingPixels(Regular(num_frames=4), context=2, rate=0.5, block=2)
    batch = next(iter(Counting(sampling=rule, batch_size=5).train_dataloader()))
    assert batch.valid.shape == (5, 4, 1, 6, 8)
    assert batch.valid.dtype == torch.bool
    assert (batch.clip.frames[~batch.valid] == 0).all()
    plain = next(iter(Counting(sampling=Regular(num_frames=4), batch_size=5).train_dataloader()))
    assert plain.valid is None
    assert (batch.clip.frames[batch.valid] == plain.clip.frames[batch.valid]).all()
