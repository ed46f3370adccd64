import pytest
import torch
from torch import Tensor
from torch.nn.functional import conv2d
from torch.testing import assert_close

from lightning_modules.networks.winograd import WinogradConv2d

SHAPES = [(3, 1, (8, 8)), (3, 1, (9, 13)), (4, 2, (16, 16)), (4, 2, (17, 10)), (3, 0, (11, 8)), (4, 1, (8, 9))]


@pytest.mark.parametrize(("side", "padding", "size"), SHAPES)
@pytest.mark.parametrize("bias", [True, False])
def test_equals_a_convolution_in_value_and_gradients(
    side: int, padding: int, size: tuple[int, int], bias: bool
) -> None:
    torch.manual_seed(0)
    layer = WinogradConv2d(256, 128, side, padding=padding, bias=bias)
    images = torch.randn(2, 256, *size, requires_grad=True)
    assert layer._pays(images)
    ours = layer(images)
    wide = [p.detach().double().requires_grad_() for p in layer.parameters()]
    wide_images = images.detach().double().requires_grad_()
    theirs = conv2d(wide_images, *wide, padding=padding)
    upstream = torch.randn_like(ours)
    ours.backward(upstream)
    theirs.backward(upstream.double())
    _close(ours, theirs)
    _close(images.grad, wide_images.grad)
    for parameter, reference in zip(layer.parameters(), wide, strict=True):
        _close(parameter.grad, reference.grad)


@pytest.mark.parametrize(
    ("layer", "images"),
    [
        (WinogradConv2d(256, 128, 3, padding=1, stride=2), torch.randn(1, 256, 8, 8)),
        (WinogradConv2d(8, 8, 3, padding=1), torch.randn(1, 8, 8, 8)),
        (WinogradConv2d(256, 128, 3, padding=1).double(), torch.randn(1, 256, 8, 8).double()),
        (WinogradConv2d(256, 128, 5), torch.randn(1, 256, 16, 16)),
        (WinogradConv2d(256, 128, 3, padding=1), torch.randn(1, 256, 4, 64)),
    ],
    ids=["stride", "few_channels", "double", "kernel_5", "flat"],
)
def test_elsewhere_it_is_the_plain_convolution(layer: WinogradConv2d, images: Tensor) -> None:
    plain = conv2d(images, layer.weight, layer.bias, layer.stride, layer.padding)
    assert torch.equal(layer(images), plain)


def test_parts_of_a_batch_are_as_the_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    layer, images = WinogradConv2d(256, 128, 3, padding=1), torch.randn(3, 256, 8, 8)
    whole = layer(images)
    monkeypatch.setattr("lightning_modules.networks.winograd._CACHE", 2 * 4 * 144 * 256)  # two images, then one
    assert_close(layer(images), whole)


def test_under_autocast_it_is_the_plain_convolution() -> None:
    layer, images = WinogradConv2d(256, 128, 3, padding=1), torch.randn(1, 256, 8, 8)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert layer(images).dtype == torch.bfloat16


def test_has_the_parameters_of_a_convolution() -> None:
    theirs = torch.nn.Conv2d(256, 128, 3)
    WinogradConv2d(256, 128, 3).load_state_dict(theirs.state_dict())


def _close(ours: Tensor | None, theirs: Tensor | None) -> None:
    assert ours is not None
    assert theirs is not None
    assert float((ours - theirs).abs().max() / theirs.abs().max()) < 2e-5
