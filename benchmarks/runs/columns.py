"""Columns: what a benchmark file asks to see must be measured by its rows, and printed beside its own definition."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.config.resolve import merge, resolve
from benchmarks.metrics.naming import metric_name
from benchmarks.runs.published import Published, read_table
from benchmarks.utils.errors import UserError, unknown_name_error

if TYPE_CHECKING:
    from benchmarks.runs.spec import BenchmarkSpec, Row

EXPERIMENTS = Path("configs/experiment")

Names = frozenset[str] | None
"""Names of metrics; None where they cannot be known from here."""


def check_columns(spec: "BenchmarkSpec") -> None:
    """Refuse a benchmark that shows a metric that no row measures, or a published number beside another definition.

    What rows measure is read from their resolved configurations. A row whose experiment is not here, and a metric of
    a class that is not ours, cannot be checked: such a row may measure anything.

    Raises:
        UserError: that states the rule, the value and the way out.
    """
    measured = {row.name: _measured(spec, row) for row in spec.rows if row.experiment is not None}
    if not measured:
        return
    for metric in _shown(spec):
        if all(names is not None and metric not in names for names in measured.values()):
            known = sorted({name for names in measured.values() for name in names or ()})
            raise UserError(
                f"A column shows what rows measure; no row measures '{metric}'. Measured are {', '.join(known)}. Name "
                "one of them, or add the metric to `evaluation.metrics` of this file or of the rows' experiments."
            ) from unknown_name_error("metric", metric, known)
    for number in _published(spec):
        _check_published(spec, number, measured)


def _check_published(spec: "BenchmarkSpec", number: Published, measured: dict[str, Names]) -> None:
    """The number stands beside our metric of its definition in its group, or beside none."""
    if number.ours is None:
        return
    here = [measured[row.name] for row in spec.rows if row.name in measured and number.in_group(row.group)]
    if here and all(names is not None and number.ours not in names for names in here):
        where = f" of {number.group}" if number.group else ""
        raise UserError(
            f"A published number stands beside our metric of the same definition; {spec.published} prints "
            f"'{number.metric}', which is our '{number.ours}', and no row{where} "
            f"measures that. Add the metric to `evaluation.metrics` of the rows, or say in the published file why none "
            "of ours is the same (`not_measured`)."
        )
    if spec.metrics and number.ours not in spec.metrics:
        raise UserError(
            f"A published number stands beside our metric of the same definition; {spec.published} prints "
            f"'{number.metric}', which is our '{number.ours}', and that is not among `metrics`: "
            f"{', '.join(spec.metrics)}. Name it there in place of another definition."
        )


def _shown(spec: "BenchmarkSpec") -> list[str]:
    """The metrics of columns, of tables per frame and of the figure."""
    arguments = (spec.figure or {}).get("init_args") or {}
    drawn = [*(arguments.get("metrics") or []), *([arguments["metric"]] if "metric" in arguments else [])]
    return list(dict.fromkeys([*spec.metrics, *spec.per_frame, *drawn]))


def _published(spec: "BenchmarkSpec") -> Sequence[Published]:
    return read_table(spec.published) if spec.published else []


def _measured(spec: "BenchmarkSpec", row: "Row") -> Names:
    """The names of the metrics that a row is evaluated with."""
    file = EXPERIMENTS / f"{str(row.experiment).removesuffix('.yaml')}.yaml"
    if not file.is_file():
        return None
    settings: dict[str, Any] = resolve([file], row.overrides)
    evaluation = merge(settings.get("evaluation") or {}, spec.evaluation)
    names = [metric_name(metric) for metric in evaluation.get("metrics") or []]
    return None if None in names else frozenset(name for name in names if name is not None)
