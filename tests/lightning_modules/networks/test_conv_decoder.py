import weakref

import torch
from torch import Tensor, nn

from lightning_modules.networks.vid_ode_parts import ConvDecoder


def _decoder() -> tuple[ConvDecoder, Tensor]:
    torch.manual_seed(0)
    return ConvDecoder(16, 6, 2), torch.randn(2, 16, 8, 8, requires_grad=True)


def test_upsampling_again_changes_no_bit() -> None:
    decoder, images = _decoder()
    ours, theirs = decoder(images), nn.Sequential.forward(decoder, images)
    wanted = [images, *decoder.parameters()]
    assert torch.equal(ours, theirs)
    for our, their in zip(
        torch.autograd.grad(ours.square().sum(), wanted),
        torch.autograd.grad(theirs.square().sum(), wanted),
        strict=True,
    ):
        assert torch.equal(our, their)


def test_upsampled_images_are_not_kept_for_the_backward_pass() -> None:
    decoder, images = _decoder()
    upsampled: list[weakref.ref[Tensor]] = []
    for layer in decoder:
        if isinstance(layer, nn.Upsample):
            layer.register_forward_hook(lambda _, inputs, output: upsampled.append(weakref.ref(output)))
    plain = nn.Sequential.forward(decoder, images)
    assert plain.requires_grad
    assert all(reference() is not None for reference in upsampled)
    upsampled.clear()
    ours = decoder(images)
    assert ours.requires_grad
    assert len(upsampled) == 2
    assert all(reference() is None for reference in upsampled)
