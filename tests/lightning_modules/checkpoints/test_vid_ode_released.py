"""Vid-ODE against its released code, psh01087/Vid-ODE.

The numbers in golden/vid_ode.json came from the released code itself, run on a CPU in double precision at width 4 on
16 x 16 frames, batch 2, its critics narrowed to an eighth, with `grid_sample(align_corners=True)` as in torch 1.0 and
both gradients taken before either player moves. Weights and frames are a hash of their released name and index
(`uniform` and `released` below), so that the released code is not needed here. A tensor is kept as 16 evenly spaced
elements and its mean. At the paper's size (128 x 128) both were compared in the same way: 1e-13 in double precision.
"""

import json
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from datamodules.clip import Batch, VideoClip
from lightning_modules.checkpoints.vid_ode_released import from_released, load_released
from lightning_modules.networks.vid_ode_frames import Decoded
from lightning_modules.vid_ode import VidODE
from support.vid_ode_maker import config, make

GOLDEN = json.loads((Path(__file__).parents[1] / "golden" / "vid_ode.json").read_text())
PART_OF_CRITIC = {
    "layer_1.0": "0",
    "layer_2.main.0": "2",
    "layer_3.main.0": "5",
    "layer_4.main.0": "8",
    "last_conv": "11",
}
CASES = [(mode, phase) for mode in ("extrapolate", "interpolate") for phase in ("train", "eval")]


def uniform(name: str, shape: tuple[int, ...]) -> np.ndarray:
    """Values in [-1, 1): splitmix64 of the element's index and the name's CRC-32."""
    with np.errstate(over="ignore"):
        z = np.arange(int(np.prod(shape)), dtype=np.uint64) + np.uint64(zlib.crc32(name.encode()) << 32)
        z = (z + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        z = z ^ (z >> np.uint64(31))
    return ((z >> np.uint64(11)).astype(np.float64) * 2.0**-52 - 1).reshape(shape)


def released(name: str, shape: list[int]) -> Tensor:
    """The weight of a released name: as large as torch's first ones, or plausible statistics."""
    if name.endswith("num_batches_tracked"):
        return torch.tensor(3)
    values = uniform(name, tuple(shape))
    if name.endswith("running_var"):
        values = 1 + 0.5 * values
    elif len(shape) == 1:
        values = 1 + 0.3 * values if "model." in name and name.endswith("weight") else 0.1 * values
    else:
        values = 1.7 * values / np.sqrt(np.prod(shape[1:]))
    return torch.from_numpy(np.asarray(values))


def released_weights() -> dict[str, Tensor]:
    return {name: released(name, shape) for name, shape in GOLDEN["released"].items()}


def of_critic(name: str) -> str:
    """`sequence.layer_2.main.0.bias` -> `sequence.2.bias`."""
    critic, rest = name.split(".", 1)
    layer, kind = rest.rsplit(".", 1)
    return f"{critic}.{PART_OF_CRITIC[layer]}.{kind}"


def ours(mode: str, statistics: str = "batch") -> VidODE:
    network = {"statistics": statistics}
    system = make(mode, channels=3, critic={"width": 8}, dynamics={"solver": "dopri5"}, network=network)
    system.generator.load_state_dict(from_released(released_weights()))
    critics = {of_critic(name): released(name, shape) for name, shape in GOLDEN["critics"][mode].items()}
    system.critics.load_state_dict(critics)
    return system


def video() -> VideoClip:
    frames = torch.from_numpy(uniform("video", (2, 10, 3, 16, 16)))
    return VideoClip(frames, torch.arange(10, dtype=torch.float64).expand(2, -1) / 25)


def assert_like(tensor: Tensor, theirs: list[float], **tolerances: float) -> None:
    flat = tensor.detach().double().flatten()
    elements = flat[:: max(1, flat.numel() // 16)][:16]
    values = torch.cat([elements, flat.mean()[None]])[: len(theirs)]
    assert_close(values, torch.tensor(theirs, dtype=torch.float64), **(tolerances or {"rtol": 1e-6, "atol": 1e-7}))


def examples(mode: str) -> Batch:
    frames, times = video() if mode == "extrapolate" else (field[:, ::2] for field in video())
    return Batch(
        VideoClip(frames, times), torch.arange(2), torch.arange(2), torch.tensor([-1, -1]), torch.ones(times.shape) > 0
    )


@pytest.mark.parametrize("mode", ["extrapolate", "interpolate"])
def test_the_released_tester_uses_batch_statistics(mode: str) -> None:
    """It never calls `eval()`: its frames are those of training, and its running statistics have no effect."""
    system = ours(mode).eval()
    fakes = system.generate_fakes(examples(mode))
    assert_like(fakes.predicted, GOLDEN["cases"][f"{mode}-train"]["frames"])
    statistics = {name: value for name, value in system.generator.named_buffers() if "running" in name}
    for value in statistics.values():
        value.fill_(3.0)
    assert torch.equal(system.generate_fakes(examples(mode)).predicted, fakes.predicted)


@pytest.mark.parametrize(("mode", "phase"), CASES)
def test_frames_losses_and_gradients_are_the_released_ones(mode: str, phase: str) -> None:
    theirs: dict[str, Any] = GOLDEN["cases"][f"{mode}-{phase}"]
    # in evaluation, a file's single set of running statistics is the set of every step
    system = ours(mode, "batch" if phase == "train" else "per_step").train(phase == "train")
    batch = examples(mode)
    decoded: dict[str, Tensor] = {}
    hook = system.generator.register_forward_hook(lambda _, __, output: decoded.update(_tensors(output)))
    fakes = system.generate_fakes(batch)
    hook.remove()
    for name in ("frames", "flows", "masks", "differences", "warped", "latents"):
        assert_like(decoded[name], theirs[name])
    critic, generator = system.joint_losses(batch, fakes)
    losses = {f"critic/{k}": v for k, v in critic.items()} | {f"generator/{k}": v for k, v in generator.items()}
    assert losses.keys() == theirs["losses"].keys()
    for name, loss in losses.items():
        assert_close(loss.item(), theirs["losses"][name], rtol=1e-7, atol=1e-10)
    if phase == "train":
        _check_gradients_and_step(system, critic, generator, theirs)


def _check_gradients_and_step(
    system: VidODE, critic: dict[str, Tensor], generator: dict[str, Tensor], theirs: dict[str, Any]
) -> None:
    players = [entry["optimizer"] for entry in system.configure_optimizers()]
    assert [player.param_groups[0]["lr"] for player in players] == [9.9e-4, 9.9e-4]
    (sum(critic.values()) + sum(generator.values())).backward()
    parameters = {f"generator.{name}": p for name, p in system.generator.named_parameters()}
    parameters |= dict(system.critics.named_parameters())
    buffers = {f"generator.{name}": b for name, b in system.generator.named_buffers()}
    for name, norm in theirs["gradients"].items():
        gradient = parameters[_our_name(name)].grad
        assert gradient is not None
        # where a batch norm follows, a bias has no gradient but rounding
        assert_close(gradient.norm().item(), norm, rtol=1e-6, atol=1e-9, msg=lambda text, name=name: f"{name}: {text}")
    for name, norm in theirs["statistics"].items():
        assert_close(buffers[_our_name(name)].double().norm().item(), norm, rtol=1e-7, atol=1e-9)
    for player in players:
        player.step()
    for name, values in theirs["step"].items():
        assert_like(parameters[_our_name(name)], values)


def _tensors(decoded: Decoded) -> dict[str, Tensor]:
    return {"frames": decoded.frames, "latents": decoded.latents} | decoded.parts


def _our_name(name: str) -> str:
    if name.startswith(("image.", "sequence.")):
        return of_critic(name)
    (renamed,) = from_released({name: torch.zeros(())})
    return f"generator.{renamed}"


def test_frames_between_are_the_released_ones() -> None:
    """The released test of interpolation: frames 0, 2, 4, 6, 8 shown, 1, 3, 5, 7 asked."""
    theirs = GOLDEN["cases"]["interpolate-between"]
    system, (frames, times) = ours("interpolate", "per_step"), video()
    with torch.no_grad():
        decoded = system.decode(VideoClip(frames[:, ::2], times[:, ::2]), times[:, 1:9:2], "first")
    tensors = _tensors(decoded)
    for name in theirs:
        assert_like(tensors[name], theirs[name])


@pytest.mark.parametrize("zipped", [True, False], ids=["zip", "as torch 1.0 wrote"])
def test_a_released_file_loads(tmp_path: Path, zipped: bool) -> None:
    path = tmp_path / "ckpt_00005000.pth"
    torch.save(
        {name: value.float() if value.is_floating_point() else value for name, value in released_weights().items()},
        path,
        _use_new_zipfile_serialization=zipped,
    )
    system = load_released(path, config(channels=3))
    assert not system.training
    assert isinstance(system, VidODE)
    loaded = system.generator.state_dict()
    assert len(loaded) == len(GOLDEN["released"])
    assert_close(loaded["image_decoder.8.bias"], released("decoder.model.8.bias", [6]).float())


def test_what_is_no_released_file_is_refused(tmp_path: Path) -> None:
    weights = released_weights()
    with pytest.raises(ValueError, match=r"generator\.x is not one of Vid-ODE's released names"):
        from_released(weights | {"generator.x": torch.zeros(1)})
    path = tmp_path / "wide.pth"
    torch.save(weights, path)
    with pytest.raises(ValueError, match="do not fit the configuration"):
        load_released(path, config(channels=3, width=8))
    torch.save({"state_dict": weights}, path)
    with pytest.raises(ValueError, match="no released Vid-ODE checkpoint"):
        load_released(path, config(channels=3))
