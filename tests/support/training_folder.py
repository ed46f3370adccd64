"""A folder with one experiment in it, of which the tests of the `lightning` command run."""

from pathlib import Path
from typing import Any

import pytest
import yaml

DATA: dict[str, Any] = {
    "class_path": "BouncingBalls",
    "init_args": {
        "train_clips": 4,
        "val_clips": 2,
        "test_clips": 2,
        "length": 8,
        "size": 16,
        "batch_size": 2,
        "sampling": {"class_path": "Regular", "init_args": {"num_frames": 7}},
    },
}
EXAM = {
    "tasks": [{"class_path": "Predict", "init_args": {"context": 3}}],
    "metrics": [{"class_path": "MSE"}],
    "gallery": 0,
}
QUIET = {"accelerator": "cpu", "devices": 1, "enable_progress_bar": False, "enable_model_summary": False}


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder with an experiment in it, as the working folder."""
    monkeypatch.chdir(tmp_path)
    write(
        "configs/experiment/predict_balls/mean.yaml",
        model={"class_path": "Constant", "init_args": {"value": "mean"}},
        data=DATA,
        evaluation=EXAM,
        trainer={**QUIET, "max_epochs": 2, "log_every_n_steps": 1},
    )
    return tmp_path


def write(name: str, **content: Any) -> str:
    Path(name).parent.mkdir(parents=True, exist_ok=True)
    Path(name).write_text(yaml.safe_dump(content))
    return f"--config={name}"


EXPERIMENT = "--config=configs/experiment/predict_balls/mean.yaml"
RUN = Path("runs/predict_balls/mean/0")
