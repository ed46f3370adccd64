"""A case: one question to a system with its answer, and what becomes of the frames that it shows."""

import inspect
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Int
from torch import Tensor

from benchmarks.evaluation.capabilities import Seeds, Times
from benchmarks.utils.errors import UserError
from datamodules.base.rng import MISSING_FRAMES, uniforms
from datamodules.clip import Sample

GAPS = ", where shown frames are missing"
"""What a refusal says besides when the verb has no `present`."""
_EMPTY = {"frames": -1.0, "keypoints": 0.0, "confidence": 0.0, "values": 0.0}
"""What stands in the place of a frame that is lost, so that nothing can be read off it by mistake."""


class Case(NamedTuple):
    """One question to a system, and its answer: everything a metric or a gallery needs."""

    observed: Sample
    target: Sample
    present: Bool[Tensor, "batch shown"]
    ids: Int[Tensor, " batch"]
    labels: Int[Tensor, " batch"]
    seeds: Seeds
    times: Times
    """When the answer is asked for: the target's times, but where a task asks at a rate that the data have not."""
    valid: Bool[Tensor, "batch asked 1 height width"] | None = None
    """False where a pixel of the target is missing; None when all are there."""


def check_rate(rate: float | None) -> None:
    """Raise ValueError unless the rate is a share."""
    if rate is not None and not 0 < rate <= 1:
        raise UserError(f"rate is the share of shown frames that is there, above 0 and up to 1; got {rate}.")


def bears_gaps(verb: Callable[..., Sample]) -> bool:
    """Whether the verb takes `present`."""
    parameters = inspect.signature(verb).parameters.values()
    return any(one.name == "present" or one.kind is one.VAR_KEYWORD for one in parameters)


def with_losses(case: Case, rate: float | None, *, last: bool = False) -> Case:
    """The case without some of its shown frames, which a clip's id alone decides; frame 0 and, if so, the last stay."""
    if rate is None:
        return case
    count, ends_kept = case.observed.times.shape[1], 2 if last else 1
    free = count - ends_kept
    lost = min(free, count - max(ends_kept, round(rate * count)))
    present = torch.ones(case.present.shape, dtype=torch.bool)
    if lost > 0:
        numbers = uniforms(MISSING_FRAMES, 0, 0, case.ids.cpu().numpy(), free)
        order = np.argsort(numbers, axis=1, kind="stable")[:, :lost]
        present.scatter_(1, 1 + torch.from_numpy(order), False)
    present = present.to(case.present.device) & case.present
    fields = {
        name: value if name == "times" else value.masked_fill(~_along(present, value), _EMPTY[name])
        for name, value in case.observed._asdict().items()
    }
    return case._replace(observed=type(case.observed)(**fields), present=present)


def missing(case: Case) -> dict[str, Tensor]:
    """`present` is spoken of only when a frame is missing, so that a system that cannot bear it is refused then."""
    return {} if bool(case.present.all()) else {"present": case.present}


def with_shown(shown: Sample, asked: Sample) -> Sample:
    """One clip of both, in the order of their times, which lie alike in all clips of a batch."""
    order = torch.cat([shown.times[0], asked.times[0]]).argsort()
    return type(shown)(*(torch.cat([part, getattr(asked, n)], 1)[:, order] for n, part in shown._asdict().items()))


def _along(present: Bool[Tensor, "batch time"], field: Tensor) -> Tensor:
    """`present` with as many axes as the field of a sample."""
    return present.reshape(*present.shape, *[1] * (field.ndim - 2))
