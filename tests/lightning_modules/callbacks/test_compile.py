import copy

import pytest
import torch
from lightning import Trainer
from torch import nn
from torch.testing import assert_close

from datamodules.clip import Batch, VideoClip
from lightning_modules.callbacks.compile import Acceleration, stacks
from lightning_modules.dynamics import ConvField, LatentODE
from lightning_modules.networks.vid_ode import VidODENetwork
from lightning_modules.networks.vid_ode_parts import ODEConvGRU, PatchCritic
from lightning_modules.vid_ode import VidODE


def _system() -> VidODE:
    torch.manual_seed(0)
    network = VidODENetwork(
        encoder=ODEConvGRU(16, field=ConvField(16, 8)), dynamics=LatentODE(ConvField(16, 8)), channels=1, width=4
    )
    return VidODE(network, PatchCritic(1, width=4), PatchCritic(3, width=4), observe=2)


def _gradients(system: VidODE) -> list[torch.Tensor]:
    torch.manual_seed(1)
    times = (torch.arange(4.0) / 10).expand(2, -1)
    present = torch.ones(2, 4, dtype=torch.bool)
    ids = torch.arange(2)
    batch = Batch(VideoClip(torch.rand(2, 4, 1, 16, 16), times), ids, ids, -torch.ones(2).long(), present)
    critic, generator = system.joint_losses(batch, system.generate_fakes(batch))
    torch.stack([*critic.values(), *generator.values()]).sum().backward()
    return [parameter.grad for parameter in system.parameters() if parameter.grad is not None]


@pytest.mark.parametrize("compiled", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_accelerated_gradients_and_weights_are_the_plain_ones(compiled: bool) -> None:
    plain = _system()
    fast = copy.deepcopy(plain)
    Acceleration(compile=compiled, backend="aot_eager").setup(Trainer(logger=False, accelerator="cpu"), fast, "fit")
    assert fast.state_dict().keys() == plain.state_dict().keys()
    assert fast.generator.image_encoder[3].weight.is_contiguous(memory_format=torch.channels_last)
    assert_close(_gradients(fast), _gradients(plain), rtol=1e-3, atol=1e-6)


def test_stacks_are_the_outermost_sequentials() -> None:
    network = _system()
    inner = nn.Sequential(nn.Sequential(nn.ReLU()))
    network.critics["other"] = inner
    found = list(stacks(network))
    assert inner in found
    assert inner[0] not in found
    assert network.generator.image_decoder in found
    assert network.generator.dynamics.field.layers in found
