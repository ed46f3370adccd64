"""The committed tree: its leaderboard is what its records make, and every record that a page cites is there and whole."""

import shutil
from pathlib import Path

import pytest

from benchmarks.cli import benchmarks
from benchmarks.leaderboard.integrity import CITED, pages_of
from benchmarks.records.clip_scores import beside
from benchmarks.records.record import read_record, read_records
from datamodules.files import write_text

ROOT = Path(__file__).parents[1]


def check() -> int:
    with pytest.raises(SystemExit) as caught:
        benchmarks(["leaderboard", "--check"])
    return int(str(caught.value.code))


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of what the leaderboard is made of, as the working folder, with a fresh leaderboard."""
    for name in ("benchmarks/results", "configs", "docs"):
        shutil.copytree(ROOT / name, tmp_path / name)
    shutil.copy(ROOT / "README.md", tmp_path)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit):
        benchmarks(["leaderboard"])
    shutil.rmtree("site")
    return tmp_path


def test_the_committed_leaderboard_is_fresh_and_its_records_are_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    assert check() == 0


def test_a_copy_of_the_committed_records_is_whole(tree: Path, capsys: pytest.CaptureFixture[str]) -> None:
    capsys.readouterr()
    assert check() == 0, capsys.readouterr().out


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
    line = "docs/latent_dynamics.md cites 30 records in benchmarks/results/latent_nde_moving_shapes; there are 29."
    assert line in capsys.readouterr().out
    shutil.rmtree("benchmarks/results/latent_nde_moving_shapes")
    assert check() == 1
    line = "docs/latent_dynamics.md cites benchmarks/results/latent_nde_moving_shapes, which is not there."
    assert line in capsys.readouterr().out


def test_a_broken_record_is_found(tree: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = next(path for path in read_records(Path("benchmarks/results")) if beside(path).is_file())
    good = path.read_text()
    assert '"seed": 0' in good
    for change, said in (
        (lambda: write_text(path, good.replace('"deterministic": false', '"deterministic": true')), "another record"),
        (lambda: write_text(path, good.replace('"seed": 0', '"seed": 7')), "is the record of another place"),
        (lambda: write_text(path, good.replace('"n": 50', '"n": 51')), "settings hash to"),
        (lambda: path.rename(path.with_name("x.json")), "which is not there"),
        (lambda: beside(path).write_bytes(beside(path).read_bytes()[:-3]), "cannot be read"),
    ):
        scores = beside(path).read_bytes()
        change()
        assert check() != 0
        heard = capsys.readouterr()
        assert said in heard.out + heard.err, said
        path.with_name("x.json").unlink(missing_ok=True)
        write_text(path, good)
        beside(path).write_bytes(scores)
    assert read_record(path)
    assert check() == 0
