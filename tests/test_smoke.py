"""Everything that ships runs: each experiment is fitted and tested, each model fitted, through the real command.

The folders are globbed, so nothing can be forgotten; sizes are tiny, `configs/smoke` says how.
"""

import csv
import math
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from torch import Tensor

from benchmarks.config.resolve import full_class_paths, read_config
from benchmarks.lightning_cli import main
from benchmarks.metrics import lpips
from benchmarks.metrics.features import i3d
from benchmarks.pretrained.registry import WeightsUnavailable
from benchmarks.records.record import Record, read_record
from datamodules.storage.video_writer import write_video

CONFIGS = Path(__file__).parents[1] / "configs"
MODELS = sorted((CONFIGS / "model").glob("*.yaml"))
EXPERIMENTS = sorted((CONFIGS / "experiment").glob("*/*.yaml"))
OWN_TESTS = ("ucf101/", "weizmann/", "kth/", "mug/", "uva_nemo/", "weizmann_strips/mode", "weizmann_strips/motion")
RUN = [
    path
    for path in EXPERIMENTS
    if not f"{path.parent.name}/{path.stem}".startswith(tuple(f"generate_{name}" for name in OWN_TESTS))
]
"""Those left out are chosen by a score whose weights a test has not (test_latent_nde runs their tables), or learn
joints that no simulated clip has, or stand beside such (test_mode_gan_figures and _pictures run their kind)."""

TRAINER = {
    "max_epochs": 1,
    "accelerator": "cpu",
    "devices": 1,
    "log_every_n_steps": 1,
    "enable_progress_bar": False,
    "enable_model_summary": False,
}
FEW = {"train_clips": 4, "val_clips": 2, "test_clips": 2, "batch_size": 2}
DATA: dict[str, dict[str, Any]] = {
    "BouncingBalls": FEW,
    "MovingShapes": FEW | {"size": 32},
    "Pendulum": FEW,
    "VideoFolder": {"folder": "videos", "size": 32, "batch_size": 2},
    "NoaaWinds": {"archives": "winds", "batch_size": 2, "eval_batch_size": 2, "windows_per_clip": 1},
}
"""How each data set is made small; others have files that a test has not, and simulated clips stand in for them."""

WITHOUT_PICTURES = {"MotionGAN"}
"""Systems whose answers are motions, which have no gallery."""

TINY: dict[str, dict[str, Any]] = {
    "VidODENetwork": {"width": 2},
    "ODEConvGRU": {"channels": 8},
    "FrameStack": {"channels": 8},
    "ConvGRUCell": {"channels": 8},
    "ConvField": {"channels": 8, "hidden": 4},
    "PatchCritic": {"width": 4},
    "MoCoGANGenerator": {"size": 32, "width": 4},
    "MoCoGANVideoCritic": {"size": 32, "width": 4},
    "MoCoGANImageCritic": {"width": 4},
    "TGANGenerator": {"size": 32, "width": 2},
    "TGANCritic": {"size": 32, "width": 4},
    "TGANv2Generator": {"channels": 8, "widths": [4, 4, 4], "levels": 3},
    "TGANv2Critic": {"width": 2, "levels": 3},
    "ConvLSTM": {"channels": 8},
    "LeakyConvField": {"channels": 8},
    "ConvJetEncoder": {"channels": 8},
    "InbetweeningNetwork": {"size": 32, "frames": 8, "width": 4, "latent": 4, "noise": 4, "blocks": 2},
    "VideoCritic": {"size": 32, "frames": 8, "width": 4},
    "ImageCritic": {"size": 32, "width": 4},
    "ConvGRU": {"width": 2},
    "ConvGRUDt": {"width": 2},
    "ConvGRUDecay": {"width": 2},
    "ODEConv": {"width": 2, "hidden": 4},
    "ODEFC": {"size": 32, "width": 2, "latent": 8, "hidden": 8},
    "FrameLatentODE": {"size": 32, "width": 2, "latent": 8, "state": 8, "hidden": 8, "samples": 2},
    "ODE2VAE": {"size": 32, "latent": 4, "hidden": 8, "encoder_width": 2, "decoder_width": 2},
}
"""How the parts of a model are made small, wherever they stand in it."""


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working folder without a network: a metric whose weights would be fetched is a dash."""

    def unavailable(backbone: str) -> None:
        raise WeightsUnavailable(f"{backbone}: tests fetch nothing")

    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CHRONOREEL_DATA", str(tmp_path / "data"))
    monkeypatch.setattr(lpips, "network_of", unavailable)
    monkeypatch.setattr(i3d, "path_of", unavailable)
    return tmp_path


def identity(path: Path) -> str:
    return "/".join(path.relative_to(CONFIGS).with_suffix("").parts[1:])


def read(path: Path) -> dict[str, Any]:
    """A file with its parts and its recipe put in, and full class paths."""
    content: dict[str, Any] = full_class_paths(read_config(path))
    return content


def write(name: str, content: dict[str, Any]) -> str:
    Path(name).write_text(yaml.safe_dump(content))
    return f"--config={name}"


def film(folder: Path) -> None:
    """Two short clips for each split, each with a square that moves its own way."""
    for number, place in enumerate(f"{split}/{k}.mp4" for split in ("train", "val", "test") for k in "ab"):
        frames = np.full((18, 3, 40, 48), 16 * number, dtype=np.uint8)
        for k in range(18):
            frames[k, :, 2 * k : 2 * k + 9, 3 * number : 3 * number + 9] = 255 - 16 * number
        (folder / place).parent.mkdir(parents=True, exist_ok=True)
        write_video(folder / place, frames, 25)


def blow(folder: Path) -> None:
    """Eleven years of winds on a map of 2.5 degrees, as `NoaaWinds` reads them."""
    lat, lon, random = np.linspace(-90, 90, 73), np.linspace(20, 377.5, 144), np.random.default_rng(0)
    u, v = (random.normal(size=(132, 73, 144)).astype(np.float32) for _ in "uv")
    folder.mkdir()
    np.savez(folder / "navy_winds_uv.npz", u=u, v=v, lat=lat, lon=lon, time=730.5 * np.arange(132))


def overrides(experiment: dict[str, Any]) -> Iterator[str]:
    """The smoke override of the model, if it learns, and the sizes of the data."""
    family, module, _ = experiment["model"]["class_path"].split(".")
    if module == "vid_ode" and "Recurrent" in str(experiment["model"]):
        module = "vid_rnn"
    if module == "latent_dynamics" and "TGANv2" in str(experiment["model"]):
        module = "tganv2"
    smoke = CONFIGS / "smoke" / f"{module}.yaml"
    if family != "baselines":
        assert smoke.is_file(), f"{module} has no smoke override"
    if smoke.is_file():
        if "BouncingBalls" in experiment["data"]["class_path"]:
            yield f"--config={smoke}"  # as it ships
        else:
            yield write("smoke.yaml", {k: v for k, v in yaml.safe_load(smoke.read_text()).items() if k != "data"})
    small = DATA.get(experiment["data"]["class_path"].rsplit(".", 1)[1])
    data = {"init_args": small} if small else stand_in(experiment["data"])
    yield write("tiny.yaml", {"data": data, "trainer": TRAINER, "evaluation": {"gallery": 1}})


def stand_in(data: dict[str, Any]) -> dict[str, Any]:
    """Simulated clips of as many channels, sampled alike."""
    arguments = data["init_args"]
    grey = arguments.get("channels", 1 if data["class_path"].endswith(".KTH") else 3) == 1
    name = "bouncing_balls.BouncingBalls" if grey else "moving_shapes.MovingShapes"
    alike = {key: arguments[key] for key in ("sampling", "eval_sampling", "frame_rate") if key in arguments}
    return {
        "class_path": f"datamodules.{name}",
        "init_args": alike | DATA[name.rsplit(".", 1)[1]] | {"size": 32, "windows_per_clip": 1},
    }


def class_of(config: dict[str, Any]) -> type:
    module, name = config["class_path"].rsplit(".", 1)
    found: type = getattr(import_module(module), name)
    return found


def check(record: Record, updates: int, clips: int) -> None:
    """Everything that was asked has been measured, on all test clips."""
    assert record.split == "test"
    assert record.budget.updates == updates
    assert record.metrics
    for name, entry in record.metrics.items():
        if name.startswith(("lpips", "fvd")):
            assert str(entry.reason).endswith("tests fetch nothing")
        else:
            assert entry.value is not None, entry.reason
            assert math.isfinite(entry.value)
            assert entry.n == clips


def marked(path: Path) -> Any:
    """An experiment whose data a test has not runs on clips that stand in for it, when there is time."""
    known = read(path)["data"]["class_path"].rsplit(".", 1)[1] in DATA
    return pytest.param(path, marks=[] if known else [pytest.mark.slow])


@pytest.mark.parametrize("path", [marked(path) for path in RUN], ids=[identity(path) for path in RUN])
def test_an_experiment_runs(path: Path, here: Path) -> None:
    experiment = read(path)
    if experiment["data"]["class_path"].endswith("VideoFolder"):
        film(here / "videos")
    if experiment["data"]["class_path"].endswith("NoaaWinds"):
        blow(here / "winds")
    words = [f"--config={path}", *overrides(experiment)]
    run = Path("runs", identity(path), "0")
    updates = 0
    if "max_epochs" in experiment.get("trainer", {}) or "budget" in experiment:
        assert main(["fit", *words]) == 0
        last = run / "checkpoints" / "last.ckpt"
        words.append(f"--ckpt_path={last}")
        updates = 1 if experiment["data"]["class_path"].endswith("VideoFolder") else 2
    assert main(["test", *words]) == 0
    records = [read_record(file) for file in run.glob("record*.json")]
    model = class_of(experiment["model"])
    asked = [task["class_path"].rsplit(".", 1)[1].lower() for task in experiment["evaluation"]["tasks"]]
    instead = {"inbetween": "interpolate"}  # what the task asks of a system without the verb
    assert sorted(str(record.task["name"]) for record in records) == sorted(
        verb for verb in asked if hasattr(model, verb) or hasattr(model, instead.get(verb, verb))
    )
    for record in records:
        check(record, updates, 4 if experiment["data"]["class_path"].endswith("NoaaWinds") else 2)
    two_fields = experiment["data"]["class_path"].endswith("NoaaWinds")  # no picture has two channels
    pictures = 0 if model.__name__ in WITHOUT_PICTURES or two_fields else len(records)
    assert len(list((run / "samples").glob("test-*.mp4"))) == pictures


# MODE-GAN ships for 17 joints, which no simulated data has; its experiments learn on the balls' three
@pytest.mark.parametrize(
    "path", [path for path in MODELS if not path.stem.startswith(("motion_", "mode_"))], ids=identity
)
@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed"])
def test_a_model_learns(path: Path, precision: str, here: Path) -> None:
    """One update moves the generator, and every loss is a number; so too as configs/trainer/gpu.yaml trains."""
    model = read(path)
    data = {"class_path": "MovingShapes", "init_args": {**FEW, "size": 32, "frame_rate": 25, "train_clips": 2}}
    if model["class_path"].endswith("VidODE"):
        interpolates = model["init_args"]["training"] == "interpolate"
        shown = {"num_frames": 2 * model["init_args"].get("observe", 5)}
        if interpolates:  # as many frames as the sequence critic sees
            together = model["init_args"]["sequence_critic"]["init_args"]["channels"]
            shown = {"num_frames": together // model["init_args"]["generator"]["init_args"]["channels"], "stride": 2}
        if model["init_args"]["generator"]["init_args"]["channels"] == 1:
            data = {"class_path": "BouncingBalls", "init_args": {**FEW, "size": 32, "train_clips": 2}}
    elif model["class_path"].startswith("baselines."):
        shown = {"num_frames": 10}
        if model["init_args"]["channels"] == 1:
            shown = {"num_frames": 2 * model["init_args"]["observe"]}
            data = {"class_path": "BouncingBalls", "init_args": {**FEW, "size": 32, "train_clips": 2}}
    elif model["class_path"].endswith("LatentDynamicsGAN"):
        shown = {"num_frames": 16}
        side = model["init_args"]["generator"]["init_args"].get("side", 3)
        data["init_args"] |= {"frame_rate": 16, "size": 8 * side if path.stem.startswith("tganv2") else 32}
    else:
        shown = {"num_frames": TINY["InbetweeningNetwork"]["frames"]}
        if model["init_args"]["generator"]["init_args"]["channels"] == 1:
            data = {"class_path": "BouncingBalls", "init_args": {**FEW, "size": 32, "train_clips": 2}}
    data["init_args"]["sampling"] = {"class_path": "Regular", "init_args": shown}
    trainer = TRAINER | {"limit_val_batches": 0, "precision": precision}
    override = write("tiny.yaml", {"model": tiny(model), "data": data, "trainer": trainer})
    assert main(["fit", f"--model={path}", override]) == 0
    (run,) = Path("runs").glob("*/0")
    saved = torch.load(run / "checkpoints" / "last.ckpt", weights_only=True)
    assert saved["updates"]["generator_updates"] == 1
    weights: dict[str, Tensor] = saved["state_dict"]
    assert all(weight.isfinite().all() for weight in weights.values())
    small = {name: weight for name, weight in weights.items() if not name.startswith("generator.dynamics.")}
    assert 0 < sum(weight.numel() for name, weight in small.items() if name.startswith("generator.")) < 50_000
    with (run / "metrics.csv").open() as file:
        (losses,) = csv.DictReader(file)
    terms = {name: float(value) for name, value in losses.items() if name.startswith("train/generator/")}
    if model["class_path"].endswith("VidODE"):
        assert terms["train/generator/reconstruction"] > 0
    assert all(math.isfinite(value) for value in terms.values())
    judged = {name.rsplit("/", 1)[1] for name in terms} & {"image", "sequence", "video"}
    assert judged == {name.removesuffix("_critic") for name in model["init_args"] if name.endswith("_critic")}


def tiny(value: Any) -> Any:
    """What to lay over a configuration: every part again, with the sizes that `TINY` has for it."""
    if not isinstance(value, dict):
        return value
    if "class_path" not in value:
        return {key: part for key, one in value.items() if (part := tiny(one))}
    parts = {key: tiny(one) for key, one in value.get("init_args", {}).items() if isinstance(one, dict)}
    arguments = parts | TINY.get(value["class_path"].rpartition(".")[2], {})
    return (
        {"class_path": value["class_path"], "init_args": arguments}
        if arguments
        else {"class_path": value["class_path"]}
    )
