"""Failures of single metrics: the reason for the record, the traceback for the log, one verdict of all processes."""

import logging
from typing import Any

import torch

from benchmarks.metrics.gathered import GatheredMetric
from benchmarks.pretrained.registry import WeightsUnavailable
from benchmarks.utils.errors import UserError

_LOG = logging.getLogger(__name__)


def reason_of(metric: str, error: Exception) -> str:
    """Why a metric is n/a, in one line.

    What a user can put right says so itself. Anything else may be a bug: its type is named, its traceback logged.
    """
    if isinstance(error, UserError | WeightsUnavailable):
        return str(error)
    _LOG.error("The metric '%s' failed and is n/a.", metric, exc_info=error)
    first = (str(error).strip().splitlines() or ["no message"])[0]
    return f"it failed with {type(error).__name__}: {first:.200} (the traceback is in the log)"


def gathered_reasons(reasons: dict[str, str], processes: int) -> dict[str, str]:
    """The reasons of all processes, by metric; every process must call it."""
    return {name: reason for mine in _from_all(reasons, processes) for name, reason in mine.items()}


def misfits(metrics: list[GatheredMetric], processes: int) -> dict[str, str]:
    """Metrics whose rows differ in width or type between processes: gathering them would never end.

    Every process must call it, with the same metrics.
    """
    found: dict[str, str] = {}
    everyone = _from_all({metric.name: metric.layout() for metric in metrics}, processes)
    for metric in metrics:
        for kind in metric.layout():
            seen = sorted({str(mine[metric.name][kind]) for mine in everyone if mine[metric.name].get(kind)})
            if len(seen) > 1:
                found[metric.name] = f"its rows differ between processes: {' and '.join(seen)}"
    return found


def _from_all(mine: Any, processes: int) -> list[Any]:
    if processes == 1:
        return [mine]
    everyone: list[Any] = [None] * processes
    torch.distributed.all_gather_object(everyone, mine)
    return everyone
