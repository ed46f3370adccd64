"""Checks: whether system, metrics, data and predictions fit together; each error names what does not."""

from collections import Counter
from dataclasses import fields
from typing import Any

import torch
from torch import Tensor

from benchmarks.evaluation.query import Query
from benchmarks.evaluation.tasks import Task
from benchmarks.metrics.base import ClipMetric
from benchmarks.metrics.reference import check_pair
from benchmarks.utils.errors import UserError
from datamodules.clip import Batch, KeypointClip, Sample, Trajectory, VideoClip


def task_labels(tasks: list[Task]) -> list[str]:
    """The tasks' names, with the settings in which they differ where several share a name."""
    names = []
    for task in tasks:
        rivals = [other for other in tasks if other.name == task.name]
        differing = [
            f"{entry.name}{getattr(task, entry.name):g}"
            for entry in fields(task)
            if len({getattr(other, entry.name, None) for other in rivals}) > 1 and getattr(task, entry.name) is not None
        ]
        names.append("-".join([task.name, *differing]))
    repeated = [name for name, count in Counter(names).items() if count > 1]
    if repeated:
        raise UserError(f"Tasks must differ; {', '.join(repeated)} is given twice. Remove the repetition.")
    return names


def check_types(system: Any, metrics: list[ClipMetric], data_type: type[Sample] | None) -> None:
    """Raise a UserError that names what does not fit: system to data, or a metric to either."""
    ours = system.sample_type
    if data_type is not None and not set(ours._fields) <= set(data_type._fields):
        raise UserError(
            f"{type(system).__name__} works on {ours.__name__}s, the data has {data_type.__name__}s. "
            f"Choose data with {_lacking(ours, data_type)}."
        )
    for metric in metrics:
        prediction, target = metric.accepts
        if not _serves(ours, prediction):
            raise UserError(
                f"The metric '{metric.name}' measures {prediction.__name__}s, {type(system).__name__} predicts "
                f"{ours.__name__}s. Remove the metric for this system."
            )
        if data_type is not None and not _serves(data_type, target):
            raise UserError(
                f"The metric '{metric.name}' compares with {target.__name__}s, the data has {data_type.__name__}s. "
                f"Choose data with {_lacking(target, data_type)}, or remove the metric."
            )


def check_times(system: Any, label: str, query: Query, prediction: Sample) -> None:
    """Raise a ValueError if the prediction is not at the query's times: a bug of the system."""
    if not torch.equal(prediction.times, query.times):
        raise ValueError(
            f"{type(system).__name__} was queried for the task '{label}' at {_few(query.times)} s and predicted "
            f"{_few(prediction.times)} s. A capability must return exactly the times of its query."
        )


def check_frames(query: Query, prediction: Sample) -> None:
    """Raise a UserError if the frames of prediction and target differ in size, or in the range of their values."""
    if isinstance(prediction, Trajectory) or isinstance(query.target, Trajectory):
        return
    if prediction.frames.shape[2] and query.target.frames.shape[2]:  # clips of keypoints may have no channels
        check_pair(prediction, query.target, query.ids)


def check_sides(query: Query, prediction: Sample) -> None:
    """As `check_frames`, of generated clips and as many of the reference, which are not the same clips."""
    number = min(len(prediction.times), len(query.target.times))
    kept = (type(side)(*(value[:number] for value in side)) for side in (prediction, query.target))
    prediction, target = kept
    check_frames(query._replace(target=target, ids=query.ids[:number]), prediction)


def check_target(batch: Batch, task: Task) -> None:
    """Raise a UserError if a target frame is missing from the data."""
    mask = task.mask(task.frames or batch.present.shape[-1])
    hidden = batch.present[:, : len(mask)][:, (~mask).to(batch.present.device)]
    if not bool(hidden.all()):
        raise UserError(
            f"{int((~hidden).sum())} target frames of the task '{task.name}' are missing from this batch of the data, "
            "so nothing can be compared with them. Use an evaluation sampling that has them all."
        )


def fill_invalid_pixels(query: Query, prediction: Sample) -> Sample:
    """The prediction with the target's own pixels where the target is missing, so that they count neither way."""
    if query.valid is None or isinstance(prediction, Trajectory) or isinstance(query.target, Trajectory):
        return prediction
    frames = torch.where(query.valid, prediction.frames, query.target.frames.to(prediction.frames))
    return prediction._replace(frames=frames)


def _serves(have: type[Sample], wanted: type[Sample]) -> bool:
    return have is wanted or (have is KeypointClip and wanted is VideoClip)


def _lacking(wanted: type[Sample], have: type[Sample]) -> str:
    return " and ".join(name for name in wanted._fields if name not in have._fields) or wanted.__name__


def _few(times: Tensor) -> str:
    listed = [f"{float(time):.4g}" for time in times[0, :4]]
    return f"[{', '.join(listed)}{', ...' if times.shape[1] > 4 else ''}]"
