"""The inbetweening networks against the tables of Appendix A, and the laws of Section 3.2."""

from itertools import pairwise
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.testing import assert_close

from lightning_modules.networks.inbetweening import FusionBlock, ImageEncoder, InbetweeningNetwork, Variant
from lightning_modules.networks.inbetweening_critics import ImageCritic, VideoCritic

torch.set_num_threads(1)

CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.ConvTranspose3d)
SMALL: dict[str, Any] = {"size": 16, "frames": 8, "width": 4, "latent": 4, "noise": 4, "blocks": 4}


def layers(module: nn.Module, *inputs: Tensor) -> list[tuple[Any, ...]]:
    """Of each 2D or 3D convolution in the order it runs: channels, kernel, stride, padding, output's size."""
    table: list[tuple[Any, ...]] = []

    def note(layer: Any, _: Any, output: Tensor) -> None:
        table.append((layer.out_channels, layer.kernel_size, layer.stride, layer.padding, tuple(output.shape[2:])))

    hooks = [m.register_forward_hook(note) for m in module.modules() if isinstance(m, CONVOLUTIONS)]
    module(*inputs)
    for hook in hooks:
        hook.remove()
    return table


def square(channels: int, kernel: int, stride: int, padding: int, size: int) -> tuple[Any, ...]:
    return channels, (kernel,) * 2, (stride,) * 2, (padding,) * 2, (size,) * 2


@pytest.mark.parametrize("channels", [1, 3])
def test_the_encoder_is_the_appendix_table(channels: int) -> None:
    with torch.device("meta"):
        table = layers(InbetweeningNetwork(channels).encoder, torch.empty(2, channels, 64, 64))
    assert table == [
        square(64, 4, 2, 1, 32),
        square(64, 3, 1, 1, 32),
        square(128, 4, 2, 1, 16),
        square(128, 3, 1, 1, 16),
        square(256, 4, 2, 1, 8),
        square(256, 3, 1, 1, 8),
        square(64, 3, 1, 1, 8),
    ]


@pytest.mark.parametrize("channels", [1, 3])
def test_the_video_generator_is_the_appendix_table(channels: int) -> None:
    with torch.device("meta"):
        table = layers(InbetweeningNetwork(channels).decoder, torch.empty(2, 64, 16, 8, 8))
    flat, up, one = ((3, 3, 3), (1, 1, 1), (1, 1, 1)), ((3, 4, 4), (1, 2, 2), (1, 1, 1)), (16,)
    assert table == [
        (256, *flat, (16, 8, 8)),
        (256, *flat, (16, 8, 8)),
        (128, *up, (16, 16, 16)),
        (128, *flat, (16, 16, 16)),
        (64, *up, (16, 32, 32)),
        (64, *flat, (16, 32, 32)),
        (channels, *up, (*one, 64, 64)),
    ]


@pytest.mark.parametrize("channels", [1, 3])
def test_the_video_critic_is_the_appendix_table(channels: int) -> None:
    with torch.device("meta"):
        critic = VideoCritic(channels)
        table = layers(critic, torch.empty(2, 16, channels, 64, 64))
    how = ((4, 4, 4), (1, 2, 2), (0, 1, 1))
    assert table == [
        (64, *how, (13, 32, 32)),
        (128, *how, (10, 16, 16)),
        (256, *how, (7, 8, 8)),
        (512, *how, (4, 4, 4)),
    ]
    assert critic.head.in_features == 512 * 4 * 4 * 4


@pytest.mark.parametrize("channels", [1, 3])
def test_the_image_critic_is_the_appendix_table(channels: int) -> None:
    with torch.device("meta"):
        critic = ImageCritic(channels)
        table = layers(critic, torch.empty(2, channels, 64, 64))
    widths, expected = [channels, 64, 128, 256, 512], []
    for k in range(4):
        size = 64 // 2**k
        expected += [square(widths[k], 3, 1, 1, size), square(widths[k + 1], 4, 2, 1, size // 2)]
        expected += [square(widths[k + 1], 1, 1, 0, size // 2)]  # the shortcut's
    assert table == expected
    assert critic.head.in_features == 512 * 4 * 4


def parameters(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def test_parameter_counts_follow_from_the_tables() -> None:
    """The paper prints none; these sums are of its layers: kernels, and a scale and a shift where normalised."""
    with torch.device("meta"):
        network, video, image = InbetweeningNetwork(), VideoCritic(), ImageCritic()
    normed = lambda before, after, kernel: before * after * kernel + 2 * after  # noqa: E731
    plain = lambda before, after, kernel: before * after * kernel + after  # noqa: E731
    encoder = [(3, 64, 16), (64, 64, 9), (64, 128, 16), (128, 128, 9), (128, 256, 16), (256, 256, 9), (256, 64, 9)]
    assert parameters(network.encoder) == sum(normed(*layer) for layer in encoder)
    block = 2 * normed(64, 64, 27) + 3 * plain(64, 64, 3)
    noises = [plain(128, 64 * length, 1) for length in (4, 8, 16)]
    assert parameters(network.latents) == 24 * block + 8 * sum(noises)
    decoder = [(64, 256, 27), (256, 256, 27), (256, 128, 48), (128, 128, 27), (128, 64, 48), (64, 64, 27)]
    assert parameters(network.decoder) == sum(normed(*layer) for layer in decoder) + plain(64, 3, 48)
    levels = [plain(before, after, 64) for before, after in ((3, 64), (64, 128), (128, 256), (256, 512))]
    assert parameters(video) == sum(levels) + 2 * (128 + 256 + 512) + plain(512 * 64, 1, 1)
    widths = [3, 64, 128, 256, 512]
    blocks = [
        plain(a, a, 9) + plain(a, b, 16) + plain(a, b, 1) + 2 * (b + (a if a > 3 else 0)) for a, b in pairwise(widths)
    ]
    assert parameters(image) == sum(blocks) + plain(512 * 16, 1, 1)


def test_the_blocks_have_lengths_4_8_and_16() -> None:
    with torch.device("meta"):
        network = InbetweeningNetwork()
        code = torch.empty(2, 64, 8, 8)
        stages = network.latents.stages(code, code, torch.empty(2, 128))  # type: ignore[operator]
    assert [tuple(stage.shape[1:]) for stage in stages] == [
        *[(64, 4, 8, 8)] * 8,
        *[(64, 8, 8, 8)] * 8,
        *[(64, 16, 8, 8)] * 8,
    ]


def test_the_first_block_begins_with_start_start_end_end() -> None:
    network = InbetweeningNetwork(**SMALL)
    seen: list[Tensor] = []
    first = network.latents.blocks[0]  # type: ignore[index]
    first.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))  # type: ignore[union-attr]
    start, end = torch.randn(2, 1, 4, 8, 8)
    network.latents(start, end, torch.randn(1, 4))
    assert_close(seen[0], torch.stack([start, start, end, end], dim=2))


def test_gates_lie_in_0_1_and_the_rest_is_what_they_leave() -> None:
    block = FusionBlock(4, 4, 8)
    gates = block.gates(3 * torch.randn(16, 4, 8))
    assert gates is not None
    from_start, from_end, kept = gates
    for gate in (from_start, from_end):
        assert gate.min() > 0
        assert gate.max() < 1
    assert_close(kept, torch.maximum(torch.zeros(()), 1 - from_start - from_end))
    assert (kept == 0).any()
    assert (kept > 0).any()


def test_a_block_is_equations_1_to_5() -> None:
    """Against eqs 1 to 5 written out one frame and tap at a time, with the running statistics of the norms."""
    block = FusionBlock(3, 5, 4).eval()
    for part in block.modules():
        if isinstance(part, nn.BatchNorm3d):
            part.running_mean.uniform_(-1, 1)  # type: ignore[union-attr]
            part.running_var.uniform_(0.5, 2)  # type: ignore[union-attr]
    z, start, end, noise = (
        torch.randn(2, 3, 4, 2, 2),
        torch.randn(2, 3, 2, 2),
        torch.randn(2, 3, 2, 2),
        torch.randn(2, 5),
    )
    u = (noise @ block.project.weight.T + block.project.bias).reshape(2, 4, 3)

    def along_time(kernel: nn.Conv1d) -> Tensor:
        padded = torch.cat([torch.zeros(2, 1, 3), u, torch.zeros(2, 1, 3)], dim=1)
        taps = [padded[:, k : k + 4] @ kernel.weight[:, :, k].T for k in range(3)]
        assert kernel.bias is not None
        return (torch.stack(taps).sum(dim=0) + kernel.bias).transpose(1, 2)[..., None, None]

    assert block.start_gate is not None
    assert block.end_gate is not None
    g_s, g_e = torch.sigmoid(along_time(block.start_gate)), torch.sigmoid(along_time(block.end_gate))
    z_in = g_s * start[:, :, None] + g_e * end[:, :, None] + (1 - g_s - g_e).clamp(min=0) * z
    z_in = z_in + along_time(block.added_noise)

    def normed(x: Tensor, convolution: nn.Module, norm: nn.Module) -> Tensor:
        y = nn.functional.conv3d(x, convolution.weight, padding=1)  # type: ignore[arg-type]
        mean, deviation = norm.running_mean[:, None, None, None], (norm.running_var + norm.eps).sqrt()  # type: ignore
        return (y - mean) / deviation[:, None, None, None]

    h = nn.functional.leaky_relu
    inner = h(normed(z_in, block.inner[0], block.inner[1]), 0.2)
    theirs = h(z + normed(inner, block.outer[0], block.outer[1]), 0.2)
    assert_close(block(z, start, end, noise), theirs)


@pytest.mark.parametrize("variant", ["fusion", "without_fusion", "naive"])
def test_mirrored_kernels_and_swapped_ends_mirror_the_video(variant: Variant) -> None:
    torch.manual_seed(0)
    network = InbetweeningNetwork(**SMALL | {"frames": 4, "variant": variant}).eval()
    mirror = InbetweeningNetwork(**SMALL | {"frames": 4, "variant": variant}).eval()
    mirror.load_state_dict(network.state_dict())
    for part in mirror.modules():
        if isinstance(part, nn.Conv1d | nn.Conv3d | nn.ConvTranspose3d):
            part.weight.data = part.weight.data.flip(2)
        if isinstance(part, nn.Linear):  # noise for (time, channel): the time turned round
            weight = part.weight.data.unflatten(0, (-1, 4)).flip(0).flatten(0, 1)
            part.weight.data, part.bias.data = weight, part.bias.data.unflatten(0, (-1, 4)).flip(0).flatten()
        if isinstance(part, FusionBlock):
            part.start_gate, part.end_gate = part.end_gate, part.start_gate
    start, end, noise = torch.randn(2, 3, 16, 16), torch.randn(2, 3, 16, 16), torch.randn(2, 4)
    video = network(start, end, noise)
    assert_close(mirror(end, start, noise), video.flip(1))
    assert not torch.allclose(network(end, start, noise), video.flip(1))


@pytest.mark.parametrize(("size", "frames", "variant"), [
    (64, 8, "fusion"),
    (64, 32, "fusion"),
    (128, 16, "fusion"),
    (256, 16, "fusion"),
    (128, 32, "naive"),
    (64, 8, "naive"),
    (64, 16, "without_fusion"),
])  # fmt: skip
def test_other_lengths_and_sizes_have_more_or_fewer_levels(size: int, frames: int, variant: Variant) -> None:
    with torch.device("meta"):
        network = InbetweeningNetwork(size=size, frames=frames, variant=variant)
        image = torch.empty(2, 3, size, size)
        assert network.encode(image, image)[0].shape == (2, 64, 8, 8)
        video = network(image, image, torch.empty(2, 128))
        assert video.shape == (2, frames, 3, size, size)
        assert VideoCritic(size=size, frames=frames)(video).shape == (2,)
        assert ImageCritic(size=size)(image).shape == (2,)


def test_the_naive_baseline_doubles_the_time_three_times() -> None:
    with torch.device("meta"):
        table = layers(InbetweeningNetwork(variant="naive").decoder, torch.empty(2, 64, 2, 8, 8))
    assert [row[4] for row in table if row[2] != (1, 1, 1)] == [(4, 16, 16), (8, 32, 32), (16, 64, 64)]
    assert all(row[1] == (4, 4, 4) for row in table if row[2] != (1, 1, 1))


@pytest.mark.parametrize(("arguments", "message"), [
    ({"size": 48}, "`size` must be 8 times a power of two"),
    ({"frames": 14}, "`frames` must be 2 times a power of two, at least 4"),
    ({"frames": 2}, "`frames` must be 2 times a power of two, at least 4"),
    ({"frames": 64}, "a multiple of 5"),
    ({"frames": 32, "variant": "naive"}, "at most 16 frames; got 32"),
])  # fmt: skip
def test_what_cannot_be_reached_by_doubling_is_refused(arguments: dict[str, Any], message: str) -> None:
    with torch.device("meta"), pytest.raises(ValueError, match=message):
        InbetweeningNetwork(**arguments)


def test_frames_of_another_size_are_refused() -> None:
    network = InbetweeningNetwork(**SMALL)
    with pytest.raises(ValueError, match="Resize them"):
        network(torch.randn(1, 3, 32, 32), torch.randn(1, 3, 32, 32), torch.randn(1, 4))


def test_the_last_blocks_decode_and_the_very_last_is_the_output() -> None:
    network = InbetweeningNetwork(**SMALL).eval()
    start, end, noise = torch.randn(1, 3, 16, 16), torch.randn(1, 3, 16, 16), torch.randn(1, 4)
    first, last = network.decode_blocks(start, end, noise, last=2)
    assert_close(last, network(start, end, noise))
    assert not torch.allclose(first, last)
    with pytest.raises(ValueError, match="this network has 2; got last 3"):
        network.decode_blocks(start, end, noise, last=3)


def test_every_weight_takes_part() -> None:
    network = InbetweeningNetwork(**SMALL)
    network(torch.randn(2, 3, 16, 16), torch.randn(2, 3, 16, 16), torch.randn(2, 4)).square().sum().backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in network.parameters())
    assert isinstance(network.encoder, ImageEncoder)


def test_the_critics_judge_each_sample_by_itself() -> None:
    video, image = VideoCritic(size=16, frames=8, width=4), ImageCritic(size=16, width=4)
    clips, pictures = torch.randn(3, 8, 3, 16, 16), torch.randn(3, 3, 16, 16)
    assert_close(video(clips)[1:2], video(clips[1:2]))
    assert_close(image(pictures)[1:2], image(pictures[1:2]))
