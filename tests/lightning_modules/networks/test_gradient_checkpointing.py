"""Gradient checkpointing: the numbers of a training without it, for less memory."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.testing import assert_close

from lightning_modules.networks.gradient_checkpointing import recomputed
from lightning_modules.networks.inbetweening import InbetweeningNetwork, Variant

torch.set_num_threads(1)

SMALL: dict[str, Any] = {"size": 16, "width": 4, "latent": 4, "noise": 4, "blocks": 4}


def network(recompute: bool, variant: Variant = "fusion") -> InbetweeningNetwork:
    torch.manual_seed(0)
    frames = 4 if variant == "naive" else 8
    return InbetweeningNetwork(**SMALL, frames=frames, variant=variant, recompute=recompute)


def ends() -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(1)
    start, end = torch.rand(2, 2, 3, 16, 16, generator=generator) * 2 - 1
    return start, end, torch.randn(2, 4, generator=generator)


def kept(module: nn.Module, *inputs: Tensor) -> int:
    """Bytes that the graph of a forward pass keeps alive beside weights and inputs."""
    own = {tensor.untyped_storage().data_ptr() for tensor in (*module.parameters(), *module.buffers(), *inputs)}
    found: dict[int, int] = {}

    def note(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in own:
            found[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        result = module(*inputs)
    assert result.requires_grad
    return sum(found.values())


@pytest.mark.parametrize("variant", ["fusion", "without_fusion", "naive"])
def test_gradients_and_running_statistics_are_those_without_it(variant: Variant) -> None:
    ours, theirs = network(True, variant), network(False, variant)
    for model in (ours, theirs):
        model(*ends()).square().sum().backward()
    for (name, mine), other in zip(ours.named_parameters(), theirs.parameters(), strict=True):
        assert mine.grad is not None, name
        assert other.grad is not None, name
        assert torch.equal(mine.grad, other.grad), name
    for (name, noted), also in zip(ours.named_buffers(), theirs.buffers(), strict=True):
        assert torch.equal(noted, also), name


def test_less_is_kept_for_the_gradients() -> None:
    assert kept(network(True), *ends()) < kept(network(False), *ends()) / 3


def test_without_gradients_it_is_a_call() -> None:
    model = network(True).eval()
    with torch.no_grad():
        assert_close(model(*ends()), network(False).eval()(*ends()))


def test_parts_run_one_after_another_and_statistics_move_once() -> None:
    layers = [nn.Conv2d(1, 2, 1), nn.BatchNorm2d(2)]
    x = torch.randn(4, 1, 3, 3, requires_grad=True)
    recomputed(layers, x).square().sum().backward()
    norm = layers[1]
    assert isinstance(norm, nn.BatchNorm2d)
    assert norm.num_batches_tracked == 1
    assert norm.momentum == 0.1
    assert x.grad is not None
