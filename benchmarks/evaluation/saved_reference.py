"""Saved reference: what metrics need of the real clips, in one .safetensors file, with all that it depends on."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from math import isqrt
from pathlib import Path
from typing import Any, Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor

from benchmarks.evaluation.extent import Extent
from benchmarks.evaluation.feature_cache import code_of_features
from benchmarks.evaluation.feature_stream import Reading
from benchmarks.metrics.distribution import DistributionMetric
from benchmarks.metrics.features.extractor import Extractor
from benchmarks.metrics.streaming_frechet import FrechetMetric
from benchmarks.records.provenance import package_versions
from benchmarks.utils.arrays import PerClipError, digest_of, read_arrays, write_arrays
from benchmarks.utils.errors import UserError
from benchmarks.utils.hashing import content_hash
from datamodules.clip import sample_id

KIND, VERSION = "chronoreel reference statistics", 1
SUFFIX = ".safetensors"
VALUE_RANGE = "uint8 from 0 to 255 as -1 to 1"
_DAMAGED = "Make it again with --save-reference."

Holds = Literal["features", "moments"]


@dataclass(frozen=True)
class NetworkFeatures:
    """What one network saw of the reference clips.

    Args:
        network: its name.
        each_frame: whether it looked at single frames, one after the other.
        protocol: its weights' sha256 and its preprocessing.
        code: a hash of the code that reads the clips and runs the network.
        holds: "features", a row for each clip, or "moments" of ten groups of sources (see `moments.packed`).
        rows: either.
    """

    network: str
    each_frame: bool
    protocol: dict[str, str]
    code: str
    holds: Holds
    rows: Float[Tensor, "_row _width"]


@dataclass(frozen=True)
class SavedReference:
    """The reference side of an evaluation.

    Args:
        reading: which frames of each clip were read.
        extent: the size of the frames and their brightest pixel.
        data: the id of the clips, as an evaluation prints it.
        content: the sha256 over names and files of the clips.
        origins: the source of each clip.
        seen: what each network saw.
        value_range: of the frames.
    """

    reading: Reading
    extent: Extent
    data: str
    content: str
    origins: Int[Tensor, " clip"]
    seen: tuple[NetworkFeatures, ...]
    value_range: str = VALUE_RANGE

    @property
    def ids(self) -> Int[Tensor, " clip"]:
        """The ids of the clips, in the order of their names."""
        return numbered(len(self.origins))

    def seen_by(self, metric: DistributionMetric) -> NetworkFeatures | None:
        """What the network of a metric saw, by the network's name; None if it saw nothing."""
        wanted = (metric.network.name, metric.each_frame)
        return next((one for one in self.seen if (one.network, one.each_frame) == wanted), None)

    def give(self, metric: DistributionMetric) -> None:
        """Give a metric, which fits, the reference."""
        found = self.seen_by(metric)
        assert found is not None
        metric.know_origins(self.ids, self.origins)
        if found.holds == "features":
            metric.keep("target", self.ids, found.rows)
        else:
            assert isinstance(metric, FrechetMetric)
            metric.take_moments("target", self.ids, found.rows)

    def save(self, path: Path) -> None:
        """Write the file, whole or not at all."""
        arrays = {"origins": self.origins.numpy()}
        arrays |= {f"{index}/{one.holds}": one.rows.contiguous().numpy() for index, one in enumerate(self.seen)}
        text = json.dumps(
            {
                "kind": KIND,
                "version": VERSION,
                "reading": asdict(self.reading),
                "frame_sizes": self.extent.sizes,
                "brightest": self.extent.brightest,
                "value_range": self.value_range,
                "clips": len(self.origins),
                "data": self.data,
                "content": self.content,
                "networks": [
                    {
                        "network": one.network,
                        "each_frame": one.each_frame,
                        "protocol": one.protocol,
                        "code": one.code,
                        "holds": one.holds,
                    }
                    for one in self.seen
                ],
                "versions": package_versions(),
            },
            sort_keys=True,
        )
        write_arrays(path, arrays, {"reference": text, "reference_digest": content_hash([text, digest_of(arrays)])})

    @classmethod
    def read(cls, path: Path) -> "SavedReference":
        """The content of a file of `save`.

        Raises:
            UserError: if it is missing, damaged, changed, or another file.
        """
        if not path.is_file():
            raise UserError(f"There is no file {path}. {_DAMAGED}")
        try:
            arrays, metadata = read_arrays(path)
        except PerClipError as error:
            raise UserError(f"{str(error).removesuffix(' Delete it.')} {_DAMAGED}") from error
        text = metadata.get("reference")
        if text is None:
            raise UserError(f"{path} is no saved reference: it was not written by --save-reference. {_DAMAGED}")
        if metadata.get("reference_digest") != content_hash([text, digest_of(arrays)]):
            raise UserError(f"{path} was changed after it was saved: it does not match its digest. {_DAMAGED}")
        content = json.loads(text)
        if (content.get("kind"), content.get("version")) != (KIND, VERSION):
            raise UserError(
                f"{path} has version {content.get('version')}, this one reads version {VERSION}. {_DAMAGED}"
            )
        try:
            return cls._of(content, {name: torch.from_numpy(array) for name, array in arrays.items()})
        except (KeyError, TypeError, ValueError) as error:
            raise UserError(f"{path} is damaged: {type(error).__name__} {error}. {_DAMAGED}") from error

    @classmethod
    def _of(cls, content: Mapping[str, Any], arrays: Mapping[str, Tensor]) -> "SavedReference":
        seen = [
            NetworkFeatures(**one, rows=arrays[f"{index}/{one['holds']}"])
            for index, one in enumerate(content["networks"])
        ]
        for one in seen:
            if fault := _fault(one, content["clips"]):
                raise ValueError(f"its {one.holds} of {one.network} {fault}")
        if arrays["origins"].shape != (content["clips"],) or arrays["origins"].dtype != torch.int64:
            raise ValueError(f"{arrays['origins'].dtype} sources of shape {tuple(arrays['origins'].shape)}")
        sizes = tuple((int(height), int(width)) for height, width in content["frame_sizes"])
        return cls(
            Reading(**content["reading"]),
            Extent(sizes, int(content["brightest"])),
            content["data"],
            content["content"],
            arrays["origins"],
            tuple(seen),
            content["value_range"],
        )


def numbered(clips: int, first: int = 0) -> Int[Tensor, " clip"]:
    """The ids of so many clips in files, in the order of their names; `first` is the number of the first."""
    return torch.tensor([sample_id(number, 0) for number in range(first, first + clips)], dtype=torch.int64)


def seen_of(metrics: Sequence[DistributionMetric]) -> tuple[NetworkFeatures, ...]:
    """What the networks of these metrics, which have the reference, saw of it.

    Features where a metric keeps them, which serve every metric of the network; else the moments of a Fréchet metric.
    """
    found: dict[tuple[str, bool], NetworkFeatures] = {}
    for metric in metrics:
        key = metric.network.name, metric.each_frame
        if key in found and found[key].holds == "features":
            continue
        moments = metric.moments_of("target") if isinstance(metric, FrechetMetric) else None
        rows = metric.kept("target")[1] if moments is None else moments
        found[key] = NetworkFeatures(
            *key, protocol_of(metric.network), code_of_features(metric.network),
            "features" if moments is None else "moments", rows,
        )  # fmt: skip
    return tuple(found.values())


def protocol_of(network: Extractor) -> dict[str, str]:
    """A network's protocol as plain text."""
    return {key: str(value) for key, value in network.protocol.items()}


def _fault(seen: NetworkFeatures, clips: int) -> str | None:
    """What is wrong with what a network saw of so many clips, in words; None if nothing is."""
    rows = seen.rows
    if rows.ndim != 2 or not rows.is_floating_point() or not bool(rows.isfinite().all()):
        return f"are no rows of finite numbers, but {rows.dtype} of shape {tuple(rows.shape)}"
    if seen.holds == "features":
        return None if len(rows) == clips else f"have {len(rows)} rows for {clips} clips"
    width = isqrt(max(rows.shape[1] - 2, 0))
    return None if rows.shape[1] == 2 + width + width**2 else f"have {rows.shape[1]} columns"
