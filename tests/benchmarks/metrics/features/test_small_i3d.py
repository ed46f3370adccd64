"""I3D at a small size is the same network: at 224 pixels it gives FVD's own logits."""

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from benchmarks.metrics.features import small_i3d
from benchmarks.metrics.features.extractor import I3DFeatures
from benchmarks.metrics.features.i3d import I3D
from benchmarks.metrics.features.small_i3d import SmallI3DFeatures
from benchmarks.pretrained.registry import WeightsUnavailable


@pytest.fixture
def random_network(monkeypatch: pytest.MonkeyPatch) -> I3D:
    """One network, small in nothing but its weights, in the place of the published one."""
    network = I3D("mixed5c")
    monkeypatch.setattr(small_i3d, "_network", lambda: network)
    return network


def test_it_is_the_head_on_the_mean_of_the_last_block(random_network: I3D) -> None:
    frames = torch.rand(5, 9, 3, 40, 40) * 2 - 1
    theirs = random_network(torch.nn.functional.interpolate(frames.flatten(0, 1), 32, mode="bilinear", antialias=True)
                            .unflatten(0, (5, 9)).transpose(1, 2))  # fmt: skip
    head = random_network.get_submodule("Logits.Conv3d_0c_1x1")
    assert isinstance(head.weight, Tensor)
    assert isinstance(head.bias, Tensor)
    assert_close(SmallI3DFeatures()(frames), theirs @ head.weight.flatten(1).T + head.bias, rtol=1e-4, atol=1e-4)


def test_grey_clips_are_seen_in_three_channels(random_network: I3D) -> None:
    grey = torch.rand(2, 9, 1, 32, 32) * 2 - 1
    assert_close(SmallI3DFeatures()(grey), SmallI3DFeatures()(grey.expand(-1, -1, 3, -1, -1)))


def test_its_name_and_protocol_say_the_size() -> None:
    assert SmallI3DFeatures(64).name == "i3d_logits_at_64px"
    assert SmallI3DFeatures(64).protocol["sha256"] == I3DFeatures().protocol["sha256"]
    assert SmallI3DFeatures(64).protocol["resize"].startswith("64x64")


def test_frames_that_the_network_would_halve_to_nothing_are_refused() -> None:
    with pytest.raises(ValueError, match=r"32 pixels.*16"):
        SmallI3DFeatures(16)


@pytest.mark.slow
def test_the_published_network_tells_motion_from_noise() -> None:
    try:
        SmallI3DFeatures().prepare()
    except WeightsUnavailable as reason:
        pytest.skip(str(reason))
    still = torch.linspace(-1, 1, 32).expand(4, 16, 3, 32, 32)
    rows = SmallI3DFeatures()(torch.cat([still, torch.randn(4, 16, 3, 32, 32).clamp(-1, 1)]))
    assert (rows[:4] - rows[4:]).norm(dim=1).min() > 10
