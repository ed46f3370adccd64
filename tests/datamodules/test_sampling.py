from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from datamodules.base.rng import FRAME_CHOICE, WINDOW_START, permutation, philox, uniforms
from datamodules.sampling import (
    Irregular,
    IrregularBetween,
    IrregularThenRegular,
    MissingFrames,
    MissingPixels,
    Regular,
    Sampling,
    ShortClipError,
)

RULES: list[Sampling] = [
    Regular(num_frames=5),
    Regular(num_frames=5, stride=2, start="centre"),
    Irregular(window=20, inputs=5, outputs=5),
    Irregular(window=8, inputs=1, outputs=4, start="first"),
    IrregularBetween(window=12, count=5),
    IrregularBetween(window=6, count=6),
    IrregularThenRegular(window=20, inputs=5, outputs=5),
    IrregularThenRegular(window=2, inputs=2, outputs=1),
    MissingPixels(MissingFrames(Irregular(window=20), context=5, rate=0.2), context=10, rate=0.5),
    MissingFrames(Regular(num_frames=10), context=5, rate=0.4),
    MissingFrames(Irregular(window=20), context=5, rate=0.2),
]
INDICES = np.arange(50)


def batch(rule: Sampling, length: int = 30, **key: Any) -> np.ndarray:
    return rule.batch(np.full(50, length), indices=INDICES, **{"seed": 1, "epoch": 2} | key)


@pytest.mark.parametrize("rule", RULES, ids=repr)
def test_samples_are_a_pure_function_of_seed_epoch_and_index(rule: Sampling) -> None:
    together = batch(rule)
    np.random.default_rng().random(7)
    order = np.random.default_rng(0).permutation(50)
    shuffled = rule.batch(np.full(50, 30), seed=1, epoch=2, indices=INDICES[order])
    assert_array_equal(shuffled, together[order])
    assert_array_equal(rule.frames(30, seed=1, epoch=2, index=7), together[7])
    lost = rule.present(seed=1, epoch=2, indices=INDICES)
    assert_array_equal(rule.present(seed=1, epoch=2, indices=INDICES[order]), lost[order])


@pytest.mark.parametrize("rule", RULES, ids=repr)
def test_frames_increase_and_lie_in_the_clip(rule: Sampling) -> None:
    frames = batch(rule)
    assert frames.shape == (50, rule.num_frames)
    assert frames.dtype == np.int64
    assert (np.diff(frames) > 0).all()
    assert frames.min() >= 0
    assert frames.max() < 30
    exact = batch(rule, length=rule.span)
    assert exact.min() >= 0
    assert exact.max() == rule.span - 1


@pytest.mark.parametrize("change", [{"seed": 2}, {"epoch": 3}])
@pytest.mark.parametrize("rule", [RULES[0], Irregular(start="first"), IrregularBetween(start="first")], ids=repr)
def test_another_seed_or_epoch_is_another_draw(rule: Sampling, change: dict[str, int]) -> None:
    assert (batch(rule) != batch(rule, **change)).any(axis=1).mean() > 0.5


def test_irregular_keeps_its_ends_and_the_count_of_each_half() -> None:
    frames = batch(Irregular(window=20, inputs=5, outputs=3, start="first"))
    assert (frames[:, 0] == 0).all()
    assert (frames[:, -1] == 19).all()
    assert ((frames < 10).sum(axis=1) == 5).all()
    inner = np.bincount(frames.ravel(), minlength=20)
    assert (inner > 0).all()


def test_irregular_between_keeps_both_ends() -> None:
    frames = batch(IrregularBetween(window=12, count=5, start="first"))
    assert (frames[:, 0] == 0).all()
    assert (frames[:, -1] == 11).all()


def test_irregular_then_regular_is_the_hurricanes_protocol() -> None:
    rule = IrregularThenRegular(window=20, inputs=5, outputs=5, start="first")
    frames = np.concatenate([batch(rule, length=25, epoch=epoch) for epoch in range(200)])
    assert (frames[:, 0] == 0).all()
    assert_array_equal(frames[:, 4:], np.broadcast_to(np.arange(19, 25), (len(frames), 6)))
    assert 3 * np.diff(frames[:, :5], axis=1).max() == 48  # hours: "the interval can be as large as 48 hours"
    shown = {0, 9 // 3, 21 // 3, 42 // 3, 57 // 3}  # Fig. 7
    assert shown <= set(range(20))
    assert len(np.unique(frames[:, 1:4], axis=0)) > 800  # of 816 choices


@pytest.mark.parametrize(("rate", "block"), [(1.0, 1), (0.75, 1), (0.2, 1), (0.5, 4), (0.5, 5)])
def test_missing_pixels_lose_the_asked_share_of_squares_in_the_given_frames(rate: float, block: int) -> None:
    rule = MissingPixels(Regular(num_frames=6), context=4, rate=rate, block=block)
    here = rule.valid((20, 30), seed=1, epoch=2, indices=INDICES)
    assert here.shape == (50, 6, 1, 20, 30)
    assert here[:, 4:].all()
    assert_allclose(here[:, :4].mean(axis=(2, 3, 4)), rate, atol=0.06)
    squares = here[:, :, 0, ::block, ::block].repeat(block, axis=2).repeat(block, axis=3)[:, :, :20, :30]
    assert_array_equal(squares, here[:, :, 0])
    if rate < 1:
        assert (here[:, 0] != here[:, 1]).any(axis=(1, 2, 3)).all()  # anew in each frame
        assert (here[0] != here[1]).any()
    order = np.random.default_rng(0).permutation(50)
    assert_array_equal(rule.valid((20, 30), seed=1, epoch=2, indices=INDICES[order]), here[order])
    assert (rule.valid((20, 30), seed=1, epoch=3, indices=INDICES) != here).any() == (rate < 1)


def test_losses_add_up() -> None:
    rule = MissingFrames(MissingPixels(Regular(num_frames=6), context=6, rate=0.5), context=3, rate=0.4)
    assert_array_equal(
        rule.valid((4, 4), seed=0, epoch=0, indices=INDICES),
        MissingPixels(Regular(num_frames=6), context=6, rate=0.5).valid((4, 4), seed=0, epoch=0, indices=INDICES),
    )
    assert (rule.present(seed=0, epoch=0, indices=INDICES).sum(axis=1) == 4).all()
    assert Regular().valid((4, 4), seed=0, epoch=0, indices=INDICES) is None


def test_all_places_of_a_window_are_as_likely() -> None:
    rule = Regular(num_frames=7)
    starts = rule.batch(np.full(4000, 10), seed=0, epoch=0, indices=np.arange(4000))[:, 0]
    assert_allclose(np.bincount(starts) / 4000, 0.25, atol=0.03)


@pytest.mark.parametrize(("rate", "kept"), [(1.0, 5), (0.8, 4), (0.6, 3), (0.4, 2), (0.2, 1), (0.01, 1)])
def test_missing_frames_keeps_the_first_and_the_share_that_was_asked(rate: float, kept: int) -> None:
    here = MissingFrames(Regular(num_frames=10), context=5, rate=rate).present(seed=0, epoch=0, indices=INDICES)
    assert (here[:, :5].sum(axis=1) == kept).all()
    assert here[:, 0].all()
    assert here[:, 5:].all()


def test_a_short_clip_is_refused_with_the_rule_and_the_way_out() -> None:
    with pytest.raises(ShortClipError, match=r"9 frames.*8.*short_clips: exclude"):
        Regular(num_frames=5, stride=2).frames(8, seed=0, epoch=0, index=0)


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: Regular(num_frames=0),
        lambda: Irregular(window=9),
        lambda: Irregular(window=8, inputs=5),
        lambda: IrregularBetween(window=4, count=5),
        lambda: IrregularThenRegular(window=4, inputs=5),
        lambda: MissingPixels(Regular(), context=5, block=0),
        lambda: MissingPixels(Regular(), context=5, rate=1.5),
        lambda: MissingFrames(Regular(), context=17),
        lambda: MissingFrames(Regular(), context=5, rate=0.0),
    ],
)
def test_rules_that_cannot_be_are_refused(wrong: Any) -> None:
    with pytest.raises(ValueError, match="got"):
        wrong()


@pytest.mark.parametrize(
    ("counter", "seed", "theirs"),
    [
        ([0, 0, 0, 0], 0, [0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8]),
        ([0xFFFFFFFF] * 4, 2**64 - 1, [0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD]),
        (
            [0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344],
            0x299F31D0A4093822,
            [0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1],
        ),
    ],
)
def test_philox_gives_the_known_answers_of_random123(counter: list[int], seed: int, theirs: list[int]) -> None:
    ours = philox(*(np.array([word], dtype=np.uint64) for word in counter), seed=seed)
    assert [int(word[0]) for word in ours] == theirs


def test_uniforms_are_uniform_and_no_two_purposes_share_them() -> None:
    numbers = uniforms(WINDOW_START, 0, 0, np.arange(5000), 5)
    assert numbers.shape == (5000, 5)
    assert numbers.min() >= 0
    assert numbers.max() < 1
    assert_allclose(numbers.mean(axis=0), 0.5, atol=0.02)
    assert_allclose(np.corrcoef(numbers.T), np.eye(5), atol=0.06)
    assert not np.isin(numbers, uniforms(FRAME_CHOICE, 0, 0, np.arange(5000), 5)).any()


def test_a_permutation_has_every_number_once_and_changes_with_the_epoch() -> None:
    assert sorted(permutation(0, 5, 1, 100)) == list(range(100))
    assert permutation(0, 5, 1, 100) == permutation(0, 5, 1, 100)
    assert permutation(0, 5, 1, 100) != permutation(0, 5, 2, 100)
