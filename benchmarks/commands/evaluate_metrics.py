"""Metrics of `benchmarks evaluate`: from a short name, a class path, a file or YAML, for so many clips."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import yaml

from benchmarks.commands.evaluate_counts import Counts
from benchmarks.config.bounded_yaml import read_yaml_text
from benchmarks.config.build import build
from benchmarks.config.resolve import full_class_paths, is_config_file, read_config
from benchmarks.metrics.names import PAIRED, SETS
from benchmarks.metrics.naming import metric_name
from benchmarks.records.parts import Measurement
from benchmarks.utils.errors import UserError, unknown_name_error

Config = Mapping[str, Any]

_LONG = 64
"""Frames that every network is content with."""


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
    config: Config,
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
    return _built(_for_clips(config, frames, clips, reference, reference_clips))


def build_metrics(
    configs: Mapping[str, Config], frames: int, counts: Counts, *, none_is_fine: bool = False
) -> tuple[dict[str, Any], dict[str, Measurement]]:
    """The metrics of configurations, by the name they were given, and those that these clips are too few or short for.

    Raises:
        UserError: if a configuration is wrong for any clips, or no metric is left.
    """
    built, unfit = {}, {}
    clips = counts.generated or counts.reference, counts.reference, counts.asked
    for name, config in configs.items():
        try:
            built[name] = build_metric(config, frames, *clips)
        except UserError as error:
            if not compares_sets(config):
                raise
            whole = _any_clips(config)  # raises what is wrong for any clips
            called = metric_name(_for_clips(config, frames, *clips)) or name
            unfit[called] = Measurement.missing(str(error), higher_is_better=whole.higher_is_better)
    if unfit and not built and not none_is_fine:
        raise UserError(str(next(iter(unfit.values())).reason))
    return built, unfit


def compares_sets(config: Config) -> bool:
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


def _for_clips(
    config: Config, frames: int, clips: int, reference: int | None, reference_clips: int | Literal["all"] | None
) -> Config:
    """The configuration of a distribution metric with the numbers of frames and clips."""
    given = {key: value for key, value in (config.get("init_args") or {}).items() if key != "reference_clips"}
    if given.get("start") is not None:
        raise UserError(
            f"`start` chooses frames of longer predictions; the first frames of each file are compared here, so "
            f"start={given['start']} cannot be. Leave it out, or cut the files."
        )
    given |= {"frames": frames, "clips": clips}
    if reference_clips is not None:
        sides = _any_clips(config).sides
        given |= {"reference_clips": reference_clips} if len(sides) > 1 else {}
        given |= {"clips": reference} if sides == ("target",) else {}
    return {**config, "init_args": given}


def _any_clips(config: Config) -> Any:
    """A distribution metric of any number of clips, which are long enough for every network."""
    return _built({**config, "init_args": {**(config.get("init_args") or {}), "frames": _LONG, "clips": None}})


def _built(config: Config) -> Any:
    from benchmarks.metrics.base import ClipMetric

    return build(ClipMetric, config, config["class_path"].rpartition(".")[2])  # type: ignore[type-abstract]
