"""What a JSON Schema cannot say of a record, or says too late: depth, endless numbers, sizes below one. No torch."""

import json
import math
from collections.abc import Mapping
from typing import Any

from benchmarks.records.parts import RecordError

DEPTH = 60
"""Levels of a record; ours have twelve."""

LARGEST = 2**63
"""No whole number of a record is this large."""

SETTINGS = ("$.config", "$.protocol", "$.task")
POSITIVE = frozenset(
    ("width", "height", "size", "resize", "frames", "fps", "channels", "n", "num_samples", "batch", "batch_size")
)
"""Settings of tasks, protocols and configurations that are above 0, wherever they stand."""


def read_json(text: str) -> Any:
    """The plain data in a text of JSON.

    Raises:
        RecordError: if it is no JSON, or holds a number that is none, or is nested too deep to be read.
    """
    try:
        return json.loads(text, parse_constant=_refuse_constant)
    except RecursionError as error:
        raise RecordError(f"It is nested more than {DEPTH} deep; no record is.") from error
    except RecordError:
        raise
    except ValueError as error:
        raise RecordError(f"It is no JSON: {' '.join(str(error).split())[:200]}.") from error


def check_bounds(content: Any, place: str = "$", depth: int = 0) -> None:
    """Refuse plain data with too many levels, numbers that no machine holds, or settings that are no size.

    Raises:
        RecordError: with the place of the first.
    """
    if depth > DEPTH:
        raise RecordError(f"It is nested more than {DEPTH} deep; no record is.")
    if isinstance(content, Mapping):
        for key, value in content.items():
            at = f"{place}.{key:.40}"
            if (
                key in POSITIVE
                and place.startswith(SETTINGS)
                and any(_below(one) for one in (value if isinstance(value, list) else [value]))
            ):
                raise RecordError(f"At {at}, {value} is no {key}: it must be above 0.")
            check_bounds(value, at, depth + 1)
    elif isinstance(content, list | tuple):
        for index, value in enumerate(content):
            check_bounds(value, f"{place}[{index}]", depth + 1)
    elif isinstance(content, int) and abs(content) >= LARGEST:
        raise RecordError(f"At {place} stands a whole number of {content.bit_length()} bits; no record has such.")
    elif isinstance(content, float) and not math.isfinite(content):
        raise RecordError(f"At {place} stands {content}; a record holds finite numbers only.")


def _below(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and value <= 0


def _refuse_constant(name: str) -> None:
    raise RecordError(f"It holds {name}, which is no JSON.")
