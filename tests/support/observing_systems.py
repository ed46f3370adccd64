"""Every system that is shown a clip, at a tiny size: the list that the laws of this family run over."""

import pkgutil
from collections.abc import Callable
from importlib import import_module
from inspect import getmembers, isabstract, isclass

import torch

import baselines
from baselines.climatology import Climatology
from baselines.conv_gru import ConvGRU
from baselines.conv_gru_decay import ConvGRUDecay
from baselines.conv_gru_dt import ConvGRUDt
from baselines.latent_ode import FrameLatentODE
from baselines.ode2vae import ODE2VAE
from baselines.ode_conv import ODEConv
from baselines.ode_fc import ODEFC
from datamodules.clip import Batch, VideoClip
from lightning_modules.supervised import SupervisedSystem
from lightning_modules.system import System
from support.vid_ode_maker import make

torch.set_num_threads(1)

MODELS: dict[str, Callable[..., SupervisedSystem]] = {
    "conv_gru": lambda **k: ConvGRU(channels=1, width=2, interval=0.1, **k),
    "conv_gru_dt": lambda **k: ConvGRUDt(channels=1, width=2, **k),
    "conv_gru_decay": lambda **k: ConvGRUDecay(channels=1, width=2, **k),
    "ode_conv": lambda **k: ODEConv(channels=1, width=2, hidden=4, **k),
    "ode_fc": lambda **k: ODEFC(channels=1, size=16, width=2, latent=6, hidden=8, **k),
    "latent_ode": lambda **k: FrameLatentODE(channels=1, size=16, width=2, latent=6, state=5, hidden=7, **k),
    "ode2vae": lambda **k: ODE2VAE(size=16, latent=4, hidden=6, encoder_width=2, decoder_width=2, downs=2, **k),
    "ode2vae_released": lambda **k: ODE2VAE(
        size=16, latent=4, hidden=6, layers=1, encoder_width=2, decoder_width=2, downs=2, released=True, **k
    ),
}
"""The models that Vid-ODE is compared to."""

STACK = {"class_path": "lightning_modules.networks.vid_ode_parts.FrameStack",
         "init_args": {"channels": 16, "frames": 5}}  # fmt: skip
CELL = {"class_path": "lightning_modules.networks.conv_gru.ConvGRUCell", "init_args": {"channels": 16}}
RECURRENT = {"class_path": "lightning_modules.dynamics.Recurrent", "init_args": {"cell": CELL, "interval": 0.1}}
BLENDED = {"class_path": "lightning_modules.dynamics.Interpolated",
           "init_args": {"dynamics": RECURRENT, "interval": 0.1}}  # fmt: skip


def _vid_ode(**changes: object) -> Callable[..., System]:
    return lambda **k: make(seconds_per_unit=1.0, **changes, **k).float()  # type: ignore[arg-type]


VID_ODES: dict[str, Callable[..., System]] = {
    "vid_ode": _vid_ode(),
    "vid_ode_on_a_grid": _vid_ode(decode_interval=0.1),
    "vid_ode_ablation_a": _vid_ode(network={"encoder": STACK, "composition": "image"}),
    "vid_rnn": _vid_ode(network={"dynamics": BLENDED}, encoder={"field": None}),
}


def _rules() -> dict[str, Callable[..., System]]:
    """The systems of `baselines` that need no argument, training or data: a new file joins the family by itself."""
    found: dict[str, Callable[..., System]] = {}
    for module in pkgutil.iter_modules(baselines.__path__):
        for name, one in getmembers(import_module(f"baselines.{module.name}"), isclass):
            ours = one.__module__ == f"baselines.{module.name}" and issubclass(one, System) and not isabstract(one)
            observes = hasattr(one, "predict") or hasattr(one, "interpolate")
            if ours and observes and not issubclass(one, (SupervisedSystem, Climatology)):
                found[name] = one
    return found


RULES = _rules()
FAMILY: dict[str, Callable[..., System]] = {**MODELS, **VID_ODES, **RULES}


def tiny(name: str) -> System:
    """The system of this name, for grey frames of 16 x 16, five of them observed, 0.1 s apart."""
    torch.manual_seed(0)
    return FAMILY[name]().eval()


def verbs(name: str) -> list[str]:
    """Which of `predict` and `interpolate` it has."""
    return [verb for verb in ("predict", "interpolate") if hasattr(FAMILY[name](), verb)]


def clips(
    count: int = 3, frames: int = 10, channels: int = 1, height: int = 16, width: int = 16, seed: int = 7
) -> VideoClip:
    """Noise at 10 frames per second."""
    generator = torch.Generator().manual_seed(seed)
    pixels = torch.rand(count, frames, channels, height, width, generator=generator) * 2 - 1
    return VideoClip(pixels, (0.1 * torch.arange(frames)).expand(count, -1))


def as_batch(clip: VideoClip, present: torch.Tensor | None = None) -> Batch:
    """The batch of these clips."""
    count, frames = clip.times.shape
    there = torch.ones(count, frames, dtype=torch.bool) if present is None else present
    return Batch(clip, torch.arange(count), torch.arange(count), torch.full((count,), -1), there)
