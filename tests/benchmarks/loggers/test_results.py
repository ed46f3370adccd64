"""Losses, validations, galleries, curves and records reach W&B, TensorBoard and the files of a run, read back here."""

import csv
import json
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import wandb
import yaml

from benchmarks.lightning_cli import main
from benchmarks.loggers.records import wait_for_a_free_name
from benchmarks.loggers.wandb_run import AXIS, RunWandbLogger
from benchmarks.records.record import read_record
from datamodules.storage.video import read_video
from support.offline_wandb import Offline

CONFIGS = Path(__file__).parents[3] / "configs"
RUN = Path("run")


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.chdir(tmp_path)
    for name in ("WANDB_API_KEY", "WANDB_RUN_ID", "WANDB_PROJECT", "WANDB_ENTITY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))  # no account, whatever this machine's
    monkeypatch.setenv("WANDB_MODE", "offline")
    for name in ("WANDB_SILENT", "WANDB__DISABLE_STATS", "WANDB_DISABLE_GIT", "WANDB_DISABLE_CODE"):
        monkeypatch.setenv(name, "true")
    monkeypatch.setenv("WANDB_CONSOLE", "off")
    yield tmp_path
    wandb.teardown()


def run(verb: str, logger: str, *options: str) -> int:
    experiment = CONFIGS / "experiment/predict_bouncing_balls/vid_ode.yaml"
    words = [f"--config={experiment}", f"--config={CONFIGS / 'smoke/vid_ode.yaml'}"]
    words += [
        f"--trainer.logger={CONFIGS / 'logger' / logger}.yaml",
        "--trainer.log_every_n_steps=1",
        "--trainer.check_val_every_n_epoch=1",
    ]
    return main([verb, *words, f"--trainer.default_root_dir={RUN}", "--evaluation.every_n_epochs=1", *options])


def measured(stage: str) -> dict[tuple[str, str], float]:
    with (RUN / "measurements.csv").open() as file:
        return {(r["metric"], r["frame"]): float(r["value"]) for r in csv.DictReader(file) if r["stage"] == stage}


@pytest.mark.slow
def test_an_offline_wandb_run_holds_losses_validations_media_and_the_record(here: Path) -> None:
    assert run("fit", "wandb") == 0
    first = Offline(RUN)
    assert first.config["seed_everything"] == 0
    assert first.config["model"]["class_path"] == "lightning_modules.vid_ode.VidODE"
    assert first.axes["*"] == AXIS
    losses = first.logged("train/generator/reconstruction")
    assert [step for step, _ in losses] == [1, 2]
    ((step, value),) = first.logged("val/predict/mse")
    assert step == 2
    assert value == pytest.approx(measured("val")["mse", ""])
    assert first.exit_codes == [0]

    assert run("test", "wandb", f"--ckpt_path={RUN / 'checkpoints/last.ckpt'}") == 0
    whole = Offline(RUN)
    assert len(whole.ids) == 2
    assert len(set(whole.ids)) == 1  # the test goes into the training's run
    assert [step for step, _ in whole.logged("val/predict/gallery.videos")] == [2]
    ((_, (gallery,)),) = whole.logged("test/predict/gallery.videos")
    folder = next(path for path in RUN.glob("wandb/offline-run-*") if (path / "files" / gallery["path"]).is_file())
    shown = read_video(folder / "files" / gallery["path"])
    ours = read_video(RUN / "samples/test-predict-2.mp4")
    assert shown.frames.shape == ours.frames.shape

    record = read_record(RUN / "record.json")
    (exam,) = {key.split("/")[1] for key in whole.summary if key.startswith("record/")}
    assert record.protocol.id.startswith(exam)
    for name, entry in record.metrics.items():
        if entry.value is not None:
            assert whole.summary[f"record/{exam}/{name}"] == entry.value
            assert whole.summary[f"record/{exam}/{name}_n"] == entry.n
    ((name, files),) = whole.artifacts.items()
    assert name.endswith(record.protocol.id)
    assert sorted(files) == ["record.clips.safetensors", "record.json"]
    curve = record.metrics["mse"].per_frame
    assert curve is not None
    tables = [
        json.loads(path.read_text())
        for path in RUN.glob("wandb/offline-run-*/files/media/table/test/predict/mse_per_frame*")
    ]
    assert [table["data"] for table in tables] == [[[frame, value] for frame, value in enumerate(curve, start=1)]]
    assert [measured("test")["mse", str(frame)] for frame in range(1, len(curve) + 1)] == curve


@pytest.mark.slow
def test_tensorboard_gets_the_same_numbers_and_galleries(here: Path) -> None:
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    assert run("fit", "tensorboard") == 0
    assert run("test", "tensorboard", f"--ckpt_path={RUN / 'checkpoints/last.ckpt'}") == 0
    events = EventAccumulator(str(RUN), size_guidance={"images": 0, "scalars": 0, "tensors": 0})
    events.Reload()
    scalars: dict[str, Any] = {tag: events.Scalars(tag) for tag in events.Tags()["scalars"]}
    assert [entry.step for entry in scalars["train/generator/reconstruction"]] == [1, 2]
    for stage in ("val", "test"):
        for (metric, frame), value in measured(stage).items():
            tag = f"per_frame/{stage}/predict/{metric}/{int(frame):03}" if frame else f"{stage}/predict/{metric}"
            (entry,) = scalars[tag]
            assert entry.step == 2
            assert entry.value == pytest.approx(value, rel=1e-6)
        (image,) = events.Images(f"{stage}/predict/gallery")
        assert image.encoded_image_string[:6] == b"GIF89a"
    (tag,) = [tag for tag in events.Tags()["tensors"] if tag.startswith("record/")]
    assert read_record(RUN / "record.json").protocol.id in tag


def test_online_without_an_account_is_kept_offline_with_a_warning(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_MODE", "online")
    asked: list[dict[str, Any]] = []
    true_init = wandb.init

    def refuses(**options: Any) -> Any:
        asked.append(options)
        if options.get("mode") != "offline":
            raise wandb.errors.AuthenticationError("no API key")
        return true_init(**options)

    monkeypatch.setattr(wandb, "init", refuses)
    logger = RunWandbLogger(save_dir=str(RUN))
    with pytest.warns(UserWarning, match="cannot be used online.*no API key"):
        logger.log_metrics({"a": 1.5}, 3)
    logger.finalize("failed")
    assert len(asked) == 2
    found = Offline(RUN)
    assert found.logged("a") == [(3, 1.5)]
    assert found.exit_codes == [1]


def test_the_folder_is_the_run(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    loggers = [RunWandbLogger(save_dir=name) for name in ("runs/predict_kth/vid_ode/0", "runs/predict_kth/vid_ode/1")]
    for number, logger in enumerate(loggers):
        logger.log_metrics({"a": number}, 0)  # the second ends the first's session
    loggers[1].finalize("success")
    first, second = (Offline(Path(str(logger.save_dir))) for logger in loggers)
    assert first.names == ["predict_kth/vid_ode/0"]
    assert first.ids != second.ids
    resumed = RunWandbLogger(save_dir="runs/predict_kth/vid_ode/0")
    resumed.log_metrics({"a": 5}, 9)
    resumed.finalize("success")
    sessions = Offline(Path(str(resumed.save_dir)))
    assert sessions.ids == first.ids * 2
    assert sessions.logged("a") == [(0, 0), (9, 5)]
    monkeypatch.setenv("WANDB_RUN_ID", "given")
    again = RunWandbLogger(save_dir="runs/predict_kth/vid_ode/0")
    again.log_metrics({"a": 2}, 1)
    again.finalize("success")
    assert "given" in Offline(Path(str(again.save_dir))).ids


def test_a_session_waits_out_the_second_of_another(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "wandb/offline-run-20250101_000000-abc").mkdir(parents=True)
    moments = ["20250101_000000", "20250101_000000", "20250101_000001"]
    slept: list[float] = []
    clock = SimpleNamespace(strftime=lambda _: moments.pop(0), sleep=slept.append)
    monkeypatch.setattr("benchmarks.loggers.records.time", clock)
    wait_for_a_free_name(tmp_path, "abc")
    assert (len(slept), moments) == (2, [])
    moments = ["20250101_000000"]
    wait_for_a_free_name(tmp_path, "another")
    assert len(slept) == 2


def test_every_logger_config_names_a_class_that_takes_its_arguments() -> None:
    from lightning.pytorch.cli import LightningArgumentParser
    from lightning.pytorch.loggers import Logger

    found = set()
    for path in sorted((CONFIGS / "logger").glob("*.yaml")):
        parser = LightningArgumentParser(exit_on_error=False)
        parser.add_subclass_arguments(Logger, "logger")
        parsed = parser.parse_object({"logger": yaml.safe_load(path.read_text())}).logger
        found.add(parsed.class_path.rpartition(".")[2])
    assert found >= {"CsvLog", "RunWandbLogger", "TensorBoardLogger"}
