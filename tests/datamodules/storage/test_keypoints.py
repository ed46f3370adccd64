import pickle
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from datamodules.base.clip_source import KeypointSource
from datamodules.sampling import Regular
from datamodules.storage.archives import MissingData
from datamodules.storage.detectors import FaceDetector, PoseDetector, pose_weights
from datamodules.storage.keypoints import (
    COCO_JOINTS,
    COCO_PAIRS,
    FACE_13,
    FACE_PAIRS,
    fill_gaps,
    joints_kept,
    missing_share,
    pairs_kept,
    to_store,
)
from datamodules.storage.store import ClipStore, StoreError
from datamodules.uva_nemo import UvANEMO
from datamodules.weizmann import WeizmannStrips
from support.preparing import film, run

EIGHT: Any = Regular(num_frames=8, start="first")


@pytest.fixture
def strips(shared: Path, tmp_path: Path) -> dict[str, Any]:
    folder = tmp_path / "archives"
    folder.mkdir()
    (folder / "strips").symlink_to(shared / "data" / "weizmann_actions")
    (folder / "weizmann_keypoints.npz").symlink_to(shared / "data" / "weizmann_keypoints.npz")
    return {"root": str(tmp_path), "archives": str(folder), "sampling": EIGHT, "batch_size": 4, "size": 64}


class Spot:
    """Finds the brightest pixel, twice; sees nothing in a picture that has none."""

    name = "spot"

    def detect(self, frames: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        flat = frames.mean(axis=1).reshape(len(frames), -1)
        y, x = np.divmod(flat.argmax(axis=1), frames.shape[3])
        points = np.stack([x, y], axis=-1).astype(np.float32)[:, None].repeat(2, axis=1)
        seen = (flat.max(axis=1) > 100).astype(np.float32)[:, None].repeat(2, axis=1)
        points[seen[:, 0] == 0] = np.nan
        return points, seen


def test_real_keypoints_come_with_the_strips(
    strips: dict[str, Any], shared: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [f"--set=root={strips['root']}", f"--set=archives={strips['archives']}"]
    assert run("prepare", "weizmann_strips_keypoints", *words) == 0, capsys.readouterr().err
    data = WeizmannStrips(keypoints=True, **strips)
    assert isinstance(data.source("train"), KeypointSource)
    batch = next(iter(data.test_dataloader()))
    assert batch.clip.keypoints.shape == (4, 8, 17, 2)
    with np.load(shared / "data" / "weizmann_keypoints.npz") as content:
        theirs = content["1_00000064"][:8]
    seen = theirs[..., 2] >= 0.2
    assert seen.mean() > 0.7
    assert np.array_equal(batch.clip.keypoints[1].numpy()[seen], theirs[..., :2][seen])
    assert np.array_equal(batch.clip.confidence[1].numpy(), theirs[..., 2])
    plain = next(iter(WeizmannStrips(**strips).test_dataloader()))
    assert torch.equal(plain.clip.frames, batch.clip.frames)
    assert data.data_id("test") != WeizmannStrips(**strips).data_id("test")


def test_ankles_can_be_dropped_and_joints_weighed(strips: dict[str, Any]) -> None:
    whole = WeizmannStrips(keypoints=True, **strips)
    whole.prepare_data()
    some = WeizmannStrips(keypoints=True, drop_joints=[15, 16], joint_weights={0: 0.5}, frame_rate=12.5, **strips)
    one, other = whole.source("train"), some.source("train")
    assert isinstance(one, KeypointSource)
    assert isinstance(other, KeypointSource)
    clips, frames = np.array([3, 20]), np.array([[0, 2, 5], [1, 4, 6]])
    points, sure = one.read_keypoints(clips, 2 * frames)
    fewer, weighed = other.read_keypoints(clips, frames)
    assert np.array_equal(fewer, points[:, :, :15])
    assert np.array_equal(weighed[..., 1:], sure[:, :, 1:15])
    assert np.array_equal(weighed[..., 0], sure[..., 0] / 2)
    again = pickle.loads(pickle.dumps(other))
    assert np.array_equal(again.read_keypoints(clips, frames)[0], fewer)
    assert again.fingerprint == other.fingerprint
    assert some.joint_pairs == COCO_PAIRS[:-1]
    assert len({whole.data_id("train"), some.data_id("train")}) == 2


def test_keypoints_that_nobody_looked_for_are_not_made_up(strips: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / "archives" / "weizmann_keypoints.npz").unlink()
    with pytest.raises(StoreError, match=r"no body keypoints.*benchmarks prepare ... --keypoints"):
        WeizmannStrips(keypoints=True, **strips).prepare_data()
    with pytest.raises(ValueError, match="set `keypoints` too"):
        WeizmannStrips(drop_joints=[3], **strips)
    with pytest.raises(ValueError, match="from 0 to 16; got 17"):
        WeizmannStrips(keypoints=True, drop_joints=[17], **strips)
    with pytest.raises(ValueError, match=r"from 0 to 1, for joints from 0 to 16; got 2: 3"):
        WeizmannStrips(keypoints=True, joint_weights={2: 3.0}, **strips)


def test_a_detector_looks_at_larger_pictures_and_clips_with_too_few_sights_are_left_out(tmp_path: Path) -> None:
    folder = tmp_path / "archives" / "uva-nemo" / "UvA-NEMO"
    folder.mkdir(parents=True)
    from datamodules.storage.video_writer import write_video

    for number, dark in enumerate((0, 2, 3)):  # of ten frames
        frames = np.zeros((10, 3, 64, 64), dtype=np.uint8)
        for frame in range(dark, 10):
            frames[frame, :, 8 * number : 8 * number + 8, 4 * frame : 4 * frame + 8] = 255
        write_video(folder / f"{number:03}_deliberate_smile_1.mp4", frames, 50)
    data = UvANEMO(root=str(tmp_path), size=16, sampling=EIGHT)
    assert data.prepare_keypoints(Spot(), size=64) == ["002_deliberate_smile_1"]
    store = ClipStore.open(data.path)
    with np.load(data.path / "keypoints-face.npz") as content:
        points = content["points"].reshape(3, 10, 2, 2)
    pixels = (points[0, :, 0, 0] + 1) / 2 * 15
    assert np.allclose(np.diff(pixels), 1, atol=0.3)  # 4 of 64 pixels are 1 of 16
    assert (points[1, :3, 0] == points[1, 2, 0]).all()  # gaps before the first sight
    assert store.index["clips"][2]["length"] == 10
    data.joints = WeizmannStrips(keypoints=True, sampling=EIGHT).joints._replace(kind="face")  # type: ignore[union-attr]
    with pytest.warns(UserWarning, match="1 clips are left out.*002_deliberate"):
        assert len(data.open("train")) == 2


def test_a_folder_of_videos_has_keypoints_too(tmp_path: Path) -> None:
    from datamodules.storage.video_writer import write_video
    from datamodules.video_folder import VideoFolder

    for number in range(4):
        frames = np.zeros((12, 3, 64, 64), dtype=np.uint8)
        frames[:, :, 16 * number : 16 * number + 8, 24:32] = 255
        write_video(tmp_path / "films" / ("train" if number < 3 else "test") / f"{number}.mp4", frames, 24)
    options: dict[str, Any] = {"root": str(tmp_path), "size": 16, "frame_rate": 12.0, "sampling": Regular(num_frames=4)}
    data = VideoFolder(str(tmp_path / "films"), keypoints="face", drop_joints=[1], **options)
    assert data.prepare_keypoints(Spot(), size=64) == []
    data.joints = data.joints._replace(drop=(1,))  # type: ignore[union-attr]
    batch = next(iter(data.test_dataloader()))
    assert batch.clip.keypoints.shape == (1, 4, 1, 2)
    rows = (batch.clip.keypoints[..., 1] + 1) / 2 * 15
    assert torch.allclose(rows, torch.full_like(rows, 12.5), atol=1.1)  # 48 to 56 of 64 are 12 to 14 of 16
    assert data.data_id("test") != VideoFolder(str(tmp_path / "films"), **options).data_id("test")


def test_coordinates_of_one_size_become_those_of_another() -> None:
    pixels = np.array([[[-0.5, -0.5], [31.5, 63.5], [15.5, 31.5]]], dtype=np.float32)  # corners and centre of 64x32
    ours = to_store(pixels, (64, 32), (16, 8))
    edge_x, edge_y = 8 / 7, 16 / 15  # half a pixel beyond the centres of the outer ones
    assert np.allclose(ours[0], [[-edge_x, -edge_y], [edge_x, edge_y], [0, 0]], atol=1e-6)
    assert np.allclose(
        to_store(np.array([[[0.0, 0.0], [15.0, 15.0]]], np.float32), (16, 16), (16, 16)), [[[-1, -1], [1, 1]]]
    )


def test_gaps_are_filled_on_straight_lines() -> None:
    points = np.full((6, 2, 2), np.nan, dtype=np.float32)
    scores = np.zeros((6, 2), dtype=np.float32)
    points[1, 0], points[4, 0], scores[[1, 4], 0] = (0.0, 0.3), (0.6, -0.3), 0.9
    points[2, 0], scores[2, 0] = (5.0, 5.0), 0.1  # a guess that is not trusted
    filled = fill_gaps(points, scores)
    assert np.allclose(filled[:, 0, 0], [0, 0, 0.2, 0.4, 0.6, 0.6])
    assert np.allclose(filled[:, 0, 1], [0.3, 0.3, 0.1, -0.1, -0.3, -0.3])
    assert (filled[:, 1] == 0).all()
    assert missing_share(np.array([[0.9, 0.9], [0.9, 0.1], [0.1, 0.0], [0.5, 0.5]], np.float32)) == 0.25


def test_pairs_are_mirror_images() -> None:
    assert {COCO_JOINTS[left].replace("left", "right") for left, _ in COCO_PAIRS} == {
        COCO_JOINTS[r] for _, r in COCO_PAIRS
    }
    assert pairs_kept(COCO_PAIRS, joints_kept(17, [0, 16])) == tuple((n, n + 1) for n in range(0, 14, 2))
    # of the 68: jaw 0-16, brows 17-26, eyes 36-47, mouth 48-59, mirrored by hand
    mirror = {1: 15, 19: 24, 37: 44, 41: 46, 48: 54}
    assert {FACE_13[a] - 1: FACE_13[b] - 1 for a, b in FACE_PAIRS} == mirror


def test_weights_that_cannot_be_had_are_named_with_their_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.delenv("CHRONOREEL_WEIGHTS", raising=False)
    monkeypatch.setattr("datamodules.storage.detectors.POSE_URL", (tmp_path / "none" / "x-fc266e95.pth").as_uri())
    with pytest.raises(MissingData, match=r"cannot be downloaded: file:.*put it into .*weights"):
        pose_weights()
    cache = tmp_path / "chronoreel" / "weights"
    cache.mkdir(parents=True, exist_ok=True)
    (cache / "x-fc266e95.pth").write_bytes(b"something else")
    with pytest.raises(MissingData, match="should begin with fc266e95"):
        pose_weights()


def test_a_persons_joints_are_those_of_the_surest(monkeypatch: pytest.MonkeyPatch) -> None:
    detector = PoseDetector.__new__(PoseDetector)
    detector.device, detector.least = torch.device("cpu"), 0.5
    body = torch.rand(17, 3) * 20
    answers = [
        {
            "scores": torch.tensor([0.9, 0.6]),
            "keypoints": torch.stack([body, body + 7]),
            "keypoints_scores": torch.zeros(2, 17),
        },
        {"scores": torch.tensor([0.4]), "keypoints": body[None], "keypoints_scores": torch.zeros(1, 17)},
        {"scores": torch.zeros(0), "keypoints": torch.zeros(0, 17, 3), "keypoints_scores": torch.zeros(0, 17)},
    ]
    detector.network = lambda pictures: [answers.pop(0)]
    points, scores = detector.detect(np.zeros((3, 3, 20, 20), dtype=np.uint8))
    assert np.allclose(points[0], body[:, :2] - 0.5)
    assert np.allclose(scores[0], 0.45)
    assert np.isnan(points[1:]).all()
    assert (scores[1:] == 0).all()


def test_a_face_is_thirteen_of_its_sixty_eight_points(monkeypatch: pytest.MonkeyPatch) -> None:
    face = np.stack([np.arange(68.0), 100 - np.arange(68.0)], axis=1).astype(np.float32)

    class Alignment:
        def __init__(self, *_: Any, **__: Any) -> None:
            self.answers = [
                ([face / 9, face], [np.full((68, 1), 0.3), np.full((68, 1), 0.8)], None),
                (None, None, None),
            ]

        def get_landmarks_from_image(self, picture: np.ndarray, return_landmark_scores: bool) -> Any:
            assert picture.shape == (30, 20, 3)
            return self.answers.pop(0)

    package = SimpleNamespace(FaceAlignment=Alignment, LandmarksType=SimpleNamespace(TWO_D=1))
    monkeypatch.setitem(sys.modules, "face_alignment", package)
    points, scores = FaceDetector().detect(np.zeros((2, 3, 30, 20), dtype=np.uint8))
    assert points[0, :, 0].tolist() == [1, 8, 15, 19, 24, 37, 41, 44, 46, 48, 51, 54, 57]  # counted from 0
    assert np.allclose(scores[0], 0.8)
    assert np.isnan(points[1]).all()
    monkeypatch.setitem(sys.modules, "face_alignment", None)
    with pytest.raises(MissingData, match=r"pip install 'chronoreel\[faces\]'"):
        FaceDetector()


@pytest.mark.slow
def test_keypoint_r_cnn_takes_a_state_dict_of_torchvisions_layout(tmp_path: Path) -> None:
    from torchvision.models.detection import keypointrcnn_resnet50_fpn

    torch.manual_seed(0)
    network = keypointrcnn_resnet50_fpn(weights=None, weights_backbone=None)
    torch.save(network.state_dict(), tmp_path / "pose.pth")
    points, scores = PoseDetector(tmp_path / "pose.pth", least=0.0, min_size=64).detect(
        np.zeros((1, 3, 64, 48), np.uint8)
    )
    assert points.shape == (1, 17, 2)
    assert ((scores >= 0) & (scores <= 1)).all()
    (tmp_path / "pose.pth").write_bytes(b"torn")
    with pytest.raises(MissingData, match="is not torchvision's Keypoint R-CNN"):
        PoseDetector(tmp_path / "pose.pth")


def test_the_command_says_what_the_detector_lacks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    folder = tmp_path / "archives" / "uva-nemo" / "UvA-NEMO"
    folder.mkdir(parents=True)
    film(folder / "001_deliberate_smile_1.mp4", 100, 60, 50.0)
    monkeypatch.setitem(sys.modules, "face_alignment", None)
    assert run("prepare", "uva_nemo", "--keypoints", "--size=16", f"--set=root={tmp_path}") == 2
    assert "face-alignment: pip install" in capsys.readouterr().err
    monkeypatch.setattr("datamodules.storage.detectors.FaceDetector", Spot)
    monkeypatch.setattr(Spot, "__init__", lambda self: None)
    assert run("prepare", "uva_nemo", "--keypoints", "--size=16", f"--set=root={tmp_path}") == 0
    assert "too few detections" in capsys.readouterr().out
