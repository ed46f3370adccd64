"""Thrifty 3D convolutions against torch's own: values, gradients, gradients of gradients, and when they are used."""

from collections.abc import Sequence
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.testing import assert_close
from torch.utils.flop_counter import FlopCounterMode

from lightning_modules.networks import thrifty_convolutions, winograd
from lightning_modules.networks.thrifty_convolutions import ThriftyConv3d, ThriftyConvTranspose3d

torch.set_num_threads(1)

KINDS: dict[str, tuple[type[nn.Module], type[nn.Module], dict[str, Any], tuple[int, ...]]] = {
    "block": (ThriftyConv3d, nn.Conv3d, {"kernel_size": 3, "padding": 1}, (2, 4, 3, 4, 6)),
    "one frame": (ThriftyConv3d, nn.Conv3d, {"kernel_size": 3, "padding": 1}, (1, 4, 1, 6, 4)),
    "critic": (
        ThriftyConv3d,
        nn.Conv3d,
        {"kernel_size": 4, "stride": (1, 2, 2), "padding": (0, 1, 1)},
        (2, 4, 6, 4, 8),
    ),
    "level": (
        ThriftyConvTranspose3d,
        nn.ConvTranspose3d,
        {"kernel_size": (3, 4, 4), "stride": (1, 2, 2), "padding": 1},
        (2, 4, 3, 2, 4),
    ),
}
"""Ours, torch's, the layer's arguments, and a shape of its input."""


def pair(kind: str, before: int = 4, after: int = 5, **more: Any) -> tuple[nn.Module, nn.Module]:
    """Ours and torch's with the same weights, in double precision."""
    torch.manual_seed(0)
    thrifty, plain, arguments, _ = KINDS[kind]
    theirs = plain(before, after, **arguments | more).double()
    ours = thrifty(before, after, **arguments | more).double()
    ours.load_state_dict(theirs.state_dict())
    return ours, theirs


def orders(layer: nn.Module, x: Tensor) -> Sequence[Tensor]:
    """The maps; gradients by input and weights; and those of a critic's penalty, which need second derivatives."""
    x = x.clone().requires_grad_()
    maps = layer(x)
    weights = list(layer.parameters())
    first = torch.autograd.grad(maps.sin().sum(), [x, *weights], create_graph=True)
    penalty = first[0].square().sum() + first[1].cos().sum()
    second = torch.autograd.grad(penalty, [x, *weights], create_graph=True)
    third = torch.autograd.grad(second[0].square().sum(), [x, weights[0]])
    return [maps, *first, *second, *third]


@pytest.fixture(params=["winograd", "direct", "matrices"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """The limits set so that small layers are computed in this way."""
    few = {"winograd": (1, 1), "direct": (1, 2000), "matrices": (1000, 2000)}[request.param]
    monkeypatch.setattr(thrifty_convolutions, "FEWEST_CHANNELS", few[0])
    monkeypatch.setattr(thrifty_convolutions, "FEWEST_PLACES", few[1])
    monkeypatch.setattr(thrifty_convolutions, "WIDE", 1 if request.param == "matrices" else 2**21)
    return str(request.param)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("last", [False, True], ids=["contiguous", "channels last"])
def test_numbers_and_gradients_of_every_order_are_torchs(kind: str, last: bool, way: str) -> None:
    ours, theirs = pair(kind)
    x = torch.randn(KINDS[kind][3], dtype=torch.float64)
    if last:
        x = x.to(memory_format=torch.channels_last_3d)
        ours.weight.data = ours.weight.data.to(memory_format=torch.channels_last_3d)
    for found, expected in zip(orders(ours, x), orders(theirs, x), strict=True):
        scale = expected.abs().max()
        assert_close(found / scale, expected / scale, rtol=0, atol=1e-11)


@pytest.mark.parametrize("kind", ["block", "critic", "level"])
def test_a_few_clips_at_a_time_make_the_same(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(thrifty_convolutions, "FEWEST_CHANNELS", 1)
    monkeypatch.setattr(thrifty_convolutions, "FEWEST_PLACES", 1)
    monkeypatch.setattr(winograd, "CHUNK", 1)
    ours, theirs = pair(kind)
    x = torch.randn(KINDS[kind][3], dtype=torch.float64)
    for found, expected in zip(orders(ours, x), orders(theirs, x), strict=True):
        scale = expected.abs().max()
        assert_close(found / scale, expected / scale, rtol=0, atol=1e-11)


@pytest.mark.parametrize("kind", ["block", "critic", "level"])
def test_single_precision_is_as_exact_to_a_small_factor(kind: str, way: str) -> None:
    ours, theirs = pair(kind, 64, 64)
    x = torch.randn(1, 64, *KINDS[kind][3][2:])
    exact = theirs(x.double())
    errors = [(layer.float()(x) - exact).abs().max() for layer in (ours, theirs)]
    assert errors[0] < 8 * errors[1]


def used(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """A list that the names of the ways are added to as they are taken."""
    names: list[str] = []

    def note(owner: Any, name: str) -> None:
        before = getattr(owner, name)

        def noted(*arguments: Any, **named: Any) -> Any:
            names.append(name)
            return before(*arguments, **named)

        monkeypatch.setattr(owner, name, noted)

    note(winograd, "_multiplied")
    note(thrifty_convolutions, "_as_matrices")
    return names


def test_each_way_is_taken_where_it_pays(monkeypatch: pytest.MonkeyPatch) -> None:
    names = used(monkeypatch)
    block = ThriftyConv3d(32, 32, 3, padding=1)
    with torch.no_grad():
        block(torch.randn(2, 32, 12, 8, 8))
        assert names == ["_multiplied"]
        block(torch.randn(2, 32, 4, 8, 8))
        assert names == ["_multiplied"]
        ThriftyConv3d(256, 128, 4, stride=(1, 2, 2), padding=(0, 1, 1))(torch.randn(1, 256, 5, 8, 8))
    assert names == ["_multiplied", "_as_matrices"]


def test_fewer_operations_are_counted() -> None:
    """16 multiplications for 36 and, of stride 2, 9 for 16; the kernel's transform is counted too."""
    for layer, share in (
        (ThriftyConv3d(32, 32, 3, padding=1), 16 / 36),
        (ThriftyConv3d(32, 32, 4, stride=(1, 2, 2), padding=(0, 1, 1)), 9 / 16),
    ):
        x = torch.randn(2, 32, 16, 16, 16)
        counts = []
        for compute in (layer, lambda x, layer=layer: nn.Conv3d.forward(layer, x)):
            with torch.no_grad(), FlopCounterMode(display=False) as count:
                compute(x)
            counts.append(count.get_total_flops())
        assert share * 0.95 < counts[0] / counts[1] < share * 1.2


@pytest.mark.parametrize(("arguments", "shape"), [
    ({"kernel_size": 3, "padding": 1}, (2, 32, 12, 9, 8)),  # an odd size
    ({"kernel_size": 3, "padding": 0}, (2, 32, 12, 10, 10)),
    ({"kernel_size": 3, "padding": 1, "groups": 2}, (2, 32, 12, 8, 8)),
    ({"kernel_size": 3, "padding": 1, "dilation": (1, 1, 1), "padding_mode": "circular"}, (2, 32, 12, 8, 8)),
    ({"kernel_size": 3, "padding": "same"}, (2, 32, 12, 8, 8)),
    ({"kernel_size": 4, "stride": (1, 2, 2), "padding": (0, 1, 1)}, (2, 32, 40, 9, 10)),
])  # fmt: skip
def test_other_layers_are_left_to_torch(
    arguments: dict[str, Any], shape: tuple[int, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    names = used(monkeypatch)
    layer, x = ThriftyConv3d(32, 32, **arguments), torch.randn(shape)
    with torch.no_grad():
        assert_close(layer(x), nn.Conv3d.forward(layer, x))
    assert not names


def test_half_precision_is_left_to_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    names = used(monkeypatch)
    layer, x = ThriftyConv3d(32, 32, 3, padding=1), torch.randn(2, 32, 12, 8, 8)
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        assert layer(x).dtype == torch.bfloat16
    assert not names
