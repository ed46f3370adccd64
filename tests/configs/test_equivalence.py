"""Every experiment of before resolves to the same configuration as the experiment and overrides in its place."""

from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonargparse import ActionConfigFile
from lightning import Trainer
from lightning.pytorch.cli import LightningArgumentParser

from benchmarks.config.build import import_ours
from benchmarks.config.resolve import is_config_file
from benchmarks.lightning_cli import ChronoReelCLI, ConfigParser
from datamodules.base.module import ClipDataModule
from lightning_modules.system import System

ROOT = Path(__file__).parents[2]
BEFORE = Path(__file__).parent / "before"
MOVED: dict[str, list[str]] = yaml.safe_load((BEFORE / "moved.yaml").read_text())


def parser_of(kind: type[LightningArgumentParser]) -> LightningArgumentParser:
    """What `lightning fit` reads its configuration with, or what it read it with before."""
    import_ours()
    parser = kind(exit_on_error=False)
    parser.add_argument("--config", action=ActionConfigFile)
    parser.add_lightning_class_args(Trainer, "trainer")
    parser.add_lightning_class_args(System, "model", subclass_mode=True)
    parser.add_lightning_class_args(ClipDataModule, "data", subclass_mode=True)
    ChronoReelCLI.add_arguments_to_parser(None, parser)  # type: ignore[arg-type]
    return parser


@pytest.fixture(scope="module")
def before() -> LightningArgumentParser:
    return parser_of(LightningArgumentParser)


@pytest.fixture(scope="module")
def now() -> LightningArgumentParser:
    return parser_of(ConfigParser)


def resolved(parser: LightningArgumentParser, words: list[str]) -> Any:
    config = yaml.safe_load(parser.dump(parser.parse_args(words), skip_none=False))
    config.pop("config", None)
    return canonical(config)


def canonical(value: Any) -> Any:
    """The value with every class path as the class itself says it."""
    if isinstance(value, list):
        return [canonical(entry) for entry in value]
    if not isinstance(value, dict):
        return value
    found = {key: canonical(entry) for key, entry in value.items()}
    if isinstance(found.get("class_path"), str):
        module, _, name = found["class_path"].rpartition(".")
        named = getattr(import_module(module), name)
        found["class_path"] = f"{named.__module__}.{named.__qualname__}"
    return found


def test_every_experiment_has_a_place() -> None:
    folder = BEFORE / "experiment"
    assert set(MOVED) == {path.relative_to(folder).with_suffix("").as_posix() for path in folder.glob("*/*.yaml")}
    assert len(MOVED) == 181


@pytest.mark.slow
@pytest.mark.parametrize("name", MOVED)
def test_the_resolved_configuration_is_that_of_before(
    name: str, before: LightningArgumentParser, now: LightningArgumentParser, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    experiment, *overrides = MOVED[name]
    words = [f"--config=configs/experiment/{experiment}.yaml"]
    words += [f"--config={word}" if is_config_file(word) else f"--{word}" for word in overrides]
    assert resolved(now, words) == resolved(before, [f"--config={BEFORE / 'experiment' / name}.yaml"])
