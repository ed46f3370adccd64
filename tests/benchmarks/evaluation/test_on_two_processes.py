"""The whole `lightning test` on two processes: the record that one process writes, to the last digit."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from benchmarks.config.resolve import full_class_paths, read_config
from benchmarks.lightning_cli import main
from benchmarks.records.record import Record, read_record

MODEL = Path(__file__).parents[3] / "configs/model/mocogan_ode1.yaml"
CLIPS = 13
UNTRAINED = {"class_path": "benchmarks.metrics.features.extractor.UntrainedFeatures"}
METRICS: dict[str, dict[str, Any]] = {
    "fvd.FrechetVideoDistance": {},
    "fid.FrechetInceptionDistance": {"cap": 4},
    "mmd.MaximumMeanDiscrepancy": {},
    "precision_recall.PrecisionRecall": {},
    "inception.InceptionScore": {"splits": 2},
    "diversity.Diversity": {},
}


def write_config() -> None:
    """A tiny untrained MoCoGAN on a prime number of clips, two samples each, with metrics of every kind."""
    model: dict[str, Any] = full_class_paths(read_config(MODEL))
    for part in ("generator", "video_critic"):
        model["init_args"][part]["init_args"] |= {"size": 32, "width": 2}
    counts = {"train_clips": 2, "val_clips": 2, "test_clips": CLIPS}
    sampling = {"class_path": "Regular", "init_args": {"num_frames": 16, "start": "first"}}
    metrics: list[dict[str, Any]] = [
        {"class_path": f"benchmarks.metrics.{path}", "init_args": {"network": UNTRAINED, **settings}}
        for path, settings in METRICS.items()
    ]
    metrics += [{"class_path": "TemporalDistance"}, {"class_path": "SSIM"}, {"class_path": "PooledPSNR"}]
    config = {
        "model": model,
        "data": {"class_path": "MovingShapes", "init_args": {"size": 32, **counts, "sampling": sampling}},
        "evaluation": {"tasks": [{"class_path": "Generate"}], "metrics": metrics, "gallery": 0, "num_samples": 2},
        "trainer": {"accelerator": "cpu", "enable_progress_bar": False, "enable_model_summary": False},
    }
    Path("test.yaml").write_text(yaml.safe_dump(config))


def record(processes: int, batch_size: int) -> Record:
    folder = f"on{processes}by{batch_size}"
    words = [f"--trainer.devices={processes}", f"--trainer.default_root_dir={folder}"]
    words += ["--trainer.strategy=ddp_fork"] if processes > 1 else []
    words += [f"--data.batch_size={batch_size}"]
    assert main(["test", "--config=test.yaml", "--untrained", *words]) == 0
    return read_record(Path(folder) / "record-untrained.json")


@pytest.mark.slow
def test_two_processes_write_the_record_that_one_writes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_config()
    one, two, uneven = record(1, 1), record(2, 1), record(2, 4)
    assert one.protocol == two.protocol == uneven.protocol
    assert one.protocol.settings["n"] == CLIPS
    assert len(one.metrics) == 9
    for name, entry in one.metrics.items():
        assert entry.value is not None, name
        assert entry.n == CLIPS, name
        exact = {"rel": 1e-12} if name.startswith("no_fid") else {"rel": 0, "abs": 0}  # streamed: merged in other order
        assert two.metrics[name].value == pytest.approx(entry.value, **exact), name
        ends = pytest.approx(entry.interval, rel=1e-9) if entry.interval else None
        assert two.metrics[name].interval == ends, name
        assert uneven.metrics[name].value == pytest.approx(entry.value, rel=1e-5), name  # batches of other sizes
