"""Every configuration of the latent dynamics builds what its name says, and every row trains what its label says."""

import re
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch
from torch import nn
from torch.testing import assert_close

from benchmarks.commands.speed import model_and_data
from benchmarks.config.resolve import full_class_paths, read_config
from benchmarks.runs.spec import Row, read_benchmark
from lightning_modules.checkpoints.build import build
from lightning_modules.dynamics import (
    ConvLSTM,
    Deconvolution1d,
    Dynamics,
    Interpolated,
    LatentODE,
    LatentSDE,
    NoisyGRU,
    VectorField,
)
from lightning_modules.dynamics.matched import count
from lightning_modules.latent_dynamics import LatentDynamicsGAN
from lightning_modules.networks.mocogan import MoCoGANGenerator, MoCoGANImageCritic, MoCoGANVideoCritic
from lightning_modules.networks.tgan import TGANCritic, TGANGenerator
from lightning_modules.networks.tganv2 import TGANv2Critic, TGANv2Generator

CONFIGS = Path(__file__).parents[1] / "configs"
MODELS = CONFIGS / "model"
OURS = re.compile(r"LatentDynamicsGAN|/(mocogan|tgan)")
"""Found in the text of a configuration that has these models, and in the path of one that is named after them."""

FAMILIES: dict[str, tuple[type[nn.Module], dict[str, type[nn.Module]]]] = {
    "mocogan": (MoCoGANGenerator, {"video": MoCoGANVideoCritic, "image": MoCoGANImageCritic}),
    "tgan": (TGANGenerator, {"video": TGANCritic}),
    "tganv2": (TGANv2Generator, {"video": TGANv2Critic}),
}
ORIGINALS: dict[str, type[Dynamics]] = {"mocogan": NoisyGRU, "tgan": Deconvolution1d, "tganv2": ConvLSTM}
MEMBERS: dict[str, type[Dynamics]] = {"ode1": LatentODE, "ode2": LatentODE, "ode3": LatentODE, "sde": LatentSDE}
ORIGINAL_SIZES = {"tgan": 826_468, "mocogan": 1632}
ABLATION_SIZES = {  # of the temporal generators in the public code
    "tgan_ode1_single": 638_424,
    "tgan_ode1_deep": 648_524,
    "mocogan_ode1_single": 2400,
    "mocogan_ode1_deep": 2672,
}
RELEASED_SIZES = {"mocogan_ode2_released": 2177, "tgan_sde_released": 648_524}
"""Of the temporal generators as the public code has them, without matching the original's number of parameters."""
OF_MOCOGAN = "mocogan_interpolated"
"""MODE-GAN's baseline, with the sizes of MoCoGAN's own code; the others have those of latent NDEs' code."""
IMAGE_SIZES = {"tgan": 3_622_691, "mocogan": 3_298_176}


class Name(NamedTuple):
    """What the name of a configuration says: `tgan_ode1_deep`, `mocogan_sde_small`; a family alone is its original."""

    family: str
    member: str
    f: str
    small: bool

    @property
    def model(self) -> str:
        """The name of the model that it is, at paper size."""
        return "_".join(part for part in (self.family, self.member or "original", self.f) if part)


def name_of(stem: str) -> Name:
    found = re.fullmatch(
        r"(mocogan|tganv2|tgan)(?:_(original|ode[123]|sde))?(?:_(single|deep))?(?:_interpolated|_64|_released)?(_small)?",
        stem,
    )
    assert found, f"{stem} does not say which member of which family it is"
    family, member, f, small = found.groups(default="")
    return Name(family, member, f, bool(small))


def built(model: dict[str, Any]) -> LatentDynamicsGAN:
    with torch.device("meta"):
        system = build(model)
    assert isinstance(system, LatentDynamicsGAN)
    return system


def system_of(path: Path) -> LatentDynamicsGAN:
    return built(model_and_data(path)[0])


def identity(path: Path) -> str:
    return "/".join(path.relative_to(CONFIGS).with_suffix("").parts[1:])


FILES = [
    path
    for path in sorted([*MODELS.glob("*.yaml"), *(CONFIGS / "experiment").glob("*/*.yaml")])
    if OURS.search(str(path.relative_to(CONFIGS))) or OURS.search(str(read_config(path)))
]


def paper_sized(family: str) -> list[Path]:
    """The models of a family at the paper's sizes."""
    return [path for path in sorted(MODELS.glob(f"{family}_*.yaml")) if not path.stem.endswith("_small")]


EXPERIMENTS = {identity(path) for path in FILES if MODELS not in path.parents}


@pytest.mark.parametrize("path", FILES, ids=identity)
def test_a_configuration_is_what_its_name_says(path: Path) -> None:
    name = name_of(path.stem)
    model, data = model_and_data(path)
    system = built(model)
    generator, critics = FAMILIES[name.family]
    assert type(system.generator) is generator
    assert {key: type(critic) for key, critic in system.critics.items()} == critics
    dynamics = system.network.dynamics
    if isinstance(dynamics, Interpolated):  # as MODE-GAN compares it: asked between the steps of its GRU
        assert path.stem == "mocogan_interpolated" or data["init_args"]["test_split"] == "train"  # type: ignore[index]
        assert isinstance(dynamics, Interpolated)
        dynamics = dynamics.dynamics
    assert type(dynamics) is (MEMBERS | {"": ORIGINALS[name.family], "original": ORIGINALS[name.family]})[name.member]
    released = path.stem.endswith("_released")
    if isinstance(dynamics, LatentODE):
        assert dynamics.order == int(name.member.removeprefix("ode"))
        assert dynamics.field_input == ("highest" if released and dynamics.order > 1 else "all_derivatives")
    if isinstance(dynamics, LatentSDE):  # of the public code
        assert dynamics.step == (0.05 if name.family == "tganv2" else 0.025)
    if name.family in ORIGINAL_SIZES:
        size = ABLATION_SIZES[name.model] if name.f else ORIGINAL_SIZES[name.family]
        size = RELEASED_SIZES[path.stem] if released else size
        if isinstance(system.generator, MoCoGANGenerator) and system.generator.motion == 10:
            size = 660
        assert count(dynamics) == pytest.approx(size, rel=0 if name.f or released else 0.01)
        if isinstance(dynamics, LatentODE):
            assert isinstance(dynamics.field, VectorField)
            assert len(dynamics.field.layers) == (2 if name.f == "single" else 3)
        images = count(system.network) - count(dynamics)
        assert images < IMAGE_SIZES[name.family] / 10 if name.small else images == IMAGE_SIZES[name.family]
    rate = 16 if data is None else data["init_args"]["frame_rate"]
    assert_close(system.model_time(torch.arange(16) / rate), torch.arange(16) / 15)


def test_no_member_is_missing() -> None:
    """A family has all of its members as models and as dynamics; the ablation of f is where the paper is followed."""
    members, ablation = {"original", *MEMBERS}, {"ode1_single", "ode1_deep"}
    for family, expected in {"mocogan": members | ablation, "tgan": members | ablation, "tganv2": members}.items():
        files = {path.stem.partition("_")[2] for path in MODELS.glob(f"{family}_*.yaml")}
        assert {file for file in files if not file.endswith("_released")} - {"small", "interpolated", "64"} == expected
        assert sum(file.endswith("_released") for file in files) == 1
        dynamics = {path.stem.partition("_")[2] for path in (MODELS / "dynamics").glob(f"{family}_*.yaml")}
        assert dynamics == expected - {"original"}
    assert {f"generate_{data}/{name}" for data, name in (
        ("ucf101", "mocogan"), ("ucf101", "tgan"), ("ucf101", "tganv2"),
        ("moving_shapes", "mocogan"), ("moving_shapes", "tgan"),
        ("moving_shapes", "mocogan_small"), ("moving_shapes", "tgan_small"), ("moving_shapes", "tganv2_small"),
        ("weizmann_strips", "mocogan_small"), ("weizmann_strips", "tgan_small"), ("weizmann_strips", "tganv2_small"),
    )} <= EXPERIMENTS  # fmt: skip


def said(label: str, ablation: bool) -> str:
    """The model that a row's label names; where f is varied, the public code's single layer is what needs no words."""
    found = re.fullmatch(r"(MoCoGAN|TGAN-?v2|TGAN)(?:, (original|ODE [123]|SDE))?(?:, (deep|matched) f)?", label)
    assert found, f"{label} does not say which member of which family it is"
    family, member, f = (part.lower() for part in found.groups(default=""))
    plain = "single" if ablation and member == "ode 1" else ""
    return Name(family.replace("-", ""), member.replace(" ", ""), {"": plain, "matched": ""}.get(f, f), False).model


BENCHMARKS = [
    path
    for path in sorted((CONFIGS / "benchmark").glob("*.yaml"))
    if re.search(r"experiment: \S*/(mocogan|tgan)", path.read_text()) or path.stem.startswith("latent_nde")
]


@pytest.mark.parametrize("path", BENCHMARKS, ids=identity)
def test_a_row_trains_what_its_label_says(path: Path) -> None:
    trained = [row for row in read_benchmark(path).rows if row.experiment and not row.scale]
    rows = [row for row in trained if row.experiment in EXPERIMENTS or row.label.startswith(("MoCoGAN", "TGAN"))]
    assert rows
    assert len(rows) == len(trained) or not path.stem.startswith("latent_nde")
    found = {row.name: trained_by(row) for row in rows}
    assert found == {row.name: said(row.label, path.stem == "latent_nde_f_ablation") for row in rows}
    assert not any(row.checkpoint or row.join for row in rows)
    for group in {row.group for row in rows}:  # all else equal: the data, and the widths
        block = [Path(row.experiment or "") for row in rows if row.group == group]
        assert len({(experiment.parent, name_of(experiment.name).small) for experiment in block}) == 1
        assert block[0].parent.name.startswith(f"generate_{group.lower()}")


def trained_by(row: Row) -> str:
    """The model that a row trains: its experiment's family, with the dynamics that it lays over, and nothing else."""
    family = name_of(Path(row.experiment or "").name)
    if not row.overrides:
        return family.model
    (option,) = row.overrides
    key, _, file = option.partition("=")
    assert key == "model.init_args.generator.init_args.dynamics"
    assert Path(file).parent == Path("configs/model/dynamics")
    assert (CONFIGS.parent / file).is_file()
    name = name_of(Path(file).stem)
    assert name.family == family.family
    return name.model


@pytest.mark.parametrize("file", sorted((MODELS / "dynamics").glob("*_*.yaml")), ids=lambda file: file.stem)
def test_dynamics_are_those_of_the_model_of_their_name(file: Path) -> None:
    if file.stem == "pendulum_rnn":
        assert full_class_paths(read_config(file))["class_path"].endswith(".MotionRNN")
        return
    model, _ = model_and_data(MODELS / file.name)
    assert model["init_args"]["generator"]["init_args"]["dynamics"] == full_class_paths(read_config(file))


def test_tganv2s_sde_has_plain_relus_and_its_ode_leaky_ones() -> None:
    sde, ode = (system_of(MODELS / f"tganv2_{member}.yaml").network.dynamics for member in ("sde", "ode1"))
    assert isinstance(sde, LatentSDE)
    assert isinstance(ode, LatentODE)
    slopes = [field.layers[-1].negative_slope for field in (sde.drift, sde.diffusion, ode.field)]  # type: ignore
    assert slopes == [0, 0, 0.2]


def test_the_released_pyramid_takes_every_fourth_frame_and_its_critic_ends_without_a_relu() -> None:
    system = system_of(MODELS / "tganv2_ode1_released.yaml")
    generator, critic = system.generator, system.critics["video"]
    assert isinstance(generator, TGANv2Generator)
    assert isinstance(critic, TGANv2Critic)
    assert (generator.stride, critic.last_relu, count(critic)) == (4, False, 116_077_060)


def test_the_tganv2_that_mode_gan_compares_is_updated_as_in_tganv2s_code() -> None:
    system = system_of(MODELS / "tganv2_64.yaml")
    assert (system.order, system.fakes) == ("generator_first", "shared")
    assert {player["optimizer"].param_groups[0]["eps"] for player in system.configure_optimizers()} == {8e-8}


@pytest.mark.parametrize("path", paper_sized("tgan"), ids=lambda path: path.stem)
def test_tgan_is_clipped_and_moved_by_rmsprop(path: Path) -> None:
    system = system_of(path)
    assert isinstance(system.generator, TGANGenerator)
    assert isinstance(system.critics["video"], TGANCritic)
    assert (system.loss, system.clip_every, set(system.critics), system.order) == (
        "wasserstein",
        5,
        {"video"},
        "critic_first",
    )
    for player in system.configure_optimizers():
        assert isinstance(player["optimizer"], torch.optim.RMSprop)
        assert player["optimizer"].param_groups[0]["lr"] == 5e-5


@pytest.mark.parametrize("path", paper_sized("mocogan"), ids=lambda path: path.stem)
def test_mocogan_has_two_critics_and_is_moved_by_adam(path: Path) -> None:
    system = system_of(path)
    assert isinstance(system.generator, MoCoGANGenerator)
    sizes = (system.generator.content, system.generator.motion, system.generator.categories)
    assert sizes == ((50, 10, 6) if path.stem == OF_MOCOGAN else (50, 16, 0))
    assert system.infogan_weight == (1.0 if path.stem == OF_MOCOGAN else 0.0)
    assert system.label_weight == 0
    assert isinstance(system.critics["video"], MoCoGANVideoCritic)
    assert isinstance(system.critics["image"], MoCoGANImageCritic)
    assert count(system.critics["image"]) == 663_296
    assert (system.loss, system.clip_every, system.penalty_weight) == ("non_saturating", 0, 0.0)
    for player in system.configure_optimizers():
        assert isinstance(player["optimizer"], torch.optim.Adam)
        group = player["optimizer"].param_groups[0]
        assert (group["lr"], tuple(group["betas"]), group["weight_decay"]) == (2e-4, (0.5, 0.999), 1e-5)
