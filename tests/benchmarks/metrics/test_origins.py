"""Intervals are by the origins of clips, of which a metric is told; those of pieces would be far too narrow."""

import pytest
import torch

from benchmarks.metrics.fvd import FrechetVideoDistance, FVDInfinity
from benchmarks.metrics.motion import FrechetTrajectoryDistance
from benchmarks.metrics.reference import MSE
from datamodules.clip import Trajectory, sample_id
from support.feature_maker import Tiny, clip

PIECES, FILMS, PEOPLE = 192, 48, 12


def films() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Ids of four pieces of each of 48 films, and the person of each piece: four films of each of 12 people."""
    film = torch.arange(PIECES) // 4
    ids = torch.tensor([sample_id(int(number), 4 * (piece % 4)) for piece, number in enumerate(film)])
    return ids, film, film // 4


def clips(person: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    target = torch.zeros(PIECES, 4, 1, 8, 8)
    error = 0.5 * torch.rand(PEOPLE, generator=generator)[person]
    noise = 0.02 * torch.randn(PIECES, 4, 1, 8, 8, generator=generator)
    return (target + error[:, None, None, None, None] + noise).clamp(-1, 1), target


def test_pieces_of_few_people_have_no_interval_and_those_of_twelve_a_wide_one() -> None:
    ids, film, person = films()
    prediction, target = clips(person)
    widths = {}
    for name, origins in (("piece", torch.arange(PIECES)), ("film", film), ("person", person), ("four", person // 3)):
        metric = MSE()
        metric.know_origins(ids, origins)
        metric.update(clip(prediction), clip(target), ids)
        measured = metric.measurement()
        assert measured.sources == len(origins.unique())
        assert metric.per_clip().origins.tolist() == origins.tolist()
        if name == "four":
            assert measured.interval is None
            assert measured.interval_method is None
        else:
            assert measured.interval_method is not None
            widths[name] = measured.interval[1] - measured.interval[0]
    assert widths["person"] > 1.7 * widths["film"] > 1.7 * 1.7 * widths["piece"]


def test_a_metric_that_is_not_told_takes_the_film() -> None:
    ids, _, person = films()
    prediction, target = clips(person)
    metric = MSE()
    metric.update(clip(prediction), clip(target), ids)
    assert metric.measurement().sources == FILMS
    metric.know_origins(ids[:4], person[:4] + 1000)  # one film is told, and still is one source
    assert metric.measurement().sources == FILMS
    assert metric.origins_of(ids)[:4].tolist() == [1000] * 4


@pytest.mark.parametrize("cap", [50_000, 60])
def test_distances_leave_out_whole_sources_whether_features_are_kept_or_streamed(cap: int) -> None:
    ids, film, person = films()
    prediction, target = clips(person)

    def told(origins: torch.Tensor) -> FrechetVideoDistance:
        metric = FrechetVideoDistance(Tiny(), frames=4, cap=cap)
        for part in torch.arange(PIECES).split(16):
            metric.know_origins(ids[part], origins[part])
            metric.update(clip(prediction[part]), clip(target[part]), ids[part])
        return metric

    by_film, by_person = told(film).measurement(), told(person).measurement()
    assert (by_film.sources, by_person.sources) == (FILMS, PEOPLE)
    assert by_film.value == pytest.approx(by_person.value)
    assert by_film.interval is not None
    assert by_person.interval is None  # a distance of sets needs 20
    assert by_person.value is not None


def test_a_distance_without_interval_says_how_many_sources_it_has() -> None:
    metric, ids = FrechetTrajectoryDistance(), torch.arange(12) << 24
    paths = Trajectory(torch.randn(12, 5, 2), torch.arange(5.0).expand(12, -1))
    metric.know_origins(ids, torch.arange(12) // 2)
    metric.update(paths, paths, ids)
    assert metric.measurement().sources == 6


@pytest.mark.parametrize(("makers", "sources"), [(60, 4), (3, 3)])
@pytest.mark.parametrize("cap", [50_000, 60])
def test_sides_of_their_own_have_the_sources_of_the_side_that_has_fewer(cap: int, makers: int, sources: int) -> None:
    """Clips of four people are no more independent for being compared with 60 generated ones."""
    ids, _, person = films()
    _, target = clips(person)
    made_ids = torch.tensor([sample_id((1 << 23) + number, 0) for number in range(60)])
    made = torch.rand(60, 4, 1, 8, 8, generator=torch.Generator().manual_seed(1))
    metric = FrechetVideoDistance(Tiny(), frames=4, clips=60, reference_clips="all", cap=cap)
    metric.know_origins(made_ids, torch.arange(60) % makers + (1 << 23))
    metric.update_side("prediction", clip(made), made_ids)
    for part in torch.arange(PIECES).split(16):
        metric.know_origins(ids[part], person[part] // 3)
        metric.update_side("target", clip(target[part]), ids[part])
    measured = metric.measurement()
    assert measured.value is not None
    assert (measured.n, measured.sources, measured.interval) == (60, sources, None)


def test_too_few_clips_are_said_in_the_reason() -> None:
    metric = FrechetVideoDistance(Tiny(), frames=4, clips=20, reference_clips=9)
    made = torch.zeros(20, 4, 1, 8, 8)
    metric.update_side("prediction", clip(made[:12]), torch.arange(12))
    with pytest.warns(UserWarning, match="it is n/a"):
        assert metric.measurement().reason == "it needs 20 clips but got 12"
    metric.update_side("prediction", clip(made[12:]), torch.arange(12, 20))
    metric.update_side("target", clip(made[:8]), torch.arange(40, 48))
    with pytest.warns(UserWarning, match="it is n/a"):
        assert metric.measurement().reason == "it needs 9 reference clips but got 8"


def test_why_a_statistic_of_other_numbers_is_wrong_is_said_in_the_reason() -> None:
    metric = FVDInfinity(Tiny(width=8), frames=4, clips=20, reference_clips="all")
    made = torch.rand(20, 4, 1, 8, 8, generator=torch.Generator().manual_seed(1))
    metric.update_side("prediction", clip(made), torch.arange(20))
    metric.update_side("target", clip(made), torch.arange(20, 40))
    assert "smallest subset has 5 clips" in str(metric.measurement().reason)
