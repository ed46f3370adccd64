"""Records: the numbers of a test with all that is needed to reproduce them; one JSON file per row, seed and task."""

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

from benchmarks.records.bounds import check_bounds, read_json
from benchmarks.records.parts import Measurement, Number, Protocol, RecordError, RunInfo, TaskResult, Throughput
from benchmarks.records.provenance import Code, code_of_record, git_state, package_versions
from benchmarks.records.signature import DIGEST, check_signature, write_signed
from benchmarks.records.upgrade import upgraded
from benchmarks.utils.hashing import content_hash, plain, slug
from lightning_modules.training_cost import TrainingCost

VERSION = 2
SCHEMAS = {1: Path(__file__).with_name("record-1.schema.json"), 2: Path(__file__).with_name("record.schema.json")}

NO_CODE = hashlib.sha256().hexdigest()
"""The hash of a record that names no code: made by hand."""


@dataclass(frozen=True)
class Record:
    """The numbers of one row of a table on one task with one seed, and where they come from.

    Args:
        table: the benchmark the row belongs to: the stem of its file in configs/benchmark.
        row: the row's label, as the table prints it.
        task: `name` and the task's arguments.
        data: the data's id: readable, with a hash of its content.
        split: train, val or test.
        model: `class_path` and a `label`.
        mode: the training mode of a system that has several.
        config: the resolved configuration.
        seed: of the whole run.
        protocol: what must agree before two numbers may be compared.
        metrics: by name.
        budget: what the training cost.
        parameters: learnt numbers of the generating part.
        function_evaluations: of the dynamics, per batch; None for a model without an integrator.
        deterministic: whether deterministic algorithms were asked for.
        commit: of the checkout; None outside one.
        dirty: whether code or configs differed from the commit.
        code: a short hash of what each module adds to `code_sha256`, which tells what has changed.
        code_sha256: over the definitions that the evaluation and the classes named in `config` are made of.
        versions: of Python and the packages that numbers depend on.
        date: when it was made, UTC.
        request: a hash of what `benchmarks run` asked for, which it compares before running again.
        group: the block of the table that the row stands in, such as a data set; empty where there is one.
        throughput: prediction speed; None if unknown, as in older records.
        checkpoint_sha256: of the file whose weights were evaluated; None if there was none, or if unknown.
        training_finished: whether the training reached its end; None if unknown, or if there was none.
        trained: False for weights that were never trained (`lightning test --untrained`); None otherwise.
        clips_sha256: of the file of the clips' values beside the record; None without one, and in older records.
        stale_because: why the numbers are not the present code's, where a migration could not prove that they are.
    """

    table: str
    row: str
    task: dict[str, Any]
    data: str
    split: str
    model: dict[str, str]
    mode: str | None
    config: dict[str, Any]
    seed: int
    protocol: Protocol
    metrics: dict[str, Measurement]
    budget: TrainingCost
    parameters: int
    function_evaluations: Number | None
    deterministic: bool
    commit: str | None
    dirty: bool
    code: dict[str, str]
    code_sha256: str
    versions: dict[str, str]
    date: str
    request: str | None = None
    group: str = ""
    throughput: Throughput | None = None
    checkpoint_sha256: str | None = None
    training_finished: bool | None = None
    trained: bool | None = None
    clips_sha256: str | None = None
    stale_because: str | None = None
    version: int = VERSION

    @classmethod
    def create(cls, run: RunInfo, result: TaskResult) -> "Record":
        """A record of the running process: adds its commit, code, package versions and the date."""
        commit, dirty = git_state()
        code = code_of_record(plain(run.config), run.class_path)
        label = (run.row or run.class_path.rpartition(".")[2]) + " (untrained)" * (run.trained is False)
        return cls(
            table=run.table,
            row=label,
            group=run.group,
            task=plain(result.task),
            data=run.data,
            split=run.split,
            model={"class_path": run.class_path, "label": label},
            mode=run.mode,
            config=_without_places(plain(run.config)),
            seed=run.seed,
            protocol=result.protocol,
            metrics=dict(result.metrics),
            budget=run.budget,
            parameters=run.parameters,
            function_evaluations=result.function_evaluations,
            deterministic=run.deterministic,
            commit=commit,
            dirty=dirty,
            code=code.modules,
            code_sha256=code.sha256,
            versions=package_versions(),
            date=datetime.now(UTC).isoformat(timespec="seconds"),
            request=run.request,
            throughput=result.throughput,
            checkpoint_sha256=run.checkpoint_sha256,
            training_finished=run.training_finished,
            trained=run.trained,
        )

    @property
    def stale(self) -> bool:
        """Whether the code behind the record has changed since."""
        return self.stale_reason is not None

    @property
    def stale_reason(self) -> str | None:
        """Why the record is stale, in words; None if it is not."""
        if self.stale_because is not None:
            return self.stale_because
        if not self.code and self.code_sha256 == NO_CODE:
            return None
        now = code_of_record(self.config, self.model["class_path"])
        return Code(self.code_sha256, self.code).difference(now)

    @property
    def evaluation_key(self) -> tuple[str, str, str, str]:
        """Table, data, split and protocol: records are ranked together only if these agree."""
        return self.table, self.data, self.split, self.protocol.id

    @property
    def file_name(self) -> str:
        """`<row>-s<seed>-<hash8>.json`: the hash is of its cell of the table, so a new run replaces an old one."""
        cell = content_hash([*self.evaluation_key, self.row, self.seed, *([self.group] if self.group else [])])
        return f"{slug(self.row)}-s{self.seed}-{cell[:8]}.json"

    def to_json(self) -> dict[str, Any]:
        """The record as plain data."""
        return plain({**asdict(self), "budget": self.budget._asdict()})

    @classmethod
    def from_json(cls, content: Any) -> "Record":
        """The record that plain data describes, of any version; raises RecordError if it breaks its schema."""
        check_bounds(content)
        _check(content)
        _check_protocol(content["protocol"])
        check_signature(content)
        content = {key: value for key, value in upgraded(content).items() if key != DIGEST}
        metrics = {
            name: Measurement(**{**entry, "interval": entry["interval"] and tuple(entry["interval"])})
            for name, entry in content["metrics"].items()
        }
        protocol = Protocol(**content["protocol"])
        parts = {"protocol": protocol, "budget": TrainingCost.from_plain(content["budget"]), "metrics": metrics}
        if content.get("throughput"):
            parts["throughput"] = Throughput(**content["throughput"])
        return cls(**{**content, **parts})

    def write(self, path: Path) -> None:
        """Write the file whole or not at all; raises RecordError if the record breaks its schema."""
        try:
            content = self.to_json()
            _check(content)
        except ValueError as error:
            raise RecordError(f"The record for {path} was not written. {error}") from error
        write_signed(path, content)


def read_record(path: Path) -> Record:
    """The record in a file; raises RecordError, with the file's name, if it is not one."""
    try:
        return Record.from_json(read_json(path.read_text(encoding="utf-8")))
    except (ValueError, OSError) as error:  # json and unicode errors are ValueErrors
        raise RecordError(f"{path} is not a record. {error}") from error


def read_records(folder: Path) -> dict[Path, Record]:
    """Every record (*.json) below a folder, by path, in sorted order; raises RecordError at the first invalid one."""
    return {path: read_record(path) for path in sorted(folder.rglob("*.json"))}


def _check(content: Any) -> None:
    version = content.get("version") if isinstance(content, Mapping) else None
    if isinstance(version, int) and version > VERSION:
        raise RecordError(
            f"It has version {version}; this ChronoReel reads up to version {VERSION}. Update ChronoReel."
        )
    version = version if version in SCHEMAS else VERSION
    error = _worst(content, version)
    if error:
        raise RecordError(f"Schema version {version}: {error}.")


def _check_protocol(protocol: Mapping[str, Any]) -> None:
    true_hash = content_hash(protocol["settings"])[:8]
    if not protocol["id"].endswith(f"-{true_hash}"):
        raise RecordError(
            f"The protocol's id is {protocol['id']} but its settings hash to {true_hash}: "
            "one of them was changed by hand. Make the record again with `lightning test`."
        )


def _worst(content: Any, version: int) -> str | None:
    from jsonschema.exceptions import best_match

    error = best_match(_validator(version).iter_errors(content))
    if error is None:
        return None
    message = error.message if len(error.message) < 200 else f"{error.validator} must be {error.validator_value}"
    return f"at {error.json_path}, {message:.300}"


@cache
def _validator(version: int) -> Any:
    from jsonschema import Draft202012Validator  # slow to import, and `--help` does without

    return Draft202012Validator(json.loads(SCHEMAS[version].read_text(encoding="utf-8")))


def _without_places(value: Any) -> Any:
    """The data without this machine's folders: below the working folder relative, home ~, of others the name only."""
    if isinstance(value, dict):
        return {key: _without_places(entry) for key, entry in value.items()}
    if isinstance(value, list):
        return [_without_places(entry) for entry in value]
    if isinstance(value, str) and os.path.isabs(value):
        for folder, short in ((Path.cwd(), "."), (Path.home(), "~")):
            if Path(value).is_relative_to(folder):
                return (Path(short) / Path(value).relative_to(folder)).as_posix()
        return f".../{Path(value).name}"
    return value
