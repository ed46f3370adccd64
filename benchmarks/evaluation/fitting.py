"""Whether a saved reference fits an evaluation: every field that would make the number another one must agree."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.evaluation.feature_cache import code_of_features
from benchmarks.evaluation.feature_stream import Reading, looks_at
from benchmarks.evaluation.saved_reference import VALUE_RANGE, SavedReference, protocol_of
from benchmarks.metrics.distribution import DistributionMetric
from benchmarks.metrics.streaming_frechet import FrechetMetric
from benchmarks.utils.errors import UserError

_ANEW = "save the reference anew"


def check_saved(path: Path, saved: SavedReference, reading: Reading, metrics: Sequence[DistributionMetric]) -> None:
    """Raise a UserError that names the first field in which a saved reference and an evaluation differ.

    Args:
        path: of the file, for the message.
        saved: its content.
        reading: how the generated clips are read.
        metrics: those that look at the reference; their numbers of clips are compared before.
    """
    for option in ("frames", "size", "fps"):
        theirs, ours = getattr(saved.reading, option), getattr(reading, option)
        if theirs != ours:
            way = f"Leave --{option} out" if theirs is None else f"Give --{option} {theirs:g}"
            what = f"--{option}"
            _refuse(path, what, theirs, ours, f"{way}, or {_ANEW} with the other")
    if saved.value_range != VALUE_RANGE:
        _refuse(path, "value range", saved.value_range, VALUE_RANGE, f"Make it again: {_ANEW}")
    for metric in metrics:
        _check_metric(path, saved, metric)


def _check_metric(path: Path, saved: SavedReference, metric: DistributionMetric) -> None:
    network, name = metric.network, metric.name
    found = saved.seen_by(metric)
    if found is None:
        there = ", ".join(looks_at(one.network, one.each_frame) for one in saved.seen) or "none"
        wanted = looks_at(network.name, metric.each_frame)
        _refuse(
            path, f"network, for the metric {name},", there, wanted, f"Choose another metric, or {_ANEW} with this one"
        )
        return
    for key, ours in protocol_of(network).items():
        theirs = found.protocol.get(key)
        if theirs != ours:
            _refuse(path, f"{key} of {network.name}", theirs, ours, f"Use those weights and settings, or {_ANEW}")
    code = code_of_features(network)
    if found.code != code:
        way = f"The code that reads clips or runs the network has changed: {_ANEW}"
        _refuse(path, f"code version for {network.name}", found.code[:12], code[:12], way)
    if found.holds == "moments" and not isinstance(metric, FrechetMetric):
        way = f"Moments serve Fréchet distances only: {_ANEW} with --metrics that include this one"
        _refuse(path, f"content for the metric {name}", "moments", "features", way)


def _refuse(path: Path, field: str, saved: Any, here: Any, way: str) -> None:
    theirs, ours = ("none" if value is None else value for value in (saved, here))
    raise UserError(f"{path} does not fit this evaluation: its {field} is {theirs}, here it is {ours}. {way}.")
