"""Small Vid-ODE systems from plain configurations, and batches for them."""

from importlib import import_module
from typing import Any

import torch

from datamodules.clip import Batch, VideoClip
from lightning_modules.vid_ode import VidODE

torch.set_num_threads(1)  # models this small gain nothing by more

PARTS = "lightning_modules.networks.vid_ode_parts"


def config(
    mode: str = "extrapolate",
    *,
    width: int = 4,
    channels: int = 1,
    observe: int = 5,
    frames: int = 5,
    hidden: int | None = None,
    critic: dict[str, Any] | None = None,
    network: dict[str, Any] | None = None,
    encoder: dict[str, Any] | None = None,
    dynamics: dict[str, Any] | None = None,
    **system: Any,
) -> dict[str, Any]:
    """The configuration of a Vid-ODE of a small size; each dictionary adds to the `init_args` of that part."""
    latent = 4 * width
    field = {
        "class_path": "lightning_modules.dynamics.ConvField",
        "init_args": {"channels": latent, "hidden": hidden or latent // 2},
    }
    generator = {
        "encoder": {
            "class_path": f"{PARTS}.ODEConvGRU",
            "init_args": {"channels": latent, "field": field} | (encoder or {}),
        },
        "dynamics": {
            "class_path": "lightning_modules.dynamics.LatentODE",
            "init_args": {"field": field} | (dynamics or {}),
        },
        "width": width,
        "channels": channels,
    } | (network or {})
    together = frames if mode == "interpolate" else observe + 1
    init_args = {
        "generator": {"class_path": "lightning_modules.networks.vid_ode.VidODENetwork", "init_args": generator},
        "training": mode,
        "observe": observe,
        "seconds_per_unit": 0.4,
    }
    for name, seen in (("image_critic", channels), ("sequence_critic", channels * together)):
        arguments = {"channels": seen, "width": 4} | (critic or {})
        init_args[name] = {"class_path": f"{PARTS}.PatchCritic", "init_args": arguments}
    return {"class_path": "lightning_modules.vid_ode.VidODE", "init_args": init_args | system}


def make(mode: str = "extrapolate", **changes: Any) -> VidODE:
    """The system itself, in double precision and evaluation mode, with the same weights every time."""
    torch.manual_seed(0)
    system = _instance(config(mode, **changes))
    assert isinstance(system, VidODE)
    return system.double().eval()


def batch(
    clips: int = 2, frames: int = 10, *, channels: int = 1, size: int = 16, interval: float = 0.04, seed: int = 1
) -> Batch:
    """Noise at a regular frame rate."""
    generator = torch.Generator().manual_seed(seed)
    pixels = 2 * torch.rand(clips, frames, channels, size, size, generator=generator, dtype=torch.float64) - 1
    times = (interval * torch.arange(frames, dtype=torch.float64)).expand(clips, -1)
    present = torch.ones(clips, frames, dtype=torch.bool)
    return Batch(VideoClip(pixels, times), torch.arange(clips), torch.arange(clips), torch.full((clips,), -1), present)


def _instance(value: Any) -> Any:
    """What `build` makes, without its checks, which take a second."""
    if isinstance(value, dict) and "class_path" in value:
        module, name = value["class_path"].rsplit(".", 1)
        return getattr(import_module(module), name)(**_instance(value.get("init_args", {})))
    return {key: _instance(one) for key, one in value.items()} if isinstance(value, dict) else value
