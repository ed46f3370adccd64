"""Every shipped configuration builds what its name says; what is in the folders is tested, nothing can be forgotten."""

from pathlib import Path
from statistics import median
from typing import Any

import pytest
import torch
import yaml
from jsonargparse import ActionConfigFile
from lightning import Trainer
from lightning.pytorch.cli import LightningArgumentParser
from torch import nn
from torch.testing import assert_close

from benchmarks.config.build import import_ours
from benchmarks.config.resolve import full_class_paths, read_config, short_class_names
from benchmarks.lightning_cli import ChronoReelCLI, ConfigParser
from benchmarks.runs.job import Job
from benchmarks.runs.spec import BenchmarkSpec, Row, read_benchmarks
from datamodules.base.module import ClipDataModule
from lightning_modules.checkpoints.build import build
from lightning_modules.dynamics import LatentODE
from lightning_modules.networks.vid_ode_parts import ODEConvGRU, PatchCritic
from lightning_modules.schedules import FlooredExponentialLR
from lightning_modules.system import System
from lightning_modules.vid_ode import VidODE

CONFIGS = Path(__file__).parents[1] / "configs"
MODELS = sorted((CONFIGS / "model").glob("*.yaml"))
EXPERIMENTS = sorted((CONFIGS / "experiment").glob("*/*.yaml"))

GENERATOR = 1_915_718
CRITICS = {"image": 3_280_768, "sequence": 3_296_128}
INTERPOLATION_CRITICS = {"image": 3_280_768, "sequence": 3_293_056}

SIZES: dict[str, tuple[int, dict[str, int]]] = {
    "vid_ode": (GENERATOR, CRITICS),
    "vid_ode_interpolate": (GENERATOR, INTERPOLATION_CRITICS),
    "vid_ode_released": (GENERATOR, CRITICS),
    "vid_ode_released_interpolate": (GENERATOR, INTERPOLATION_CRITICS),
    "vid_ode_paper": (2_603_846, CRITICS),
    "vid_ode_ablation_a": (1_495_235, {}),
    "vid_ode_ablation_b": (1_913_987, {}),
    "vid_ode_ablation_c": (1_913_987, CRITICS),
    "vid_ode_ablation_d": (1_913_410, CRITICS),
    "vid_ode_ablation_e": (GENERATOR, CRITICS),
    "vid_rnn": (2_357_830, CRITICS),
    "vid_rnn_interpolate": (2_357_830, INTERPOLATION_CRITICS),
}
"""Parameters of the generator and of each critic, for the models of the papers."""


def read(path: Path) -> dict[str, Any]:
    """A file with its parts and its recipe put in, and full class paths."""
    content: dict[str, Any] = full_class_paths(read_config(path))
    return content


def on_meta(config: dict[str, Any]) -> System:
    with torch.device("meta"):
        return build(config)


def size(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def identity(path: Path) -> str:
    return "/".join(path.relative_to(CONFIGS).with_suffix("").parts[1:])


@pytest.mark.parametrize("path", MODELS, ids=identity)
def test_a_model_builds_at_its_size(path: Path) -> None:
    config = read(path)
    system = on_meta(config)
    assert type(system).__name__ == config["class_path"].rsplit(".", 1)[1]
    assert system.config is not None
    if path.stem in SIZES:
        assert isinstance(system, VidODE)
        generator, critics = SIZES[path.stem]
        assert size(system.generator) == generator
        assert {name: size(critic) for name, critic in system.critics.items()} == critics


@pytest.mark.parametrize("path", [path for path in MODELS if path.stem in SIZES], ids=identity)
def test_vid_ode_sees_kth_at_the_papers_times_with_its_schedule(path: Path) -> None:
    """10 frames at 25 fps are 0.0, 0.1, ... 0.9; Adamax at 1e-3, 0.99 per epoch, a floor or none."""
    system = on_meta(read(path))
    assert isinstance(system, VidODE)
    frames = torch.arange(10) if system.mode == "extrapolate" else torch.arange(0, 10, 2)
    times = system.model_time(frames / 25)
    print(path.stem, [round(float(time), 4) for time in times])
    assert_close(times, frames / 10)
    for player in system.configure_optimizers():
        optimizer, schedule = player["optimizer"], player["lr_scheduler"]
        assert isinstance(optimizer, torch.optim.Adamax)
        assert isinstance(schedule, FlooredExponentialLR)
        assert schedule.base_lrs == [1e-3]
        assert optimizer.param_groups[0]["lr"] == pytest.approx(9.9e-4)
        assert (schedule.decay, schedule.floor) == (0.99, 0.0 if path.stem == "vid_ode_paper" else 0.1)
    if system.mode == "extrapolate":
        assert system.observe == 5
    step = float(times[1] - times[0]) * system.seconds_per_unit
    if path.stem.startswith("vid_ode_released"):
        assert system.decode_interval is None
    else:
        assert system.decode_interval == pytest.approx(step)  # decoding keeps to the grid of training


def _choices(system: VidODE) -> dict[str, Any]:
    """Where Vid-ODE's paper and code part, as the system has it."""
    network, critic = system.generator, system.critics["image"]
    assert isinstance(network.encoder, ODEConvGRU)
    assert isinstance(network.dynamics, LatentODE)
    hidden = network.dynamics.field.layers[0]  # type: ignore[index, union-attr]
    assert isinstance(hidden, nn.Conv2d)
    return {
        "encoder": (network.encoder.solver, network.encoder.direction, network.encoder.head is not None),
        "first_step": network.encoder.first_step,
        "code_time": network.code_time,
        "chain": network.chain,
        "windows": system.windows,
        "weights": (system.difference_weight, *system.generator_weights.values(), system.critic_weight),
        "hidden": hidden.out_channels,
        "norm": any(isinstance(layer, nn.InstanceNorm2d) for layer in critic.modules()),
        "previous_latent": network.previous_latent,
        "turns": (system.order, system.fakes, system.pixels),
    }


CODE = {
    "encoder": ("euler", "backward", True),
    "first_step": 0.01,
    "code_time": "first_query",
    "chain": "warped",
    "windows": "predicted",
    "weights": (1.0, 0.003, 0.003, 0.0015),
    "hidden": 64,
    "norm": True,
    "previous_latent": "embedding",
    "turns": ("joint", "shared", "unit"),
}
PAPER = CODE | {
    "encoder": ("rk4", "forward", False),
    "code_time": "last_observed",
    "chain": "composed",
    "windows": "teacher_forced",
    "weights": (1.0, 0.003, 0.003, 1.0),
    "hidden": 128,
    "norm": False,
    "previous_latent": "code",
}


@pytest.mark.parametrize(("name", "choices", "solver"), [
    ("vid_ode", CODE, "rk4"),
    ("vid_ode_interpolate", CODE, "rk4"),
    ("vid_ode_released", CODE, "dopri5"),
    ("vid_ode_released_interpolate", CODE, "dopri5"),
    ("vid_ode_ablation_e", CODE, "rk4"),
    ("vid_ode_paper", PAPER, "rk4"),
])  # fmt: skip
def test_disagreements_are_resolved_as_the_name_says(name: str, choices: dict[str, Any], solver: str) -> None:
    system = on_meta(read(CONFIGS / "model" / f"{name}.yaml"))
    assert isinstance(system, VidODE)
    assert _choices(system) == choices
    dynamics = system.generator.dynamics
    assert isinstance(dynamics, LatentODE)
    assert dynamics.solver == solver
    assert dynamics.tolerances == {"rtol": 1e-3, "atol": 1e-4}


def test_each_ablation_adds_one_idea() -> None:
    parts = {}
    for letter in "abcde":
        system = on_meta(read(CONFIGS / "model" / f"vid_ode_ablation_{letter}.yaml"))
        assert isinstance(system, VidODE)
        network = system.generator
        parts[letter] = (type(network.encoder).__name__, bool(len(system.critics)), network.composition)
    assert parts == {
        "a": ("FrameStack", False, "image"),
        "b": ("ODEConvGRU", False, "image"),
        "c": ("ODEConvGRU", True, "image"),
        "d": ("ODEConvGRU", True, "flow"),
        "e": ("ODEConvGRU", True, "mask"),
    }
    assert read(CONFIGS / "model" / "vid_ode_ablation_e.yaml") == read(CONFIGS / "model" / "vid_ode.yaml")


@pytest.mark.parametrize("path", EXPERIMENTS, ids=identity)
def test_an_experiments_model_builds(path: Path) -> None:
    config = read(path)
    assert set(config) >= {"model", "data", "evaluation"}
    system = on_meta(config["model"])
    if path.stem.startswith("vid_"):
        assert isinstance(system, VidODE)
        mode = "interpolate" if path.parent.name.startswith(("interpolate", "inbetween")) else "extrapolate"
        assert system.mode == mode
        _check_critics(system, config["data"]["init_args"])


def _check_critics(system: VidODE, data: dict[str, Any]) -> None:
    """A sequence critic sees as many channels as the frames of a window have together."""
    channels = system.generator.channels
    shown = system.observe + 1
    if system.mode == "interpolate":
        shown = data["sampling"]["init_args"]["num_frames"]
    for name, together in (("image", 1), ("sequence", shown)):
        critic = system.critics[name]
        assert isinstance(critic, PatchCritic)
        first = critic[0]
        assert isinstance(first, nn.Conv2d)
        assert first.in_channels == together * channels


@pytest.fixture(scope="module")
def parser() -> LightningArgumentParser:
    """What `lightning fit` reads its configuration with."""
    import_ours()
    parser = ConfigParser(exit_on_error=False)
    parser.add_argument("--config", action=ActionConfigFile)
    parser.add_argument("--seed_everything", default=0)
    parser.add_argument("--ckpt_path", default=None)
    parser.add_lightning_class_args(Trainer, "trainer")
    parser.add_lightning_class_args(System, "model", subclass_mode=True)
    parser.add_lightning_class_args(ClipDataModule, "data", subclass_mode=True)
    ChronoReelCLI.add_arguments_to_parser(None, parser)  # type: ignore[arg-type]
    return parser


@pytest.mark.parametrize("path", EXPERIMENTS, ids=identity)
def test_an_experiment_is_read_as_the_command_reads_it(path: Path, parser: LightningArgumentParser) -> None:
    """Every class exists and takes every argument that is given, data, trainer and exam included."""
    parsed = parser.parse_args(["--config", str(path)])
    assert parsed.model.class_path == read(path)["model"]["class_path"]
    assert parsed.data.class_path == read(path)["data"]["class_path"]
    assert parsed.evaluation.tasks
    verbs = {"predict": "Predict", "interpolate": "Interpolate", "inbetween": "Inbetween", "generate": "Generate"}
    asked = {task.class_path.rsplit(".", 1)[1] for task in parsed.evaluation.tasks}
    assert asked == {name for verb, name in verbs.items() if verb in path.parent.name.split("_")}


@pytest.mark.parametrize("path", MODELS, ids=identity)
def test_a_model_is_read_by_its_path(path: Path, parser: LightningArgumentParser) -> None:
    data = CONFIGS / "data" / "bouncing_balls.yaml"
    assert parser.parse_args([f"--model={path}", f"--data={data}"]).model.class_path == read(path)["class_path"]


def test_experiments_are_few_and_short() -> None:
    """Variants of one idea are rows with overrides, not files."""
    lines = [len(path.read_text().splitlines()) for path in EXPERIMENTS]
    assert len(lines) <= 80
    assert median(lines) <= 12
    assert not [path for path in CONFIGS.rglob("*.yaml") if "narrow" in path.stem]  # sizes are called small


ROWS = {
    (row.experiment, *row.overrides): (spec, row)
    for spec in read_benchmarks(CONFIGS / "benchmark").values()
    for row in spec.rows
    if row.experiment is not None and row.overrides
}


@pytest.mark.slow
@pytest.mark.parametrize(("spec", "row"), ROWS.values(), ids=["+".join(map(str, words)) for words in ROWS])
def test_a_rows_overrides_mean_the_same_to_the_command_and_to_the_job(
    spec: BenchmarkSpec, row: Row, parser: LightningArgumentParser, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """What is hashed, built and drawn is what `lightning fit` is told."""
    monkeypatch.chdir(CONFIGS.parent)
    job = Job(spec, row, 0, Path("runs"), Path("results"))
    words = [word for word in job.options if not word.startswith(("--seed", "--trainer.default_root_dir"))]
    whole = tmp_path / "whole.yaml"
    whole.write_text(yaml.safe_dump(job.settings))
    told, meant = (
        short_class_names(yaml.safe_load(parser.dump(parser.parse_args(given), skip_none=False)))
        for given in (words, [f"--config={whole}"])
    )
    assert told == meant
