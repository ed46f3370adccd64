"""The public code of latent NDEs, as it is timed: which of its models stands beside which of ours, and its turns."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from benchmarks.config.resolve import full_class_paths, read_config
from benchmarks.profiling import latent_dynamics
from benchmarks.profiling.latent_dynamics import PublicMoCoGAN, PublicTGAN, family_and_member, public
from benchmarks.utils.errors import UserError

ROOT = Path(__file__).parents[3]
MEMBERS = ("original", "ode1", "ode2", "ode3", "sde")
MODELS = ROOT / "configs" / "model"

MOCOGAN = """
import torch
from torch import nn

class VideoGenerator(nn.Module):
    def __init__(self, *sizes):
        super().__init__()
        self.layer, self.sizes = nn.Linear(1, 3 * 16), sizes
    def sample_videos(self, count):
        clips = self.layer(torch.randn(count, 1, device="cuda")).view(count, 3, 16, 1, 1)
        return clips.expand(-1, -1, -1, 64, 64), None
    def sample_images(self, count):
        return self.sample_videos(count)[0][:, :, 0], None

class PatchImageDiscriminator(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.layer = nn.Linear(3, 1)
    def forward(self, frames):
        return self.layer(frames.mean((-2, -1))), None

class VideoDiscriminator(PatchImageDiscriminator):
    def forward(self, clips):
        return self.layer(clips.mean((-3, -2, -1))), None
"""
MOCOGAN_ODE = """
from models import mocogan
ODEFuncDeep = object()
def VideoGenerator(*sizes, ode_fn, dim_hidden, linear):
    assert (ode_fn, dim_hidden, linear) == (ODEFuncDeep, 49, False)
    return mocogan.VideoGenerator(*sizes)
def VideoGeneratorNOODE(*sizes, dim_hidden, order):
    assert dim_hidden == 49 and order in (2, 3)
    return mocogan.VideoGenerator(*sizes)
def VideoGeneratorSDE(*sizes, dim_hidden):
    return mocogan.VideoGenerator(*sizes)
"""
TGAN = """
import torch
from torch import nn

class VideoGenerator(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer, self.grid = nn.Linear(100, 3 * 16), torch.zeros(1).cuda()
    def forward(self, code):
        return self.layer(code).view(-1, 3, 16, 1, 1).expand(-1, -1, -1, 64, 64)

class VideoDiscriminator(nn.Module):
    def __init__(self):
        super().__init__()
        self.model3d = nn.Sequential(nn.Conv3d(3, 512, 16, 16, bias=False), nn.BatchNorm3d(512), nn.LeakyReLU(0.2))
        self.conv2d = nn.Conv2d(512, 1, 4)
"""
TGAN_ODE = """
from models import tgan
ODEFuncDeep = object()
def VideoGenerator(dim, linear, ode_fn):
    return tgan.VideoGenerator()
def VideoGeneratorNOODE(linear, order):
    return tgan.VideoGenerator()
def VideoGeneratorSDE(linear):
    return tgan.VideoGenerator()
"""


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Networks of the public code's names and shapes, and none of its lines."""
    folder = tmp_path / "models"
    folder.mkdir()
    texts = {"__init__": "", "mocogan": MOCOGAN, "mocogan_ode": MOCOGAN_ODE, "tgan": TGAN, "tgan_ode": TGAN_ODE}
    for name, text in texts.items():
        (folder / f"{name}.py").write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(torch, "randn", torch.randn)
    monkeypatch.setattr(torch.Tensor, "cuda", torch.Tensor.cuda)
    known = set(sys.modules)
    yield
    for name in set(sys.modules) - known:
        if name.split(".")[0] == "models":
            del sys.modules[name]


def spec(name: str, **sizes: int) -> dict[str, object]:
    model = full_class_paths(read_config(MODELS / f"{name}.yaml"))
    return {"size": 64, "frames": 16, "channels": 3, "batch_size": 2, "device": "cpu", "model": model, **sizes}


@pytest.mark.usefixtures("checkout")
@pytest.mark.parametrize("family", ["mocogan", "tgan"])
@pytest.mark.parametrize("member", MEMBERS)
def test_each_member_has_its_public_twin_and_every_player_moves(family: str, member: str) -> None:
    torch.manual_seed(0)
    model = public(spec(f"{family}_{member}"))
    assert isinstance(model, PublicMoCoGAN if family == "mocogan" else PublicTGAN)
    before = [parameter.clone() for network in model.networks for parameter in network.parameters()]
    model.step()
    after = [parameter for network in model.networks for parameter in network.parameters()]
    still = sum(torch.equal(a, b) for a, b in zip(before, after, strict=True))
    assert still == (family == "tgan")  # WGAN: a constant on every score is no distance


@pytest.mark.usefixtures("checkout")
def test_tgan_is_clipped_in_its_first_step() -> None:
    torch.manual_seed(0)
    model = public(spec("tgan_original"))
    assert isinstance(model, PublicTGAN)
    with torch.no_grad():
        model.critic.conv2d.weight.mul_(100)
    model.step()
    assert torch.linalg.svdvals(model.critic.conv2d.weight.flatten(1)).max() <= 1 + 1e-5


def test_names_follow_classes_not_files() -> None:
    for family in ("mocogan", "tgan"):
        for member in MEMBERS:
            assert family_and_member(full_class_paths(read_config(MODELS / f"{family}_{member}.yaml"))) == (
                family,
                member,
            )


@pytest.mark.parametrize("name", ["tganv2_ode1", "vid_ode"])
def test_others_have_no_twin(name: str) -> None:
    with pytest.raises(UserError, match="is timed for MoCoGAN and TGAN"):
        family_and_member(full_class_paths(read_config(MODELS / f"{name}.yaml")))


def test_the_public_code_knows_one_size(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(latent_dynamics, "without_gpu", lambda: None)
    with pytest.raises(UserError, match="generates 16 frames of 3 x 64 x 64; got 16 of 3 x 32 x 32"):
        public(spec("mocogan_original", size=32))
