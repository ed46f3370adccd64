"""I3D equals the original network, layer by layer where it is not at hand."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn.functional import batch_norm, conv3d, interpolate, max_pool3d

from benchmarks.metrics.features.extractor import I3DFeatures, UntrainedFeatures
from benchmarks.metrics.features.i3d import I3D, _pool, _same, _Unit
from benchmarks.pretrained.registry import WeightsUnavailable

GOLDEN = Path(__file__).parents[5] / "shared/golden/i3d_logits_random_clip.npz"


@pytest.fixture(scope="module")
def published() -> I3D:
    try:
        return I3D.pretrained()
    except WeightsUnavailable as reason:
        pytest.skip(str(reason))


@pytest.mark.slow
@pytest.mark.skipif(not GOLDEN.exists(), reason=f"the golden logits are not at {GOLDEN}")
def test_it_equals_the_original(published: I3D) -> None:
    clip = (np.random.RandomState(0).rand(2, 16, 224, 224, 3)[:1] * 2 - 1).astype(np.float32)
    video = torch.from_numpy(clip).permute(0, 4, 1, 2, 3)
    golden = np.load(GOLDEN)
    np.testing.assert_allclose(published(video), golden["logits"], rtol=0, atol=1e-3)
    published.output = "mixed5c"
    np.testing.assert_allclose(published(video), golden["mixed5c_mean"], rtol=0, atol=1e-4)
    published.output = "logits"


def test_known_logits(published: I3D) -> None:
    """A smaller clip, whose logits were taken down when the golden test passed (1.6e-5)."""
    t, y, x = torch.meshgrid(
        torch.linspace(0, 3, 9), torch.linspace(0, 4, 224), torch.linspace(0, 5, 224), indexing="ij"
    )
    video = torch.stack([torch.sin(x + t), torch.cos(y * x - t), torch.sin(y + 2 * t)])[None]
    logits = published(video)[0]
    assert logits.shape == (400,)
    np.testing.assert_allclose(logits[:4], KNOWN, rtol=0, atol=1e-3)


KNOWN = [-2.41152, 11.20485, 7.09013, 5.29981]


@pytest.mark.parametrize(
    ("size", "kernel", "stride"), [(16, 7, 2), (15, 7, 2), (8, 3, 2), (7, 3, 1), (5, 1, 1), (9, 2, 2)]
)
def test_padding_is_tensorflows(size: int, kernel: int, stride: int) -> None:
    """ceil(size / stride) outputs, and of an odd number of padded elements one more at the end."""
    padded = _same(torch.ones(1, 1, size, size, size), (kernel,) * 3, (stride,) * 3)[0, 0, size // 2, size // 2]
    outputs = (len(padded) - kernel) // stride + 1
    assert outputs == -(-size // stride)
    before, after = int(padded.argmax()), len(padded) - size - int(padded.argmax())
    assert 0 <= after - before <= 1


@pytest.mark.parametrize(
    ("kernel", "stride"),
    [((1, 3, 3), (1, 2, 2)), ((3, 3, 3), (2, 2, 2)), ((2, 2, 2), (2, 2, 2)), ((3, 3, 3), (1, 1, 1))],
)
@pytest.mark.parametrize("size", [(4, 7, 8), (5, 8, 7), (1, 2, 3), (9, 14, 14)])
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last_3d])
def test_pooling_by_axes_is_pooling_at_once(
    kernel: tuple[int, int, int],
    stride: tuple[int, int, int],
    size: tuple[int, int, int],
    layout: torch.memory_format,
) -> None:
    """To the bit: a maximum is rounded nowhere."""
    x = torch.randn(2, 3, *size, generator=torch.Generator().manual_seed(0)).relu().contiguous(memory_format=layout)
    assert torch.equal(_pool(x, kernel, stride), max_pool3d(_same(x, kernel, stride), kernel, stride))


def test_published_weights_have_their_channels_last(published: I3D) -> None:
    """The layout in which convolutions on a CPU take less time."""
    weight = published.Conv3d_2c_3x3.weight
    assert weight.is_contiguous(memory_format=torch.channels_last_3d)


def test_folding_the_normalisation_changes_nothing() -> None:
    generator = torch.Generator().manual_seed(0)
    kernel = torch.randn(1, 1, 1, 4, 5, generator=generator)
    mean, variance = torch.randn(5, generator=generator), torch.rand(5, generator=generator)
    offset = torch.randn(5, generator=generator)
    unit = _Unit(4, 5, rectified=False).requires_grad_(False)
    shape = (1, 1, 1, 1, 5)
    unit.load(
        {
            "params/a/Conv_0/kernel": kernel,
            "params/a/BatchNorm_0/bias": offset,
            "batch_stats/a/BatchNorm_0/mean": mean.reshape(shape),
            "batch_stats/a/BatchNorm_0/var": variance.reshape(shape),
        },
        "a",
    )
    x = torch.randn(2, 4, 3, 3, 3, generator=generator)
    theirs = batch_norm(conv3d(x, kernel.permute(4, 3, 0, 1, 2)), mean, variance, bias=offset, eps=1e-3)
    torch.testing.assert_close(unit(x), theirs, rtol=1e-5, atol=1e-5)


def test_logits_of_long_clips_are_means_over_pairs_of_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in the original, whose last pooling is two steps long: the ends of a long clip count half."""
    network = I3D()
    last = torch.randn(1, 1024, 4, 7, 7, generator=torch.Generator().manual_seed(0))
    monkeypatch.setattr(network, "get_submodule", lambda name: lambda x: last)
    unit = network.Logits["Conv3d_0c_1x1"]
    weight = torch.tensor([1, 2, 2, 1]) / 6
    pooled = (last.mean((3, 4)) * weight).sum(2)
    theirs = pooled @ unit.weight.flatten(1).T + unit.bias
    torch.testing.assert_close(network(torch.zeros(1, 3, 9, 32, 32)), theirs, rtol=1e-4, atol=1e-5)


def test_too_few_frames_are_refused() -> None:
    with pytest.raises(ValueError, match=r"9 frames.* 8"):
        I3D()(torch.zeros(1, 3, 8, 32, 32))


def test_names_and_protocols() -> None:
    assert I3DFeatures().name == "i3d_logits"
    assert I3DFeatures("mixed5c").name == "i3d_mixed5c"
    assert len(I3DFeatures().protocol["sha256"]) == 64
    assert UntrainedFeatures(seed=1).protocol != UntrainedFeatures(seed=2).protocol


def test_frames_are_resized_once_and_grey_is_repeated(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []

    class Network(torch.nn.Module):
        def forward(self, video: torch.Tensor) -> torch.Tensor:
            seen.append(video)
            return video.mean((2, 3, 4))

    monkeypatch.setattr("benchmarks.metrics.features.extractor._i3d", lambda output: Network())
    frames = torch.linspace(-1, 1, 2 * 9 * 16 * 16).reshape(2, 9, 1, 16, 16)
    rows = I3DFeatures()(frames)
    assert rows.shape == (2, 3)
    assert [video.shape for video in seen] == [(1, 3, 9, 224, 224)] * 2
    torch.testing.assert_close(rows[1, 0], frames[1].mean(), rtol=0, atol=1e-3)
    noise = torch.rand(1, 9, 3, 300, 260, generator=torch.Generator().manual_seed(0)) * 2 - 1
    I3DFeatures()(noise)
    theirs = interpolate(noise[0], (224, 224), mode="bilinear", antialias=True)
    torch.testing.assert_close(seen[-1][0].transpose(0, 1), theirs)
    seen.clear()
    I3DFeatures()(torch.zeros(1, 9, 3, 224, 224))
    assert seen[0].shape == (1, 3, 9, 224, 224)
    with pytest.raises(ValueError, match="2 channels"):
        I3DFeatures()(torch.zeros(1, 9, 2, 16, 16))
