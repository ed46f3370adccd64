"""Every configuration of the latent dynamics builds the family, the order and the size that its name says."""

from pathlib import Path

import pytest
import torch
import yaml
from torch.testing import assert_close

from lightning_modules.build import build
from lightning_modules.dynamics import Deconvolution1d, Dynamics, LatentODE, LatentSDE, NoisyGRU, VectorField
from lightning_modules.dynamics.matched import count
from lightning_modules.latent_dynamics import LatentDynamicsGAN
from lightning_modules.networks.mocogan import MoCoGANGenerator, MoCoGANImageCritic, MoCoGANVideoCritic
from lightning_modules.networks.tgan import TGANCritic, TGANGenerator

MODELS = Path(__file__).parents[1] / "configs" / "model"
MEMBERS: dict[str, type[Dynamics]] = {"ode1": LatentODE, "ode2": LatentODE, "ode3": LatentODE, "sde": LatentSDE}
ORIGINALS: dict[str, type[Dynamics]] = {"tgan": Deconvolution1d, "mocogan": NoisyGRU}
ORIGINAL_SIZES = {"tgan": 826_468, "mocogan": 1632}
ABLATION_SIZES = {  # of the temporal generators in the public code
    "tgan_ode1_single": 638_424,
    "tgan_ode1_deep": 648_524,
    "mocogan_ode1_single": 2400,
    "mocogan_ode1_deep": 2672,
}
IMAGE_SIZES = {"tgan": 3_622_691, "mocogan": 3_298_176}


def system_of(path: Path) -> LatentDynamicsGAN:
    with torch.device("meta"):
        system = build(yaml.safe_load(path.read_text()))
    assert isinstance(system, LatentDynamicsGAN)
    return system


@pytest.mark.parametrize("family", ORIGINALS)
def test_a_member_is_what_its_name_says(family: str) -> None:
    found = {path.stem.split("_", 1)[1]: system_of(path) for path in sorted(MODELS.glob(f"{family}_*.yaml"))}
    assert set(found) == {"original", *MEMBERS, "ode1_single", "ode1_deep"}
    original = ORIGINAL_SIZES[family]
    for name, system in found.items():
        dynamics = system.network.dynamics
        member, _, ablation = name.partition("_")
        assert type(dynamics) is (ORIGINALS[family] if name == "original" else MEMBERS[member])
        if isinstance(dynamics, LatentODE):
            assert dynamics.order == int(member.removeprefix("ode"))
            assert dynamics.sees == "jet"
            assert isinstance(dynamics.field, VectorField)
            assert len(dynamics.field.layers) == (2 if ablation == "single" else 3)
        if ablation:
            assert count(dynamics) == ABLATION_SIZES[f"{family}_{name}"]
        else:
            assert abs(count(dynamics) / original - 1) <= 0.01
        assert count(system.network) - count(dynamics) == IMAGE_SIZES[family]
        assert_close(system.model_time(torch.arange(16) / 16), torch.arange(16) / 15)


@pytest.mark.parametrize("path", sorted(MODELS.glob("tgan_*.yaml")), ids=lambda path: path.stem)
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


@pytest.mark.parametrize("path", sorted(MODELS.glob("mocogan_*.yaml")), ids=lambda path: path.stem)
def test_mocogan_has_two_critics_and_is_moved_by_adam(path: Path) -> None:
    system = system_of(path)
    assert isinstance(system.generator, MoCoGANGenerator)
    assert (system.generator.content, system.generator.motion, system.generator.categories) == (50, 16, 0)
    assert isinstance(system.critics["video"], MoCoGANVideoCritic)
    assert isinstance(system.critics["image"], MoCoGANImageCritic)
    assert count(system.critics["image"]) == 663_296
    assert (system.loss, system.clip_every, system.penalty_weight) == ("non_saturating", 0, 0.0)
    for player in system.configure_optimizers():
        assert isinstance(player["optimizer"], torch.optim.Adam)
        group = player["optimizer"].param_groups[0]
        assert (group["lr"], tuple(group["betas"]), group["weight_decay"]) == (2e-4, (0.5, 0.999), 1e-5)
