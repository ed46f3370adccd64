"""MLP: what its layers are, and how an even start keeps what differs between inputs."""

import pytest
import torch
from torch import nn

from lightning_modules.dynamics.mlp import MLP, Activation


def test_layers_are_as_the_widths_say() -> None:
    net = MLP([3, 5, 2], "leaky_relu")
    assert [type(layer) for layer in net.layers] == [nn.Linear, nn.LeakyReLU, nn.Linear]
    assert net(torch.ones(7, 4, 3)).shape == (7, 4, 2)


@pytest.mark.parametrize("activation", ["relu", "leaky_relu"])
def test_an_even_start_keeps_the_size_of_signals(activation: Activation) -> None:
    """Of PyTorch's own start a 30th is left after four layers."""
    torch.manual_seed(0)
    codes = torch.randn(512, 128)
    spread = {
        even: float(MLP([128] * 5, activation, even=even)(codes).std(dim=0).mean().detach()) for even in (False, True)
    }
    assert 0.6 < spread[True] < 1.6
    assert spread[False] < 0.06


def test_an_even_start_has_no_biases() -> None:
    net = MLP([4, 8, 2], even=True)
    assert all(not layer.bias.any() for layer in net.layers if isinstance(layer, nn.Linear))
