"""Detectors: pretrained networks that detect the 17 joints of a body or the 68 points of a face in frames."""

import os
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float32, UInt8

from datamodules.storage.archives import MissingData
from datamodules.storage.download import DownloadError, download, file_sha256
from datamodules.storage.keypoints import FACE_13, Detector

POSE_URL = "https://download.pytorch.org/models/keypointrcnn_resnet50_fpn_coco-fc266e95.pth"
"""torchvision's Keypoint R-CNN, COCO_V1 (BSD); the file name ends with the first digits of its sha256."""
_POSE_SHA256 = "fc266e95"

Pixels = Float32[np.ndarray, "frames joints 2"]
Scores = Float32[np.ndarray, "frames joints"]


def detector_of(kind: str) -> Detector:
    """The default detector of "body" or "face" keypoints."""
    return FaceDetector() if kind == "face" else PoseDetector()


class PoseDetector:
    """torchvision's Keypoint R-CNN (He et al., Mask R-CNN, ICCV 2017): the 17 joints of the highest-scoring person.

    A joint's confidence is the person's score times the sigmoid of the joint's own score, which is a logit.

    Args:
        weights: torchvision's state dict; None is the one in `CHRONOREEL_WEIGHTS` or the cache, else it is downloaded.
        least: the minimum score of a person.
        min_size: the shorter side that frames are enlarged to, in pixels.

    Raises:
        MissingData: if the weights are not available.
    """

    name = "torchvision keypointrcnn_resnet50_fpn COCO_V1"

    def __init__(self, weights: Path | None = None, *, least: float = 0.5, min_size: int = 800) -> None:
        from torchvision.models.detection import keypointrcnn_resnet50_fpn

        network = keypointrcnn_resnet50_fpn(weights=None, weights_backbone=None, min_size=min_size, max_size=1333)
        path = weights or pose_weights()
        try:
            network.load_state_dict(torch.load(path, map_location="cpu", weights_only=True))
        except Exception as error:  # for a truncated file the unpickler raises IndexError, among others
            raise MissingData(
                f"{path} is not torchvision's Keypoint R-CNN ({str(error)[:200]}). Download it again."
            ) from error
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self.network: Any = network.eval().to(self.device)
        self.least = least

    @torch.no_grad()
    def detect(self, frames: UInt8[np.ndarray, "frames 3 height width"]) -> tuple[Pixels, Scores]:
        """x then y in pixels (0 is the centre of the first pixel), and confidence; 0 where no person is detected."""
        points = np.full((len(frames), 17, 2), np.nan, dtype=np.float32)
        scores = np.zeros((len(frames), 17), dtype=np.float32)
        for number, frame in enumerate(frames):
            picture = torch.from_numpy(frame).to(self.device).float() / 255
            found = self.network([picture])[0]
            if len(found["scores"]) and float(found["scores"][0]) >= self.least:  # sorted, the highest score first
                # the network's coordinates start at the border of the first pixel, ours at its centre
                points[number] = found["keypoints"][0, :, :2].cpu().numpy() - 0.5
                scores[number] = (found["scores"][0] * found["keypoints_scores"][0].sigmoid()).cpu().numpy()
        return points, scores


class FaceDetector:
    """The `face-alignment` package (Bulat and Tzimiropoulos, ICCV 2017): MODE-GAN's 13 of the 68 points of a face.

    Raises:
        MissingData: if the package is not installed or its weights are not available.
    """

    name = "face-alignment 2D, 13 of 68"

    def __init__(self) -> None:
        try:
            import face_alignment
        except ImportError as error:
            raise MissingData("Faces are detected with face-alignment: pip install 'chronoreel[faces]'.") from error
        device = "cuda" if torch.cuda.is_available() else "cpu"
        try:
            self.network = face_alignment.FaceAlignment(
                face_alignment.LandmarksType.TWO_D, device=device, flip_input=False
            )
        except OSError as error:
            raise MissingData(f"face-alignment cannot download its weights ({error}).") from error

    def detect(self, frames: UInt8[np.ndarray, "frames 3 height width"]) -> tuple[Pixels, Scores]:
        """x then y in pixels (0 is the centre of the first pixel), and confidence; 0 where no face is detected."""
        chosen = np.array(FACE_13) - 1
        points = np.full((len(frames), 13, 2), np.nan, dtype=np.float32)
        scores = np.zeros((len(frames), 13), dtype=np.float32)
        for number, frame in enumerate(frames):
            with warnings.catch_warnings():
                warnings.filterwarnings("ignore", message="No faces were detected")
                found, sure, _ = self.network.get_landmarks_from_image(
                    np.ascontiguousarray(frame.transpose(1, 2, 0)), return_landmark_scores=True
                )
            if found is not None and len(found):
                largest = int(np.argmax([np.ptp(face, axis=0).prod() for face in found]))
                points[number] = np.asarray(found[largest], dtype=np.float32)[chosen, :2]
                scores[number] = np.asarray(sure[largest], dtype=np.float32).reshape(68)[chosen]
        return points, np.clip(scores, 0, 1)


def pose_weights() -> Path:
    """The weights of Keypoint R-CNN: from the folder CHRONOREEL_WEIGHTS, or the cache, or downloaded into it.

    Raises:
        MissingData: if they cannot be downloaded, or the cached file has another sha256.
    """
    name = POSE_URL.rpartition("/")[2]
    own = os.environ.get("CHRONOREEL_WEIGHTS")
    if own and (Path(own) / name).exists():
        return Path(own) / name
    cache = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "chronoreel" / "weights"
    path = cache / name
    if not path.exists():
        try:
            download(POSE_URL, path, sha256=_POSE_SHA256)
        except DownloadError as error:
            raise MissingData(
                f"The weights of Keypoint R-CNN cannot be downloaded: {error} Download {name} elsewhere and put it "
                f"into {cache} or into the folder that CHRONOREEL_WEIGHTS names."
            ) from error
    digest = file_sha256(path)
    if not digest.startswith(_POSE_SHA256):
        raise MissingData(f"{path} has sha256 {digest}, which should begin with {_POSE_SHA256}. Delete it and retry.")
    return path
