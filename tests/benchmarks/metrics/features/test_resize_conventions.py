"""The field's two ways to make frames of 224 pixels: they differ above 224 and agree at it."""

import pytest
import torch
from torch.nn.functional import interpolate
from torch.testing import assert_close

from benchmarks.metrics.features.extractor import I3DFeatures


def test_stylegan_vs_resize_is_plain_bilinear_and_ours_is_antialiased() -> None:
    frames = torch.rand(1, 2, 3, 360, 640, generator=torch.Generator().manual_seed(0)) * 2 - 1
    ours, theirs = I3DFeatures(), I3DFeatures(resize="stylegan-v")
    plain = interpolate(frames.flatten(0, 1), (224, 224), mode="bilinear", align_corners=False)
    seen = theirs._seen(frames)
    assert_close(seen.transpose(1, 2).flatten(0, 1), plain)
    assert (ours._seen(frames) - seen).abs().mean() > 0.1  # noise: a mean over 2.9 x 1.6 pixels against four samples


@pytest.mark.parametrize("size", [64, 224])
def test_both_agree_up_to_224(size: int) -> None:
    frames = torch.rand(1, 2, 3, size, size, generator=torch.Generator().manual_seed(0)) * 2 - 1
    assert_close(I3DFeatures()._seen(frames), I3DFeatures(resize="stylegan-v")._seen(frames), atol=1e-5, rtol=0)


def test_each_has_its_name_and_its_protocol() -> None:
    ours, theirs = I3DFeatures(), I3DFeatures(resize="stylegan-v")
    assert (ours.name, theirs.name) == ("i3d_logits", "i3d_logits_stylegan_v")
    assert ours.protocol["resize"] == "224x224 bilinear antialiased"
    assert theirs.protocol["resize"] == "224x224 bilinear not antialiased"
