import subprocess
import sys

import pytest

from benchmarks.cli import benchmarks
from benchmarks.commands.list import metadata_of
from benchmarks.records.source_tree import descendants
from datamodules.base.metadata import Metadata

PUBLISHED = [entry.path for entry in descendants("datamodules.base.published.PublishedDataModule")]


def test_every_published_data_set_says_all_of_its_facts() -> None:
    assert {path.rpartition(".")[2] for path in PUBLISHED} >= {
        *("Weizmann", "WeizmannStrips", "KTH", "UCF101", "BAIR", "MovingGif", "PennAction", "Cam5"),
        *("NoaaWinds", "MUG", "UvANEMO"),
    }
    for path in PUBLISHED:
        facts = metadata_of(path)
        assert tuple(facts) == Metadata._fields, path
        assert all(facts.values()), path


def test_the_list_prints_them(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        benchmarks(["list", "data"])
    out = capsys.readouterr().out
    for words in (
        "signed form",
        "1,258 train, 1,068 test",
        "ICPR 2004",
        "every 3 hours",
        "datamodules.pendulum.Pendulum",
    ):
        assert words in out
    assert out.count("      checksum ") == len(PUBLISHED)
    assert metadata_of("datamodules.pendulum.Pendulum") == {}


def test_it_needs_no_torch() -> None:
    code = (
        "import sys; from benchmarks.commands.list import metadata_of; assert metadata_of('datamodules.kth.KTH'); "
        "assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
