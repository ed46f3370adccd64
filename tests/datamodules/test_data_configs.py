from pathlib import Path

import pytest

from benchmarks.config.build import build_data
from benchmarks.config.resolve import read_config

CONFIGS = sorted((Path(__file__).parents[2] / "configs" / "data").glob("*.yaml"))


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_every_data_config_builds_what_it_says(path: Path) -> None:
    data, config = build_data(path), read_config(path)
    assert type(data).__name__ == config["class_path"].rpartition(".")[2]
    for name, value in config["init_args"]["sampling"]["init_args"].items():
        assert getattr(data.sampling, name) == value
    assert data.batch_size == config["init_args"]["batch_size"]
