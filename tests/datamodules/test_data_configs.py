from pathlib import Path

import pytest
import yaml
from jsonargparse import ArgumentParser

from datamodules.base.module import ClipDataModule

CONFIGS = sorted((Path(__file__).parents[2] / "configs" / "data").glob("*.yaml"))


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_every_data_config_builds_what_it_says(path: Path) -> None:
    parser = ArgumentParser(exit_on_error=False)
    parser.add_subclass_arguments(ClipDataModule, "data")
    config = parser.parse_args([f"--data={path}"])
    data = parser.instantiate(config).data
    wanted = yaml.safe_load(path.read_text())
    assert f"{type(data).__module__}.{type(data).__name__}" == wanted["class_path"]
    for name, value in wanted["init_args"]["sampling"]["init_args"].items():
        assert getattr(data.sampling, name) == value
    assert data.batch_size == wanted["init_args"]["batch_size"]
