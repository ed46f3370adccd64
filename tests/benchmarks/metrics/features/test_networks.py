"""Inception, C3D and ResNeXt equal independent implementations, and read files of the published layouts."""

import dataclasses
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

import benchmarks.pretrained.registry as weights
from benchmarks.metrics.features import c3d, inception, resnext3d
from benchmarks.metrics.features.c3d import C3D, C3DFeatures, Recipe
from benchmarks.metrics.features.extractor import Extractor, UntrainedFeatures
from benchmarks.metrics.features.inception import Inception, InceptionFeatures
from benchmarks.metrics.features.resnext3d import ResNeXt3D, ResNeXt3DFeatures
from benchmarks.pretrained.registry import WeightsUnavailable

torchvision = pytest.importorskip("torchvision")


@pytest.fixture(autouse=True)
def local_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty cache, and a local folder for files of the published layouts, whose hashes are not checked."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("CHRONOREEL_WEIGHTS", str(tmp_path))
    unhashed = {name: dataclasses.replace(entry, sha256=None) for name, entry in weights.SOURCES.items()}
    monkeypatch.setattr(weights, "SOURCES", unhashed)
    yield tmp_path
    for cached in (inception._pretrained, c3d._pretrained, c3d._mean_clip, resnext3d._pretrained):
        cached.cache_clear()


def lively(network: nn.Module, seed: int = 0) -> nn.Module:
    """Random weights that keep the signal's size, and normalisations that do something."""
    generator = torch.Generator().manual_seed(seed)
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.Conv3d | nn.Linear):
            deviation = (2 / module.weight[0].numel()) ** 0.5
            module.weight.data.normal_(0, deviation, generator=generator)
            if module.bias is not None:
                module.bias.data.normal_(0, 0.1, generator=generator)
        elif isinstance(module, nn.BatchNorm2d | nn.BatchNorm3d):
            for values in (module.weight.data, module.running_var):
                values.uniform_(0.8, 1.2, generator=generator)  # type: ignore[union-attr]
            for values in (module.bias.data, module.running_mean):
                values.normal_(0, 0.1, generator=generator)  # type: ignore[union-attr]
    return network.eval()


def save(network: nn.Module, path: Path, prefix: str = "") -> None:
    torch.save({prefix + name: value for name, value in network.state_dict().items()}, path)


INCEPTION_FILE = "pt_inception-2015-12-05-6726825d.pth"


@pytest.fixture(scope="module")
def published_inception() -> nn.Module:
    """torchvision's network with the port's 1008 classes: the file's names and shapes, without one line of ours."""
    return lively(torchvision.models.Inception3(num_classes=1008, aux_logits=False, init_weights=False)).requires_grad_(
        False
    )


def test_inception_is_torchvisions_with_the_ports_three_changes(
    published_inception: nn.Module, local_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save(published_inception, local_folder / INCEPTION_FILE)
    frames = torch.rand(2, 1, 3, 299, 299, generator=torch.Generator().manual_seed(1)) * 2 - 1
    ours = InceptionFeatures()(frames)
    average = functional.avg_pool2d

    def pool(x: Tensor, kernel_size: int, stride: int, padding: int) -> Tensor:
        if x.shape[1] == 2048:  # what the last block pools
            return functional.max_pool2d(x, kernel_size, stride, padding)
        return average(x, kernel_size, stride, padding, count_include_pad=False)

    published_inception.fc = nn.Identity()
    monkeypatch.setattr(functional, "avg_pool2d", pool)
    theirs = published_inception(((frames[:, 0] + 1) * 127.5 - 128) / 128)
    assert ours.shape == (2, 2048)
    assert theirs.std() > 0.01
    torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-5)
    monkeypatch.undo()
    assert (published_inception(frames[:, 0]) - ours).abs().max() > 0.01  # the changes matter


def test_inception_is_torch_fidelitys(local_folder: Path) -> None:
    fidelity: ModuleType = pytest.importorskip("torch_fidelity.feature_extractor_inceptionv3")
    network = lively(torchvision.models.Inception3(num_classes=1008, aux_logits=False, init_weights=False))
    save(network, local_folder / INCEPTION_FILE)
    theirs = fidelity.FeatureExtractorInceptionV3("inception", ["2048"], str(local_folder / INCEPTION_FILE))
    pixels = torch.randint(0, 256, (2, 3, 299, 299), dtype=torch.uint8, generator=torch.Generator().manual_seed(1))
    ours = InceptionFeatures()((pixels.float() / 127.5 - 1)[:, None])
    torch.testing.assert_close(ours, theirs(pixels)[0], rtol=1e-4, atol=1e-5)


def test_inception_resizes_as_pil_does() -> None:
    """Clean-FID's resize: each channel in floats, bicubic with antialiasing, clipped; down and up."""
    from PIL import Image

    for size in (512, 64):
        pixels = torch.randint(0, 256, (size, size), generator=torch.Generator().manual_seed(2)).float()
        image = Image.fromarray(pixels.numpy()).resize((299, 299), Image.Resampling.BICUBIC)
        theirs = (np.asarray(image).clip(0, 255) - 128) / 128
        ours = inception._seen((pixels / 127.5 - 1)[None, None, None])
        assert ours.shape == (1, 3, 299, 299)
        np.testing.assert_allclose(ours[0, 1], theirs, atol=2e-4)


def test_inception_wants_single_frames() -> None:
    with pytest.raises(ValueError, match=r"one frame.* 4"):
        InceptionFeatures()(torch.zeros(2, 4, 3, 32, 32))


def chainers_max_pool(x: np.ndarray, window: tuple[int, int, int]) -> np.ndarray:
    """Max pooling that covers all of its input, by plain loops."""
    sizes = [-(-size // step) for size, step in zip(x.shape[1:], window, strict=True)]
    y = np.empty((x.shape[0], *sizes), x.dtype)
    for t, i, j in np.ndindex(*sizes):
        a, b, c = window
        y[:, t, i, j] = x[:, a * t : a * t + a, b * i : b * i + b, c * j : c * j + c].max((1, 2, 3))
    return y


def convolved(x: np.ndarray, kernel: np.ndarray, bias: np.ndarray) -> np.ndarray:
    """A 3 x 3 x 3 correlation with zeros around, as a sum over the kernel's 27 places."""
    padded = np.pad(x, ((0, 0), (1, 1), (1, 1), (1, 1)))
    _, t, h, w = x.shape
    y = np.zeros((len(kernel), t, h, w), np.float64) + bias[:, None, None, None]
    for a, b, c in np.ndindex(3, 3, 3):
        y += np.tensordot(kernel[:, :, a, b, c], padded[:, a : a + t, b : b + h, c : c + w], 1)
    return y


def test_c3d_is_caffes_layer_by_layer() -> None:
    """In numpy, on a small odd clip: convolutions, ReLUs, and poolings that round up."""
    network = C3D()
    lively(network)
    state = {name: value.double().numpy() for name, value in network.state_dict().items() if "fc" not in name}
    video = torch.randn(1, 3, 6, 14, 10, generator=torch.Generator().manual_seed(3))
    x = video[0].double().numpy()
    for layer in ("1a", "2a", "3a", "3b", "4a", "4b", "5a", "5b"):
        x = convolved(x, state[f"conv{layer}.weight"], state[f"conv{layer}.bias"]).clip(0)
        if layer in ("1a", "2a", "3b", "4b", "5b"):
            x = chainers_max_pool(x, (1, 2, 2) if layer == "1a" else (2, 2, 2))
    ours = network.convolutional(video)[0]
    assert ours.shape == (512, 1, 1, 1)
    np.testing.assert_allclose(ours, x, rtol=1e-3, atol=1e-4)
    flat = torch.randn(2, 8192, generator=torch.Generator().manual_seed(4))
    theirs = flat
    for layer in (network.fc6, network.fc7):
        theirs = (theirs @ layer.weight.T + layer.bias).clamp(min=0)
    network.output = "fc7"
    torch.testing.assert_close(network.linear(flat), theirs, rtol=1e-3, atol=1e-4)
    network.output = "logits"
    logits = theirs @ network.fc8.weight.T + network.fc8.bias
    torch.testing.assert_close(network.linear(flat), logits, rtol=1e-3, atol=1e-4)


def c3d_arrays(seed: int = 0) -> dict[str, np.ndarray]:
    """The published file's names and shapes, as Chainer writes them; without one line of ours."""
    generator = np.random.default_rng(seed)
    widths = {
        "conv1a": (64, 3), "conv2a": (128, 64), "conv3a": (256, 128), "conv3b": (256, 256),
        "conv4a": (512, 256), "conv4b": (512, 512), "conv5a": (512, 512), "conv5b": (512, 512),
        "fc6": (4096, 8192), "fc7": (4096, 4096), "fc8": (101, 4096),
    }  # fmt: skip
    arrays = {}
    for name, (outputs, inputs) in widths.items():
        shape = (outputs, inputs, 3, 3, 3) if name.startswith("conv") else (outputs, inputs)
        deviation = np.float32((2 / np.prod(shape[1:])) ** 0.5)
        arrays[f"{name}/W"] = generator.standard_normal(shape, np.float32) * deviation
        arrays[f"{name}/b"] = generator.standard_normal(outputs, np.float32) * np.float32(0.1)
    return arrays


def mean_clip() -> np.ndarray:
    return np.random.default_rng(5).random((3, 16, 128, 171), np.float32) * 255


@pytest.mark.slow
def test_c3d_reads_the_published_layout(local_folder: Path) -> None:
    arrays = c3d_arrays()
    np.savez(local_folder / "conv3d_deepnetA_ucf.npz", allow_pickle=False, **arrays)
    np.savez(local_folder / "mean2.npz", mean=mean_clip())
    frames = torch.rand(1, 16, 3, 64, 64, generator=torch.Generator().manual_seed(4)) * 2 - 1
    ours = C3DFeatures()
    ours.prepare()
    rows = ours(frames)
    assert len(ours.protocol["sha256"]) == len(ours.protocol["mean_sha256"]) == 64
    x = c3d.prepared(frames, torch.from_numpy(mean_clip()), "antialiased")
    for name in ("1a", "2a", "3a", "3b", "4a", "4b", "5a", "5b"):
        kernel, bias = (torch.from_numpy(arrays[f"conv{name}/{part}"]) for part in "Wb")
        x = functional.conv3d(x, kernel, bias, padding=1).relu()
        if name in ("1a", "2a", "3b", "4b", "5b"):
            if x.shape[-1] % 2:
                x = functional.pad(x, (0, 1, 0, 1), value=-1)
            x = functional.max_pool3d(x, (1, 2, 2) if name == "1a" else 2)
    x = x.reshape(1, 8192)
    for name in ("fc6", "fc7"):
        x = (x @ torch.from_numpy(arrays[f"{name}/W"]).T + torch.from_numpy(arrays[f"{name}/b"])).relu()
    theirs = x @ torch.from_numpy(arrays["fc8/W"]).T + torch.from_numpy(arrays["fc8/b"])
    assert theirs.std() > 0.1
    torch.testing.assert_close(rows, theirs, rtol=1e-3, atol=1e-3 * float(theirs.std()))
    assert C3DFeatures("fc7").name == "c3d_ucf101_fc7"


@pytest.mark.parametrize("recipe", ["antialiased", "tgan", "tgan2"])
def test_c3ds_recipes_are_those_of_the_released_code(recipe: Recipe) -> None:
    """Against resizes by weights that are written down here, on a ramp with noise."""
    mean = mean_clip()
    frames = torch.rand(1, 16, 3, 64, 64, generator=torch.Generator().manual_seed(6)) * 2 - 1
    ours = c3d.prepared(frames, torch.from_numpy(mean), recipe)[0].numpy()
    x = frames[0].double().numpy()  # time, red to blue, height, width
    if recipe == "tgan2":
        resize = linear_weights(64, 112)
        theirs = 128 * (resize @ x @ resize.T) + 128
        window = mean[:, :, 8:120, 8:120]
    else:
        resize = cubic_weights(64, 128, -0.75 if recipe == "tgan" else -0.5)
        x = resize @ x @ resize.T
        theirs = 128 * x + 128 if recipe == "tgan" else (x.clip(-1, 1) + 1) * 127.5
        theirs, window = theirs[..., 8:120, 8:120], mean[:, :, 8:120, 29:141]
    theirs = theirs[:, ::-1].transpose(1, 0, 2, 3) - window
    np.testing.assert_allclose(ours, theirs, atol=0.01 if recipe != "antialiased" else 0.05)


def linear_weights(size: int, to: int) -> np.ndarray:
    """The matrix of a linear resize whose corners are aligned."""
    places = np.linspace(0, size - 1, to)
    return np.clip(1 - np.abs(places[:, None] - np.arange(size)), 0, 1)


def cubic_weights(size: int, to: int, a: float) -> np.ndarray:
    """The matrix of Keys' cubic enlargement; a = -0.75 repeats the border (OpenCV), -0.5 normalises there (PIL)."""
    matrix = np.zeros((to, size))
    for row in range(to):
        place = (row + 0.5) * size / to - 0.5
        for tap in range(int(np.floor(place)) - 1, int(np.floor(place)) + 3):
            d = abs(place - tap)
            near = (a + 2) * d**3 - (a + 3) * d**2 + 1
            weight = near if d <= 1 else a * d**3 - 5 * a * d**2 + 8 * a * d - 4 * a
            if 0 <= tap < size or a == -0.75:
                matrix[row, min(max(tap, 0), size - 1)] += weight
    return matrix / matrix.sum(1, keepdims=True)


def test_c3d_wants_16_frames() -> None:
    with pytest.raises(ValueError, match=r"16 frames.* 20"):
        C3DFeatures()(torch.zeros(1, 20, 3, 64, 64))


def test_a_mean_clip_of_another_shape_is_refused(local_folder: Path) -> None:
    np.savez(local_folder / "mean2.npz", mean=np.zeros((3, 16, 112, 112), np.float32))
    with pytest.raises(WeightsUnavailable, match=r"must hold 'mean' \(3, 16, 128, 171\)"):
        c3d._mean_clip()


@pytest.fixture(scope="module")
def flat_resnext() -> nn.Module:
    """torchvision's ResNeXt-101 32x4d, of which Hara's network is the inflation."""
    resnet = torchvision.models.resnet
    return lively(
        resnet.ResNet(resnet.Bottleneck, [3, 4, 23, 3], num_classes=400, groups=32, width_per_group=4)
    ).requires_grad_(False)


def inflated(network: nn.Module) -> dict[str, Tensor]:
    """Its state with each kernel as the middle slice of a kernel over time: the published checkpoint's layout."""
    state = {}
    for name, value in network.state_dict().items():
        if value.ndim == 4:
            depth = {1: 1, 3: 3, 7: 7}[value.shape[-1]]
            kernel = torch.zeros(*value.shape[:2], depth, *value.shape[2:])
            kernel[:, :, depth // 2] = value
            value = kernel
        state[f"module.{name}"] = value
    return state


def test_resnext_is_torchvisions_inflated_and_reads_the_published_layout(
    flat_resnext: nn.Module, local_folder: Path
) -> None:
    """Of a still clip, kernels that are their middle slice see one image, whatever the strides over time."""
    checkpoint = {"arch": "resnext-101", "epoch": 160, "state_dict": inflated(flat_resnext), "optimizer": {}}
    torch.save(checkpoint, local_folder / "resnext-101-kinetics.pth")
    image = torch.rand(1, 1, 3, 112, 112, generator=torch.Generator().manual_seed(7)) * 2 - 1
    features = ResNeXt3DFeatures()
    features.prepare()
    ours = features(image.expand(-1, 16, -1, -1, -1))
    mean = torch.tensor([114.7748, 107.7354, 99.4750])[:, None, None]
    flat_resnext.fc = nn.Identity()
    theirs = flat_resnext((image[:, 0] + 1) * 127.5 - mean)
    assert ours.shape == (1, 2048)
    assert theirs.std() > 0.01
    torch.testing.assert_close(ours, theirs, rtol=1e-3, atol=1e-4 * float(theirs.max()))
    assert len(features.protocol["sha256"]) == 64


def test_resnexts_strides_over_time() -> None:
    """16 frames of 112 pixels end as 1 x 4 x 4, as Hara's pooling expects; the stem keeps the frames."""
    network = ResNeXt3D().to("meta")
    shapes = []
    for name in ("conv1", "layer1", "layer2", "layer3", "layer4"):
        network.get_submodule(name).register_forward_hook(lambda _, __, output: shapes.append(tuple(output.shape[1:])))
    network(torch.zeros(1, 3, 16, 112, 112, device="meta"))
    assert shapes == [(64, 16, 56, 56), (256, 8, 28, 28), (512, 4, 14, 14), (1024, 2, 7, 7), (2048, 1, 4, 4)]


def test_resnext_wants_16_frames() -> None:
    with pytest.raises(ValueError, match="trained on clips of 16 frames; these have 8"):
        ResNeXt3DFeatures()(torch.zeros(1, 8, 3, 64, 64))


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (lambda state: state.pop("Conv2d_1a_3x3.conv.weight"), "lacks Conv2d_1a_3x3.conv.weight"),
        (lambda state: state.update(other=torch.zeros(2)), "has other too many"),
        (
            lambda state: state.update({"Conv2d_1a_3x3.bn.bias": torch.zeros(5)}),
            r"has Conv2d_1a_3x3.bn.bias of \(5,\) instead of \(32,\)",
        ),
    ],
)
def test_another_networks_file_is_refused(
    spoil: Callable[[dict[str, Tensor]], object], says: str, local_folder: Path
) -> None:
    state = dict(Inception().state_dict())
    spoil(state)
    torch.save(state, local_folder / INCEPTION_FILE)
    with pytest.raises(WeightsUnavailable, match=says):
        InceptionFeatures().prepare()


def test_names_are_told_apart_and_say_what_is_trained() -> None:
    features: list[Extractor] = [
        InceptionFeatures(),
        ResNeXt3DFeatures(),
        UntrainedFeatures(),
        *(C3DFeatures("logits", recipe) for recipe in ("antialiased", "tgan", "tgan2")),
        C3DFeatures("fc7"),
    ]
    assert len({each.name for each in features}) == len(features)
    for each in features:
        assert {"extractor", "sha256", "resize"} <= set(each.protocol)
        assert each.protocol["extractor"] == each.name
        assert each.trained != each.name.startswith("untrained")
