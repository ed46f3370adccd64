"""What the README shows works: its commands are read as they stand, its files exist, its examples are run.

The commands of docs/your_own_videos.md, too.
"""

import re
import shlex
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml

from benchmarks.cli import COMMANDS, Parser, _check_lightning
from benchmarks.lightning_cli import ChronoReelCLI, main
from benchmarks.records.record import read_record
from datamodules.base.clip_source import Origin
from datamodules.storage.store import ClipStore, StoredClip

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
BLOCKS = re.findall(r"^```(\w*)\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)
PYTHON = [text for language, text in BLOCKS if language == "python"]
PROSE = re.sub(r"^```.*?^```$", "", README, flags=re.MULTILINE | re.DOTALL)
PAGE = re.sub(r"^   ", "", (ROOT / "docs" / "your_own_videos.md").read_text(), flags=re.MULTILINE)
PAGE_BLOCKS = re.findall(r"^```(\w*)\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
LINES = [
    line
    for language, text in [*BLOCKS, *PAGE_BLOCKS]
    if language == "bash"
    for line in text.replace("\\\n", " ").splitlines()
]
WORDS = [
    words
    for line in [*LINES, *(" ".join(span.split()) for span in re.findall(r"`([^`]+)`", PROSE))]
    if len(words := shlex.split(line, comments=True)) > 1
]
LIGHTNING = [list(words) for words in dict.fromkeys(tuple(words[1:]) for words in WORDS if words[0] == "lightning")]
BENCHMARKS = [list(words) for words in dict.fromkeys(tuple(words[1:]) for words in WORDS if words[0] == "benchmarks")]
TARGETS = sorted({words[1] for words in WORDS if words[0] == "make"})

SMALL = {
    "data": {"init_args": {"train_clips": 4, "val_clips": 2, "test_clips": 2, "size": 16, "batch_size": 2}},
    "trainer": {"accelerator": "cpu", "devices": 1, "enable_progress_bar": False, "enable_model_summary": False},
    "evaluation": {"gallery": 0},
}
PREDICT = "--evaluation.tasks=[{class_path: Predict, init_args: {context: 8}}]"


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A checkout's folder as far as commands can tell, with the README's examples as modules in it."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "configs").symlink_to(ROOT / "configs")
    for name, text in zip(("my_models", "my_data", "my_metrics"), PYTHON, strict=True):
        (tmp_path / f"{name}.py").write_text(text)
        monkeypatch.delitem(__import__("sys").modules, name, raising=False)
    (tmp_path / "small.yaml").write_text(yaml.safe_dump(SMALL))
    return tmp_path


def read_only(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """From here on, `lightning` reads its configuration and does nothing; what it has read."""
    read: list[Any] = []
    monkeypatch.setattr(ChronoReelCLI, "instantiate_classes", lambda self: read.append(self.config))
    monkeypatch.setattr(ChronoReelCLI, "_run_subcommand", lambda self, _: None)
    return read


@pytest.mark.parametrize("words", LIGHTNING, ids=" ".join)
def test_a_lightning_command_is_read(words: list[str], here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read = read_only(monkeypatch)
    _check_lightning(words)
    if len(words) > 1:
        assert main(words) == 0
        assert read[0].subcommand == words[0]


OPTIONS = [word for words in WORDS for word in words[:1] if word.startswith("--") and words[0] != "lightning"]
OPTIONS += [span for span in re.findall(r"`(--[^`]+)`", PROSE) if " " not in span]


@pytest.mark.parametrize("option", sorted(set(OPTIONS)))
def test_an_option_in_the_prose_is_one(option: str, here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read = read_only(monkeypatch)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)  # gpu.yaml is refused where there is no GPU
    name, _, value = option.partition("=")
    experiment = "predict_video_folder" if name.startswith("--data") else "predict_bouncing_balls"
    words = ["fit", f"--config=configs/experiment/{experiment}/vid_ode.yaml"]
    spoken = next((span for span in re.findall(r"`([^`]+)`", PROSE) if span.startswith(f"{option} ")), "")
    if value or spoken:
        assert main([*words, *(spoken.split() or [option])]) == 0
        assert read
    else:
        assert main([*words, f"{option}=null"]) == 0


@pytest.mark.parametrize("words", BENCHMARKS, ids=" ".join)
def test_a_benchmarks_command_is_read(words: list[str]) -> None:
    module = import_module(COMMANDS[words[0]][0])
    parser = Parser(prog="benchmarks", allow_abbrev=False)
    module.add_arguments(parser)
    if len(words) > 1 or words[0] in ("list", "leaderboard"):
        parser.parse(words[1:])


def test_there_is_something_to_test() -> None:
    assert len(LIGHTNING) >= 4
    assert {words[0] for words in BENCHMARKS} >= {"run", "leaderboard", "list", "sample"}
    assert set(TARGETS) >= {"demo", "test"}


@pytest.mark.parametrize("target", TARGETS)
def test_a_target_of_make_exists(target: str) -> None:
    assert re.search(rf"^{target}:", (ROOT / "Makefile").read_text(), re.MULTILINE)


PLACES = sorted({*re.findall(r"\]\((?!https?:|#)([^)#]+)", README), *re.findall(r"configs/[\w/]+\.yaml", README)})


@pytest.mark.parametrize("place", PLACES)
def test_a_file_it_names_exists(place: str) -> None:
    assert (ROOT / place).exists()


def test_the_model_and_the_metric_run(here: Path) -> None:
    """As the README says: fitted by its own command, tested with a task, with the new metric beside ours."""
    (words,) = [words for words in LIGHTNING if "my_models.Drift" in words]
    assert main([*words, "--config=small.yaml", "--trainer.default_root_dir=run"]) == 0
    last = "run/checkpoints/last.ckpt"
    assert torch.load(last, weights_only=True)["config"]["class_path"] == "my_models.Drift"
    (added,) = [span for span in re.findall(r"`([^`]+)`", PROSE) if span.startswith("--evaluation.metrics+=")]
    exam = ["--data=configs/data/moving_shapes.yaml", "--config=small.yaml", PREDICT, "--evaluation.metrics=[MSE]"]
    exam += [added, f"--ckpt_path={last}", "--trainer.default_root_dir=exam"]
    assert main(["test", "--model=my_models.Drift", *exam]) == 0
    record = read_record(here / "exam" / "record.json")
    assert record.model["class_path"] == "my_models.Drift"
    assert set(record.metrics) == {"mse", "brightness_error"}
    assert all(entry.value is not None and entry.n == 2 for entry in record.metrics.values())


def test_the_data_set_runs(here: Path) -> None:
    pictures = np.random.default_rng(0).integers(0, 256, (6, 10, 3, 64, 64), dtype=np.uint8)
    clips = [
        StoredClip(((frame, k / 10) for k, frame in enumerate(frames)), split, Origin(f"{split} {n}", f"{n}"))
        for n, (frames, split) in enumerate(zip(pictures, ["train", "val", "test"] * 2, strict=True))
    ]
    ClipStore.write(here / "data" / "my-data-64px-3ch", clips, channels=3, size=(64, 64), about={})
    (here / "few.yaml").write_text(yaml.safe_dump({key: SMALL[key] for key in ("trainer", "evaluation")}))
    words = ["--model=RepeatLast", "--data=my_data.MyData", "--data.root=data", "--data.sampling=Regular"]
    words += ["--data.sampling.num_frames=10", "--config=few.yaml", PREDICT, "--evaluation.metrics=[MSE]"]
    assert main(["test", *words, "--trainer.default_root_dir=exam"]) == 0
    record = read_record(here / "exam" / "record.json")
    assert record.data.startswith("my-data-64px-3ch-test-")
    expected = np.diff(pictures[[2, 5]][:, 7:].astype(float), axis=1)[:, 0]
    assert record.metrics["mse"].n == 2
    assert record.metrics["mse"].per_frame is not None
    assert record.metrics["mse"].per_frame[0] == pytest.approx((expected**2).mean() / 255**2, rel=1e-5)
