"""Carries committed records over to the present code and names, where it is proven that their numbers are the same.

    python -m benchmarks.commands.migrate --from OLD_COMMIT [--to COMMIT] [--results DIR] [--write]

A record is carried over if it was fresh at OLD_COMMIT, its row asked for the same there as it does now, and every
definition behind it is equal, up to the tables of `benchmarks.records.renamed`. Any other is put into the present form
too, and stays stale with the reason. Nothing is imported from the old commit. Imports no torch.
"""

import argparse
import hashlib
import json
import sys
import tempfile
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

from benchmarks.config.resolve import full_class_paths
from benchmarks.records import renamed
from benchmarks.records.clip_scores import beside
from benchmarks.records.definitions import Definitions, definitions_of, files_of_commit
from benchmarks.records.forms import Key
from benchmarks.records.proof import Proof
from benchmarks.records.provenance import (
    COMMAND_LINE,
    EVALUATION,
    ROOT,
    class_paths,
    code_of,
    code_of_record,
    record_roots,
    training_callbacks,
)
from benchmarks.records.record import Record
from benchmarks.records.signature import identity_of
from benchmarks.records.upgrade import renamed_config
from benchmarks.runs.earlier import EarlierBenchmarks, config_of
from benchmarks.runs.job import Job
from benchmarks.runs.spec import read_benchmark
from benchmarks.utils.arrays import read_arrays, write_arrays
from benchmarks.utils.hashing import content_hash
from datamodules.files import sha256_of


class Migration:
    """One old state of the project and the present one.

    Args:
        root: the checkout.
        commit: the old state.
        configs: an empty folder for the old configs.
        new: the definitions to prove equality with.
    """

    def __init__(self, root: Path, commit: str, configs: Path, new: Definitions) -> None:
        self.files = files_of_commit(root, commit)
        self.old = Definitions(self.files, renamed.MODULES)
        self.new = new
        self.proof = Proof(self.old, new, renamed.identifiers())
        self.benchmarks = EarlierBenchmarks(root, commit, configs)

    def carried(self, content: dict[str, Any], results: Path) -> Record:
        """A record in the present form: by the present code if that is proven, else stale with the reason."""
        record = Record.from_json(content)
        if content["version"] > 1 and record.stale_because:
            return record
        request, reason = self._request(content, record, results)
        reason = (
            reason or self._stale_then(content) or self._difference(content["config"], content["model"]["class_path"])
        )
        if reason:
            return replace(record, stale_because=reason)
        code = code_of_record(record.config, record.model["class_path"], self.new)
        return replace(record, code=code.modules, code_sha256=code.sha256, request=request, stale_because=None)

    def _request(self, content: dict[str, Any], record: Record, results: Path) -> tuple[str | None, str | None]:
        """The hash of what the record's row asks for now, or why the record is no answer to it."""
        label, group, seed = content["row"], content.get("group", ""), content["seed"]
        then = self.benchmarks.asked(content["table"], group, label, seed)
        if then is None or then[0] != content["request"]:
            return None, "it did not answer what its row asked for then"
        path = Path("configs/benchmark") / f"{record.table}.yaml"
        spec = read_benchmark(path) if path.is_file() else None
        row = next((r for r in (spec.rows if spec else ()) if (r.group, r.label) == (record.group, record.row)), None)
        if spec is None or row is None:
            return None, f"{path} has no row '{record.row}' now"
        job = Job(spec, row, seed, Path("runs"), results)
        before = _by_home(renamed_config(full_class_paths(then[1])), self.new)
        after = _by_home(config_of(job), self.new)
        if content_hash(before) != content_hash(after):
            changed = sorted(key for key in before.keys() | after.keys() if before.get(key) != after.get(key))
            return None, f"its row asks for something else now ({', '.join(changed)})"
        return job.request, None

    def _stale_then(self, content: dict[str, Any]) -> str | None:
        if content["version"] == 1:
            now = _hash_of_files(content["code_files"], self.files)
        else:
            paths = content["config"], content["model"]["class_path"]
            roots = record_roots(*paths, self.old, self._earlier(EVALUATION), self._earlier_module(COMMAND_LINE))
            now = code_of(roots, self.old).sha256
        return None if now == content["code_sha256"] else "it was stale already"

    def _difference(self, config: dict[str, Any], class_path: str) -> str | None:
        """What of the code behind a record is not proven equal, in words."""
        pairs: list[tuple[Key, Key]] = []
        names = renamed.names()
        for path in (class_path, *class_paths(config)):
            old, new = self.old.find_class(path), self.new.find_class(names.class_path(path))
            if (old is None) != (new is None):
                return f"{path} is found only {'now' if old is None else 'then'}"
            if old and new:
                pairs.append((old, new))
        entry = self.old.find(self._earlier(EVALUATION)), self.new.find(EVALUATION)
        if entry[0] is None or entry[1] is None:
            return f"{EVALUATION} is not found"
        pairs.append((entry[0], entry[1]))
        then = training_callbacks(self.old, self._earlier_module(COMMAND_LINE))
        now = set(training_callbacks(self.new))
        for key in then:
            today = self.new.find(names.class_path(".".join(key)))
            if today not in now or today is None:
                return f"{'.'.join(key)} is added to no training now"
            pairs.append((key, today))
        if len(then) != len(now):
            return "other callbacks are added to every training"
        found = self.proof.difference(pairs)
        return f"its code differs: {'; '.join(found[:3])}{'; ...' if len(found) > 3 else ''}" if found else None

    def _earlier(self, path: str) -> str:
        return next((old for old in renamed.earlier_paths(path) if self.old.find(old)), path)

    def _earlier_module(self, module: str) -> str:
        earlier = [old for old, new in renamed.MODULES.items() if new == module]
        return next((name for name in (*earlier, module) if self.old.has_module(name)), module)


def main(arguments: list[str] | None = None) -> int:
    """Say of each record what becomes of it; with --write, write it."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.commands.migrate", description=__doc__.partition("\n")[0]
    )
    parser.add_argument("--from", dest="old", required=True, metavar="COMMIT", help="at which the records are valid")
    parser.add_argument("--to", metavar="COMMIT", help="prove equality with this commit, and write nothing")
    parser.add_argument("--results", type=Path, default=Path("benchmarks/results"), help="folder of committed records")
    parser.add_argument("--write", action="store_true", help="write the records; else only say what would be")
    args = parser.parse_args(arguments)
    if args.to and args.write:
        parser.error("--write goes with the working tree: leave --to out")
    new = Definitions.of_commit(ROOT, args.to) if args.to else definitions_of(ROOT)
    counts: Counter[str] = Counter()
    with tempfile.TemporaryDirectory() as folder:
        migration = Migration(ROOT, args.old, Path(folder), new)
        for path in sorted(args.results.rglob("*.json")):
            content = json.loads(path.read_text(encoding="utf-8"))
            record = migration.carried(content, args.results)
            counts["stale" if record.stale_because else "carried over"] += 1
            outcome = f"stale: {record.stale_because}" if record.stale_because else "carried over"
            print(f"{path.relative_to(args.results)}: {outcome}")
            if args.write:
                _rewrite(path, content, record)
    print(
        ", ".join(f"{count} {what}" for what, count in sorted(counts.items()))
        + ("" if args.write else ", nothing written")
    )
    return 0


def _rewrite(path: Path, content: dict[str, Any], record: Record) -> None:
    """Put the record, and its clips' scores, in the place of the old file."""
    new = path.with_name(record.file_name)
    scores = beside(path)
    held = read_arrays(scores) if scores.is_file() else None
    record.write(new)
    if held is not None:
        arrays, metadata = held
        if metadata.get("record") == identity_of(content):  # else they are another record's, and stay so
            metadata = {**metadata, "record": identity_of(record.to_json())}
        write_arrays(beside(new), {_today(key): value for key, value in arrays.items()}, metadata)
        replace(record, clips_sha256=sha256_of(beside(new))).write(new)
    if new != path:
        path.unlink()
        scores.unlink(missing_ok=True)


def _by_home(value: Any, definitions: Definitions) -> Any:
    """The configuration with every class path by where the class is defined, not where it is re-exported.

    An optimiser or scheduler of torch is called by its bare name, as the parser lets it be.
    """
    if isinstance(value, str) and value.startswith(("torch.optim.", "torch.nn.")):
        return value.rpartition(".")[2]
    if isinstance(value, dict):
        return {key: _by_home(entry, definitions) for key, entry in value.items()}
    if isinstance(value, list):
        return [_by_home(entry, definitions) for entry in value]
    if isinstance(value, str) and (found := definitions.find(value)):
        return ".".join(found)
    return value


def _today(key: str) -> str:
    """The name of an array, `<metric>/<ids or values>`, by the metric's name of today."""
    metric, _, what = key.rpartition("/")
    return f"{renamed.METRICS.get(metric, metric)}/{what}"


def _hash_of_files(names: list[str], files: dict[str, str]) -> str:
    """The code hash of version 1: over paths and contents; a missing file counts as one with nothing in it."""
    digest = hashlib.sha256()
    for name in sorted(names):
        content = files.get(name, "").encode().replace(b"\r\n", b"\n")
        digest.update(f"{name}\0{len(content)}\0".encode() + content)
    return digest.hexdigest()


if __name__ == "__main__":
    sys.exit(main())
