"""FVD on real clips, where they and the weights are: what must be farther is farther, and I3D knows what it sees."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from skimage.io import imread

from benchmarks.cli import benchmarks
from benchmarks.metrics.features.extractor import I3DFeatures
from benchmarks.pretrained.registry import WeightsUnavailable
from datamodules.storage.video import read_video

SHARED = Path(__file__).parents[4] / "shared/data"
DOCS = Path(__file__).parents[3] / "docs/real_clips"
CLIPS, FRAMES = 24, 16
METRICS = ("fvd", "mmd")
NAMES = ("other_windows", "shuffled", "noisy")

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not (SHARED / "weizmann_actions").is_dir(), reason=f"there are no real clips in {SHARED}"),
]


def windows() -> np.ndarray:
    """All windows of 16 frames of the Weizmann actions, side by side in each film: (N, T, H, W, C)."""
    found = []
    for path in sorted((SHARED / "weizmann_actions").glob("*/*.jpg")):
        strip = imread(path)[..., :3]
        frames = strip.reshape(strip.shape[0], -1, strip.shape[0], 3).transpose(1, 0, 2, 3)
        found += [frames[start : start + FRAMES] for start in range(0, len(frames) - FRAMES + 1, FRAMES)]
    return np.stack(found)


def write_sets(folder: Path) -> None:
    """The even windows for reference; the odd ones as they are, with their frames shuffled, and with noise."""
    clips, random = windows(), np.random.default_rng(0)
    odd = clips[1::2]
    order = np.stack([random.permutation(FRAMES) for _ in odd])
    noise = random.normal(0, 25, odd.shape)
    sets = {
        "reference": clips[::2],
        "other_windows": odd,
        "shuffled": np.take_along_axis(odd, order[:, :, None, None, None], axis=1),
        "noisy": (odd + noise).round().clip(0, 255).astype(np.uint8),
    }
    for name, frames in sets.items():
        np.save(folder / f"{name}.npy", frames)


def scores(folder: Path, name: str) -> dict[str, float]:
    """What `benchmarks evaluate` says of a set against the reference, by measure."""
    words = ["--generated", folder / f"{name}.npy", "--reference", folder / "reference.npy"]
    words += ["--metrics", *METRICS, "--clips", CLIPS, "--json", folder / f"{name}.json"]
    with pytest.raises(SystemExit) as end:
        benchmarks(["evaluate", *map(str, words)])
    assert not end.value.code
    return read_scores(folder / f"{name}.json")


def read_scores(path: Path) -> dict[str, float]:
    metrics = json.loads(path.read_text())["metrics"]
    return {name.partition(str(CLIPS))[0]: entry["value"] for name, entry in metrics.items()}


def check_order(found: dict[str, dict[str, float]]) -> None:
    """Other windows of the same films are nearest, shuffled frames farther, noise by far the farthest."""
    for metric in METRICS:
        near, shuffled, noisy = (found[name][metric] for name in NAMES)
        assert near < shuffled / 1.5, metric
        assert shuffled < noisy / 1.5, metric


def test_fvd_of_real_clips_orders_other_windows_shuffled_frames_and_noise(tmp_path: Path) -> None:
    try:
        I3DFeatures().prepare()
    except WeightsUnavailable as reason:
        pytest.skip(str(reason))
    write_sets(tmp_path)
    found = {name: scores(tmp_path, name) for name in NAMES}
    check_order(found)
    for name in NAMES:  # and they are the numbers that the documentation has
        assert found[name] == pytest.approx(read_scores(DOCS / f"{name}.json"), rel=1e-3)


ACTIONS = {"v_CricketShot_g04_c01_rgb.gif": 227, "v_SoccerJuggling_g23_c01.avi": 171, "basketball.mp4": 107}
"""Kinetics' numbers of "playing cricket", "juggling soccer ball" and "dunking basketball", in alphabetical order."""


@pytest.mark.parametrize("name", ACTIONS)
def test_i3d_names_the_action_in_a_real_clip(name: str) -> None:
    path = SHARED / "clips" / name
    if not path.is_file():
        pytest.skip(f"{path} is not there")
    try:
        I3DFeatures().prepare()
    except WeightsUnavailable as reason:
        pytest.skip(str(reason))
    frames = read_video(path).frames
    step = max(1, len(frames) // 32)
    clip = torch.from_numpy(np.ascontiguousarray(frames[: 32 * step : step])).float() / 127.5 - 1
    probabilities = I3DFeatures()(clip[None])[0].softmax(0)
    assert int(probabilities.argmax()) == ACTIONS[name]
    assert float(probabilities.max()) > 0.5
