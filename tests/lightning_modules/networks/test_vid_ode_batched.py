"""Vid-ODE decodes many time steps in one batch: outputs, gradients and statistics are those of a step at a time."""

from typing import Any

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from datamodules.clip import VideoClip
from lightning_modules.networks import vid_ode
from lightning_modules.networks.step_norm import StepBatchNorm2d
from support.vid_ode_maker import batch, make

STEP = 0.1  # model units, at `seconds_per_unit` 0.4 and 25 frames a second
TIMES = {
    "training times": (1.0, 2.0, 3.0, 4.0, 5.0),
    "twice the rate": (0.5, 1.0, 1.5, 2.0, 2.5, 3.0),
    "beyond the horizon": (1.0, 7.0, 30.0, 80.0),
}


def decoded(
    pixels: int, monkeypatch: pytest.MonkeyPatch, train: bool, grid: float | None, times: Tensor, **changes: Any
) -> tuple[list[Tensor], int]:
    """Frames, parts, gradients and statistics, and how often the decoder ran; one pixel is a step at a time."""
    monkeypatch.setattr(vid_ode, "PIXELS", pixels)
    network = make(network=changes).train().generator
    clip = batch(frames=5).clip
    assert isinstance(clip, VideoClip)
    seen, seen_times = (clip.frames + 1) / 2, clip.times / 0.4
    for _ in range(2):  # so that the statistics of the steps differ
        network(seen, seen_times, seen_times[:, -1:] + STEP * torch.arange(1, 4), start="last")
    network.train(train)
    calls: list[int] = []
    network.image_decoder.register_forward_hook(lambda *_: calls.append(1))
    output = network(seen, seen_times, times, start="last", grid=grid)
    values = [output.frames, *output.parts.values()]
    weight = torch.linspace(0.5, 1.5, output.frames.numel(), dtype=torch.double).reshape(output.frames.shape)
    (output.frames * weight).sum().backward()
    gradients = [parameter.grad for parameter in network.parameters() if parameter.grad is not None]
    return values + gradients + [buffer.double() for buffer in network.buffers()], len(calls)


@pytest.mark.parametrize("name", TIMES)
@pytest.mark.parametrize("grid", [None, STEP])
@pytest.mark.parametrize("statistics", ["per_step", "batch"])
@pytest.mark.parametrize("train", [True, False])
def test_steps_in_one_batch_are_steps_one_after_another(
    name: str, grid: float | None, statistics: str, train: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    last = batch(frames=5).clip.times[:, -1:] / 0.4
    times = last + STEP * torch.tensor(TIMES[name], dtype=torch.double)
    one, often = decoded(1, monkeypatch, train, grid, times, statistics=statistics)
    all_, once = decoded(2**17, monkeypatch, train, grid, times, statistics=statistics)
    assert once <= 2 < often  # the chain, and the hops between its frames
    for ours, theirs in zip(all_, one, strict=True):
        assert_close(ours, theirs, rtol=1e-5, atol=1e-8)  # double precision: sums in another order


def test_the_pixels_of_a_batch_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """So the decoder's memory does not grow with the number of frames."""
    largest: list[int] = []
    network = make().generator
    for module in network.modules():
        if isinstance(module, StepBatchNorm2d):
            module.register_forward_hook(lambda _, inputs, __: largest.append(len(inputs[0])))
    monkeypatch.setattr(vid_ode, "PIXELS", 3 * 2 * 16 * 16)
    clip = batch(frames=5).clip
    assert isinstance(clip, VideoClip)
    times = clip.times[:, -1:] / 0.4 + STEP * torch.arange(1, 12)
    with torch.no_grad():
        network(clip.frames, clip.times / 0.4, times, start="last")
    assert max(largest) == 3 * 2
