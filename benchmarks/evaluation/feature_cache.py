"""Features of reference clips, kept by the content of the clips and all that is done to them, so as to be made once."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from benchmarks.metrics.features.extractor import Extractor
from benchmarks.records.provenance import code_of_paths
from benchmarks.utils.arrays import PerClipError, read_arrays, write_arrays
from benchmarks.utils.hashing import content_hash

FORMAT = 1

Features = Float[Tensor, "clip feature"]


def cache_folder() -> Path:
    """Where features are kept; it may be deleted at any time."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "chronoreel" / "features"


def key_of(content: Any, reading: dict[str, Any], network: Extractor) -> str:
    """The hash of the clips' content, how they are read, the network with its protocol, and the code that it runs.

    Args:
        content: plain data that says what the clips are: hashes of their files.
        reading: plain data that says which frames are taken and what is done to them.
        network: what makes the features.
    """
    code = code_of_features(network)
    return content_hash(
        [FORMAT, content, reading, network.name, network.protocol, code, torch.__version__.partition("+")[0]]
    )


def code_of_features(network: Extractor) -> str:
    """A hash of the code that reads clips and runs a network."""
    made_by = f"{type(network).__module__}.{type(network).__qualname__}"
    return code_of_paths([made_by, "datamodules.storage.video", "benchmarks.evaluation.video_files"]).sha256


def cached_features(key: str, clips: int, compute: Callable[[], Features]) -> tuple[Features, str]:
    """The features of these clips: from the cache, or computed and put there, whole or not at all.

    A file that cannot be read, whose content has changed or that holds another number of clips is replaced.

    Args:
        key: from `key_of`.
        clips: how many rows there must be.
        compute: makes the features.

    Returns:
        The features, and where they come from, in words.
    """
    path = cache_folder() / f"{key}.safetensors"
    how = "computed and kept"
    if path.is_file():
        try:
            arrays, metadata = read_arrays(path)
            features = torch.from_numpy(arrays["features"])
            if metadata.get("key") == key and features.shape[0] == clips:
                return features, "from the cache"
            how = "computed anew: the cached file was another's"
        except (PerClipError, KeyError):
            how = "computed anew: the cached file was damaged"
    features = compute().cpu()
    write_arrays(path, {"features": features.contiguous().numpy()}, {"key": key})
    return features, how
