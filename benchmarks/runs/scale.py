"""Scale: the rows of a table that learn nothing, by which its numbers are read. Imports no torch.

    scale: [other_real_clips, reversed_clips, blurred_clips, frozen_clips, black_clips]

Each name is a model in configs/model/scale. It becomes a row of every group: the data and the evaluation are those of
the group's first experiment, the label is the name's words. A mapping gives each group its own list.
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.utils.errors import UserError, unknown_name_error

if TYPE_CHECKING:
    from benchmarks.runs.spec import Row

FOLDER = Path("configs/model/scale")
TRIVIAL, REAL = "trivial", "real"
KINDS = (TRIVIAL, REAL)
"""A trivial row is one that a model should beat; real data are what a perfect model would reach."""

_KEPT = ("data=", "data.", "evaluation=", "evaluation.")


def scale_rows(rows: Sequence["Row"], scale: Any) -> list["Row"]:
    """The rows that `scale` adds to `rows`; raises UserError if it names none that there is."""
    added = []
    for group, names in _by_group(rows, scale).items():
        like = next((row for row in rows if row.group == group and row.experiment), None)
        if like is None:
            continue  # published numbers only: there is nothing to measure on
        for name in names:
            kept = [one for one in like.overrides if one.startswith(_KEPT)]
            added.append(
                replace(
                    like,
                    label=name.replace("_", " "),
                    overrides=[*kept, f"model={(FOLDER / name).as_posix()}.yaml"],
                    checkpoint=None,
                    join={},
                    scale=REAL if name.startswith("other_real_") else TRIVIAL,
                )
            )
    return added


def _by_group(rows: Sequence["Row"], scale: Any) -> dict[str, list[str]]:
    groups = list(dict.fromkeys(row.group for row in rows))
    lists = scale if isinstance(scale, dict) else dict.fromkeys(groups, scale)
    for group, names in lists.items():
        if group not in groups:
            raise unknown_name_error("group in `scale`:", str(group), groups)
        if not isinstance(names, list) or not all(isinstance(name, str) and name for name in names):
            raise UserError(f"`scale` must be a list of names, or one for each group; got {names!r}.")
        for name in names:
            if FOLDER.is_dir() and not (FOLDER / f"{name}.yaml").is_file():
                raise unknown_name_error("row in `scale`:", name, (path.stem for path in FOLDER.glob("*.yaml")))
    return lists
