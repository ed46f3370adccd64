"""The numbers that papers print, read from benchmarks/published. Imports no torch."""

import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from benchmarks.config.bounded_yaml import read_yaml_text
from benchmarks.utils.errors import UserError, unknown_name_error

FOLDER = Path(__file__).parents[1] / "published"
_SAYS = ("measured_by", "not_measured")
_DIRECTIONS = {"higher": True, "lower": False}
_NUMBER = re.compile(r"(?P<value>-?\d+(?:\.\d+)?)(?: \[(?P<low>-?\d+(?:\.\d+)?), (?P<high>-?\d+(?:\.\d+)?)\])?")


@dataclass(frozen=True)
class Published:
    """One number of one paper; it stands beside ours and is never ranked with them.

    Args:
        paper: title, authors, year.
        table: where in the paper, or where else it was reported.
        row: the model, as the paper prints it.
        group: the block of the table, as the paper prints it; empty where there is one.
        data: the data set, as `benchmarks prepare` calls it.
        task: generate, predict, interpolate or inbetween.
        metric: its short name, the paper's.
        ours: the name of our metric of the same definition; None where none is.
        not_measured: why no metric of ours has its definition; empty where one has.
        printed: as the paper prints it, its interval included.
        value: the number, in the metric's own unit.
        interval: 95 %, where one is printed.
        higher_is_better: the direction in which better lies.
        protocol: how it was measured, as far as the paper says.
        comparable: whether the paper says enough for a record of ours to have been measured alike.
        reported: whether it is known from elsewhere and was not checked against the paper.
    """

    paper: str
    table: str
    row: str
    group: str
    data: str
    task: str
    metric: str
    ours: str | None
    not_measured: str
    printed: str
    value: float
    interval: tuple[float, float] | None
    higher_is_better: bool
    protocol: str
    comparable: bool
    reported: bool

    @property
    def source(self) -> str:
        """Where the number was read: the paper, and the table or the other place."""
        return f"{self.paper}, {self.table}"

    def belongs_to(self, row: str, group: str) -> bool:
        """Whether a table's row is this number's: letters and digits agree, as in ODE²VAE and ODE2 VAE.

        A group may say more than the paper's, after a comma or colon: "KTH Action, interpolation".
        """
        return _letters(row) == _letters(self.row) and self.in_group(group)

    def in_group(self, group: str) -> bool:
        """Whether a table's group is this number's; a paper's table without groups is in each."""
        theirs = _letters(self.group)
        return not theirs or theirs in (_letters(group), _letters(re.split(r"[,:(]", group)[0]))


def read_table(reference: str, folder: Path = FOLDER) -> list[Published]:
    """The numbers of `<file>#<table>`, in the paper's order; raises UserError naming the nearest one there is."""
    name, _, table = reference.partition("#")
    files = {path.stem: path for path in sorted(folder.glob("*.yaml"))}
    if name.removesuffix(".yaml") not in files:
        raise unknown_name_error("file of published numbers", name, files)
    tables = read_file(files[name.removesuffix(".yaml")])
    if table not in tables:
        raise unknown_name_error("published table", reference, [f"{name}#{known}" for known in tables])
    return tables[table]


@cache
def read_file(path: Path) -> dict[str, list[Published]]:
    """Every table of a file by name; raises UserError that says what is wrong with it."""
    # BaseLoader makes texts of everything, so that 0.730 stays as it is printed; it builds nothing else
    try:
        content = read_yaml_text(path.read_text(encoding="utf-8"), getattr(yaml, "CBaseLoader", yaml.BaseLoader))
        return {name: _table(content, table) for name, table in content["tables"].items()}
    except (KeyError, TypeError, AttributeError, ValueError, yaml.YAMLError) as error:
        raise UserError(f"{path} cannot be read as published numbers: {type(error).__name__}: {error}.") from error


def _table(file: Mapping[str, Any], table: Mapping[str, Any]) -> list[Published]:
    numbers = []
    units = table.get("units", {})
    ours, reasons = _definitions(file, table)
    for block in table["blocks"]:
        settings = [level["protocol"] for level in (file, table, block) if "protocol" in level]
        for row, cells in block["rows"].items():
            for (metric, direction), printed in zip(table["metrics"].items(), cells, strict=True):
                if printed == "-":
                    continue
                match = _NUMBER.fullmatch(printed)
                if match is None:
                    raise ValueError(f"{row}, {metric}: '{printed}' is not a number such as 0.730 or 152 [144, 160]")
                unit = float(units.get(metric, 1))
                ends = (float(match["low"]) * unit, float(match["high"]) * unit) if match["low"] else None
                numbers.append(
                    Published(
                        paper=file["paper"],
                        table=block.get("location", table["location"]),
                        row=row,
                        group=block.get("group", ""),
                        data=block["data"],
                        task=block["task"],
                        metric=metric,
                        ours=ours.get(metric),
                        not_measured=reasons.get(metric, ""),
                        printed=printed,
                        value=float(match["value"]) * unit,
                        interval=ends,
                        higher_is_better=_DIRECTIONS[direction],
                        protocol="; ".join(settings),
                        comparable=block.get("comparable", file.get("comparable", "true")) == "true",
                        reported=block.get("reported", file.get("reported", "false")) == "true",
                    )
                )
    return numbers


def _definitions(file: Mapping[str, Any], table: Mapping[str, Any]) -> tuple[dict[str, str], dict[str, str]]:
    """Our metric of the same definition, or why there is none, for every metric of a table; nothing is guessed."""
    found: list[dict[str, str]] = []
    for key in _SAYS:
        if lost := set(table.get(key, {})) - set(table["metrics"]):
            raise ValueError(f"`{key}` names {', '.join(sorted(lost))}, which the table does not print")
        found.append({**file.get(key, {}), **table.get(key, {})})
    for metric in table["metrics"]:
        # what a table says of a metric goes before what its file says of all
        said = [key for key in _SAYS if metric in table.get(key, {})]
        said = said or [key for key in _SAYS if metric in file.get(key, {})]
        if len(said) != 1:
            raise ValueError(
                f"'{metric}' of {table['location']} needs our metric of the same definition in `measured_by`, or in "
                f"`not_measured` the reason why there is none; it has {' and '.join(said) or 'neither'}"
            )
        found[1 if said == ["measured_by"] else 0].pop(metric, None)
    return found[0], found[1]


def _letters(text: str) -> str:
    """Letters and digits in lower case, ² as 2: what two spellings of one name share."""
    return "".join(letter for letter in unicodedata.normalize("NFKC", text).lower() if letter.isalnum())
