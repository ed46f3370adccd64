"""Bold is what a paired test by source does not tell from the best, corrected for the table's rows."""

from pathlib import Path

import numpy as np
import pytest

from benchmarks.leaderboard.csv_latex import as_csv, as_latex
from benchmarks.leaderboard.formatting import format_cell
from benchmarks.leaderboard.html import page
from benchmarks.leaderboard.markdown import markdown
from benchmarks.leaderboard.ranking import Cell, LeaderboardRow
from benchmarks.leaderboard.sections import Ranking, sections
from benchmarks.leaderboard.significance import BOLD, FEWEST_SOURCES, told_apart
from benchmarks.records.clip_scores import PerClip, write_per_clip
from benchmarks.records.parts import Measurement
from benchmarks.records.record import read_record
from benchmarks.utils import by_source
from datamodules.clip import sample_id
from support.record_maker import make_record

CLIPS = 48


def table(folder: Path, rows: dict[str, list[np.ndarray]], sources: int, fvd: bool = False) -> Ranking:
    """A ranking of rows with these clips' errors for each seed."""
    ids = np.array([sample_id(number, 0) for number in range(CLIPS)])
    records = {}
    for row, seeds in rows.items():
        for seed, values in enumerate(seeds):
            metrics = {"mse": Measurement(float(values.mean()), CLIPS, higher_is_better=False, sources=sources)}
            if fvd:
                metrics["fvd"] = Measurement(float(values.sum()), CLIPS, higher_is_better=False, sources=sources)
            path = folder / f"{row}-{seed}.json"
            make_record(row=row, seed=seed, metrics=metrics, parameters=0 if row == "rule" else 7).write(path)
            write_per_clip(path, {"mse": PerClip(ids, np.arange(CLIPS) % sources, values)})
            records[path] = read_record(path)
    rankings = sections(records, {})[0].rankings
    assert len(rankings) == 1
    return rankings[0]


def bold(ranking: Ranking, metric: str = "mse") -> set[str]:
    return {row.label for row, (_, best) in zip(ranking.rows, ranking.cells(metric), strict=True) if best}


def errors(offset: float, seed: int, noise: float = 0.02) -> np.ndarray:
    """The clips' difficulty, which every row shares and which is far larger than the rows' differences."""
    difficulty = 1 + np.random.default_rng(99).gamma(2, size=CLIPS)
    return difficulty + offset + noise * np.random.default_rng(seed).normal(size=CLIPS)


def test_rows_whose_intervals_overlap_are_told_apart_by_their_clips(tmp_path: Path) -> None:
    """Eight rows a little worse each: all intervals over sources overlap, and only the noise's equal is not told."""
    rows = {f"row {number}": [errors(0.03 * number, number)] for number in range(8)}
    rows["equal"] = [errors(0.0, 100)]
    ranking = table(tmp_path, rows, CLIPS)
    assert bold(ranking) == {"row 0", "equal"}


@pytest.mark.parametrize("sources", [4, FEWEST_SOURCES - 1])
def test_below_ten_sources_nothing_is_bold_and_the_value_says_how_many(tmp_path: Path, sources: int) -> None:
    ranking = table(tmp_path, {"a": [errors(0, 0)], "b": [errors(9, 1)]}, sources, fvd=True)
    assert bold(ranking) == bold(ranking, "fvd") == set()
    assert format_cell(ranking.cells("mse")[0][0]).endswith(f"({sources} sources)")
    assert bold(table(tmp_path, {"a": [errors(0, 0)], "b": [errors(9, 1)]}, 12, fvd=True)) == {"a"}


def test_without_values_per_clip_the_best_value_alone_is_bold(tmp_path: Path) -> None:
    ranking = table(tmp_path, {"a": [errors(0, 0)], "b": [errors(0.0001, 0)]}, CLIPS, fvd=True)
    assert bold(ranking, "fvd") == {"a"}
    for path in tmp_path.glob("*.safetensors"):
        path.unlink()
    assert bold(ranking) == {"a"} or bold(ranking) == {"a", "b"}  # read before
    fresh = {path: read_record(path) for path in sorted(tmp_path.glob("*.json"))}
    assert bold(sections(fresh, {})[0].rankings[0]) == {"a"}


def test_an_interval_of_unknown_sources_is_not_shown_and_nothing_is_bold() -> None:
    old = Measurement(1.0, 64, (0.9, 1.1), higher_is_better=False)
    cell = LeaderboardRow("old", [make_record(metrics={"mse": old})]).cell("mse")
    assert cell == Cell(1.0, 1.0, 1.0)
    assert format_cell(cell) == "1.000"


def test_seeds_that_both_rows_have_are_averaged_clip_by_clip(tmp_path: Path) -> None:
    """Each seed alone is too noisy to tell; a row that learns nothing stands against all seeds."""
    ours = [errors(0.0, seed, 0.3) for seed in range(6)]
    theirs = [errors(0.12, 50 + seed, 0.3) for seed in range(6)]
    assert bold(table(tmp_path / "all", {"a": ours, "b": theirs}, CLIPS)) == {"a"}
    assert bold(table(tmp_path / "one", {"a": ours[:1], "b": theirs[:1]}, CLIPS)) == {"a", "b"}
    assert bold(table(tmp_path / "rule", {"a": ours, "rule": [errors(0.5, 7)]}, CLIPS)) == {"a"}


def test_holms_procedure() -> None:
    assert told_apart({0: 0.04}) == {0}
    assert told_apart({0: 0.04, 1: 0.03}) == set()
    assert told_apart({0: 0.04, 1: 0.02}) == {0, 1}
    assert told_apart({0: 0.012, 1: 0.3, 2: 0.04, 3: 0.001}) == {3, 0}


def test_the_rule_stands_in_every_output(tmp_path: Path) -> None:
    table(tmp_path, {"a": [errors(0, 0)]}, 12)
    leaderboard = sections({path: read_record(path) for path in tmp_path.glob("*.json")}, {})
    for text in (markdown(leaderboard), as_latex(leaderboard), page(leaderboard, Path("nowhere"))):
        assert BOLD.replace("'", "&#x27;") in text or BOLD in text
    assert ",sources,best," in as_csv(leaderboard).splitlines()[0]
    assert by_source.FEWEST_SOURCES == FEWEST_SOURCES
