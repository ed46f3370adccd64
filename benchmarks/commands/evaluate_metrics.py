"""Metrics of `benchmarks evaluate`: from a short name, a class path, a file or YAML, for so many clips."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import yaml

from benchmarks.config.bounded_yaml import read_yaml_text
from benchmarks.config.build import build
from benchmarks.config.resolve import full_class_paths, is_config_file, read_config
from benchmarks.metrics.names import PAIRED, SETS
from benchmarks.utils.errors import UserError, unknown_name_error


def metric_config(name: str) -> dict[str, Any]:
    """The configuration of a metric given as a short name, a class path, a file, or YAML."""
    if name in SETS or name in PAIRED:
        return {**SETS, **PAIRED}[name]
    if is_config_file(name):
        return read_config(Path(name))
    try:
        config = read_yaml_text(name) if name.lstrip().startswith("{") else {"class_path": name}
    except yaml.YAMLError as error:
        raise UserError(f"A metric is a name or YAML; got '{name[:80]}': {error}.") from error
    config = full_class_paths(config)
    if "." not in config.get("class_path", ""):
        raise unknown_name_error("metric", name, [*SETS, *PAIRED])
    return dict(config)


def build_metric(
    config: Mapping[str, Any],
    frames: int,
    clips: int,
    reference: int | None = None,
    reference_clips: int | Literal["all"] | None = None,
) -> Any:
    """The metric of a configuration; a distribution metric gets its frames and clips as arguments.

    Args:
        config: from `metric_config`.
        frames: of each clip.
        clips: the number of generated clips.
        reference: the number of reference clips, if it is another.
        reference_clips: the metric's argument, for two sets of their own.
    """
    if not compares_sets(config):
        return _built(config)
    given = {key: value for key, value in (config.get("init_args") or {}).items() if key != "reference_clips"}
    if given.get("start") is not None:
        raise UserError(
            f"`start` chooses frames of longer predictions; the first frames of each file are compared here, so "
            f"start={given['start']} cannot be. Leave it out, or cut the files."
        )
    given["frames"] = frames
    if reference_clips is None:
        return _built({**config, "init_args": {**given, "clips": clips}})
    sides = _built({**config, "init_args": {**given, "clips": None}}).sides
    if len(sides) > 1:
        given["reference_clips"] = reference_clips
    return _built({**config, "init_args": {**given, "clips": reference if sides == ("target",) else clips}})


def compares_sets(config: Mapping[str, Any]) -> bool:
    """Whether a metric compares two distributions of clips, not each clip with its target."""
    from benchmarks.config.signatures import class_named
    from benchmarks.metrics.base import ClipMetric
    from benchmarks.metrics.distribution import DistributionMetric
    from benchmarks.metrics.reference import ReferenceMetric

    cls = class_named(config["class_path"], (ClipMetric,))
    if not issubclass(cls, DistributionMetric | ReferenceMetric):
        raise UserError(
            f"{cls.__name__} is neither a {DistributionMetric.__name__} nor a {ReferenceMetric.__name__}: it cannot "
            "score videos alone."
        )
    return issubclass(cls, DistributionMetric)


def _built(config: Mapping[str, Any]) -> Any:
    from benchmarks.metrics.base import ClipMetric

    return build(ClipMetric, config, config["class_path"].rpartition(".")[2])  # type: ignore[type-abstract]
