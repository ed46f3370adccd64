"""Intervals and p-values by source, against simulations in which the truth is known."""

import numpy as np
import pytest

from benchmarks.utils.by_source import FEWEST_SOURCES, Sources, difference, first, mean_interval, paired_p

KINDS = {
    "normal": (lambda random, count: random.normal(size=count), 0.0),
    "skewed": (lambda random, count: random.gamma(2, size=count), 2.0),
}


def clips_of(kind: str, count: int, random: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Values and sources of the clips of `count` sources that have one to six clips each."""
    origins = np.repeat(np.arange(count), random.integers(1, 7, size=count))
    values = KINDS[kind][0](random, count)[origins] + 0.5 * random.normal(size=len(origins))
    return values[:, None], origins


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("count", [10, 20, 30])
def test_an_interval_covers_the_truth_nineteen_times_of_twenty(kind: str, count: int) -> None:
    random, trials = np.random.default_rng(count), 500
    held = 0
    for _ in range(trials):
        interval = mean_interval(*clips_of(kind, count, random))
        held += interval.low <= KINDS[kind][1] <= interval.high
    # 500 trials of one that covers 95 % hold 92 to 98 of a hundred but once in 400
    assert 0.92 <= held / trials <= 0.98, held / trials


def test_intervals_of_pieces_as_if_they_were_sources_cover_far_less() -> None:
    random, held = np.random.default_rng(0), 0
    for _ in range(200):
        values = random.normal(size=4).repeat(16)[:, None] + 0.1 * random.normal(size=(64, 1))
        interval = mean_interval(values, np.arange(64))
        held += interval.low <= 0 <= interval.high
        assert mean_interval(values, np.arange(64) // 16) is None
    assert held < 130  # 64 pieces of four films, each taken for a source


@pytest.mark.parametrize("count", [1, 4, FEWEST_SOURCES - 1])
def test_few_sources_have_neither_interval_nor_p(count: int) -> None:
    values, origins = np.random.default_rng(0).normal(size=(60, 1)), np.arange(60) % count
    assert mean_interval(values, origins) is None
    sums, sizes = Sources.of(np.concatenate([values, values + 1], 1), origins)
    assert paired_p(sums[..., None], sizes) is None
    assert mean_interval(values, np.arange(60) % FEWEST_SOURCES) is not None


def test_an_interval_of_a_function_of_means_covers_its_value() -> None:
    """Decibels of a mean squared error, and the difference of two systems in decibels."""

    def decibels(means: np.ndarray) -> np.ndarray:
        return -10 * np.log10(means)

    random, trials, held = np.random.default_rng(3), 250, [0, 0]
    for _ in range(trials):
        origins = np.repeat(np.arange(20), 2)
        first_errors = random.gamma(2, size=20)[origins]
        errors = np.stack([first_errors, 0.5 * first_errors + 0.5 * random.gamma(2, size=20)[origins]], 1)
        one = mean_interval(errors[:, :1], origins, lambda means: decibels(means[..., 0]))
        two = mean_interval(errors, origins, lambda means: decibels(means[..., 0]) - decibels(means[..., 1]))
        held[0] += one.low <= decibels(np.array(2.0)) <= one.high
        held[1] += two.low <= 0 <= two.high
    assert all(0.92 <= count / trials <= 0.985 for count in held), held


def test_a_p_value_is_uniform_where_systems_are_equal_and_small_where_they_are_not() -> None:
    random, below, found = np.random.default_rng(1), 0, 0
    for _ in range(400):
        values, origins = clips_of("skewed", 14, random)
        other = values + 0.3 * random.normal(size=14)[origins][:, None]
        sums, sizes = Sources.of(np.concatenate([values, other], 1), origins)
        below += paired_p(sums[..., None], sizes) < 0.05
        sums, sizes = Sources.of(np.concatenate([values, other + 1], 1), origins)
        found += paired_p(sums[..., None], sizes) < 0.05
    assert 6 <= below <= 36  # 20 expected, standard deviation 4.4
    assert found > 390


def test_all_arrangements_of_few_sources_are_tried() -> None:
    sums = np.zeros((10, 2, 1))
    sums[:, 0, 0] = 1
    assert paired_p(sums, np.ones(10)) == pytest.approx(2 / 2**10)
    assert paired_p(np.ones((10, 2, 1)), np.ones(10)) == 1


def test_the_order_of_clips_and_the_numbers_of_origins_do_not_matter() -> None:
    values, origins = clips_of("skewed", 15, np.random.default_rng(5))
    order = np.random.default_rng(6).permutation(len(values))
    ours, theirs = mean_interval(values, origins), mean_interval(values[order], 7 * origins[order] + 3)
    assert ours[:2] == pytest.approx(theirs[:2])
    pair = np.concatenate([values, values], 1)
    assert mean_interval(pair, origins, difference)[:2] == (0, 0)
    assert first(np.ones((3, 1))).tolist() == [1, 1, 1]
