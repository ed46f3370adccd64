"""The committed tree: its leaderboard is what its records make; every record that a page cites is there and whole."""

import dataclasses
import json
import shutil
from pathlib import Path

import pytest

from benchmarks.cli import benchmarks
from benchmarks.leaderboard.integrity import CITED, faults, missing_citations, pages_of
from benchmarks.records.clip_scores import beside
from benchmarks.records.parts import RecordError
from benchmarks.records.record import read_records
from benchmarks.runs.spec import read_benchmarks
from support.record_maker import make_record

ROOT = Path(__file__).parents[1]


def check() -> int:
    with pytest.raises(SystemExit) as caught:
        benchmarks(["leaderboard", "--check"])
    return int(str(caught.value.code))


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of what the leaderboard is made of, as the working folder."""
    for name in ("benchmarks/results", "configs", "docs"):
        shutil.copytree(ROOT / name, tmp_path / name)
    shutil.copy(ROOT / "README.md", tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_committed_leaderboard_is_fresh_and_its_records_are_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    assert check() == 0


def test_the_committed_records_are_whole_and_those_that_pages_cite_are_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    results = Path("benchmarks/results")
    assert faults(read_records(results), read_benchmarks(Path("configs/benchmark")), results) == []
    assert missing_citations(pages_of(Path()), Path()) == []


def test_a_record_that_a_page_cites_and_that_is_gone_is_missed(tree: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Though the leaderboard is made again without it."""
    cited = [entry for page in pages_of(tree) for entry in CITED.findall(page.read_text())]
    assert any(count for count, _ in cited)
    gone = next(tree.glob("benchmarks/results/latent_nde_moving_shapes/*-s1-*.json"))
    gone.unlink()
    with pytest.raises(SystemExit):
        benchmarks(["leaderboard"])
    shutil.rmtree("site")
    capsys.readouterr()
    assert check() == 1
    left = len(list(gone.parent.glob("*.json")))
    place = "benchmarks/results/latent_nde_moving_shapes"
    line = f"docs/latent_dynamics.md cites {left + 1} records in {place}; there are {left}."
    assert line in capsys.readouterr().out
    shutil.rmtree("benchmarks/results/latent_nde_moving_shapes")
    line = "docs/latent_dynamics.md cites benchmarks/results/latent_nde_moving_shapes, which is not there."
    assert line in missing_citations(pages_of(Path()), Path())


@pytest.mark.parametrize("lie", ["a value", "without a digest", "scores gone"])
def test_a_record_that_was_changed_by_hand_is_noticed_before_anything_is_written(
    lie: str, tree: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = next(path for path in sorted(tree.glob("benchmarks/results/demo/*.json")) if beside(path).is_file())
    content = json.loads(path.read_text())
    beside(path).unlink()
    if lie != "scores gone":
        content["metrics"]["ssim"]["value"] = (sum(content["metrics"]["ssim"]["interval"])) / 2 + 1e-4
    if lie == "without a digest":
        del content["content_sha256"], content["clips_sha256"]
    path.write_text(json.dumps(content))
    before = (tree / "README.md").read_text()
    with pytest.raises(SystemExit) as caught:
        benchmarks(["leaderboard"])
    assert int(str(caught.value.code)) == 2
    said = {"a value": "Its digest is not", "without a digest": "has no digest", "scores gone": "has no values of its"}
    assert said[lie] in capsys.readouterr().err
    assert (tree / "README.md").read_text() == before


def test_two_seeds_of_one_checkpoint_are_one_training(tmp_path: Path) -> None:
    for seed, checkpoint in ((0, "a" * 64), (1, "a" * 64), (2, "b" * 64)):
        record = make_record(seed=seed, checkpoint_sha256=checkpoint)
        record.write(tmp_path / "demo" / record.file_name)
    (line,) = [line for line in faults(read_records(tmp_path), {}, tmp_path) if "same checkpoint" in line]
    assert "seeds are 1 and 0" in line


def test_a_broken_record_is_found(tmp_path: Path) -> None:
    results = tmp_path / "results"
    shutil.copytree(ROOT / "benchmarks" / "results" / "demo", results / "demo")
    path = next(path for path in read_records(results) if beside(path).is_file())
    good, scores, record = path.read_text(), beside(path).read_bytes(), read_records(results)[path]

    def found() -> str:
        return "\n".join(faults(read_records(results), {}, results))

    assert found() == ""
    dataclasses.replace(record, deterministic=not record.deterministic).write(path)
    assert f"{beside(path)} belongs to another record than {path.name}" in found()
    dataclasses.replace(record, seed=7).write(path)
    assert f"{path} is the record of another place" in found()
    path.write_text(good.replace('"seed": 0,\n "split"', '"seed": 7,\n "split"'))
    with pytest.raises(RecordError, match="Its digest is not that of its content"):
        found()
    path.write_text(good)
    beside(path).write_bytes(scores[:-3])
    assert f"{beside(path)} cannot be read" in found()
    beside(path).write_bytes(scores)
    path.rename(tmp_path / "elsewhere.json")
    assert f"{beside(path)} belongs to {path.name}, which is not there." in found()
