"""`benchmarks sync`: uploads the records of past runs to Weights & Biases, one run per record. Imports no torch."""

import argparse
import os
from pathlib import Path

from benchmarks.records.parts import RecordError
from benchmarks.records.record import Record, read_record, read_records
from benchmarks.runs.standing import retired_because
from benchmarks.utils.errors import UserError
from benchmarks.utils.hashing import content_hash


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of the command."""
    parser.add_argument("records", nargs="*", type=Path, help="records, or folders of them (default: the results)")
    parser.add_argument("--results", type=Path, default=Path("benchmarks/results"), help="folder of committed records")
    parser.add_argument("--project", default="chronoreel", help="W&B's project (default: chronoreel)")
    parser.add_argument("--entity", help="the account or team (default: the account's default)")
    parser.add_argument("--folder", type=Path, default=Path("runs/sync"), help="folder for W&B's files")
    parser.add_argument("--dry-run", action="store_true", help="print what would be uploaded and upload nothing")


def main(args: argparse.Namespace) -> int:
    """Upload every record; uploading a record again updates its run."""
    records = gather(args.records or [args.results])
    for path, record in records.items():
        print(f"{path}: {args.project}/{run_name(record)} ({run_id(record)})", flush=True)
        if not args.dry_run:
            send(path, record, args.project, args.entity, args.folder)
    if not args.dry_run and os.environ.get("WANDB_MODE") == "offline":
        print(f"Nothing was uploaded (WANDB_MODE=offline): `wandb sync {args.folder}/wandb/*` uploads the runs.")
    return 0


def gather(paths: list[Path]) -> dict[Path, Record]:
    """The records in files and folders, by path; raises UserError if there are none."""
    try:
        found = {
            path: record
            for given in paths
            for path, record in (read_records(given) if given.is_dir() else {given: read_record(given)}).items()
        }
    except RecordError as error:
        raise UserError(str(error)) from error
    if not found:
        raise UserError(f"There is no record in {', '.join(map(str, paths))}. `benchmarks run` writes records.")
    return found


def send(path: Path, record: Record, project: str, entity: str | None, folder: Path) -> None:
    """Upload a record as a W&B run: configuration, numbers as summary, curves, and the file as an artifact.

    Raises:
        UserError: if W&B cannot be used.
    """
    import wandb

    from benchmarks.loggers.records import log_curve_to_run, log_record_to_run, wait_for_a_free_name

    folder.mkdir(parents=True, exist_ok=True)
    wait_for_a_free_name(folder, run_id(record))
    evaluation = {"table": record.table, "row": record.row, "seed": record.seed, "protocol": record.protocol.id}
    try:
        with wandb.init(
            project=project,
            entity=entity,
            dir=str(folder),
            id=run_id(record),
            resume="allow",
            name=run_name(record),
            group=record.table or None,
            job_type="record",
            tags=[
                f"split:{record.split}",
                f"task:{record.task['name']}",
                *(["retired"] if retired_because(record) else []),
            ],
            config={**record.config, **evaluation},
        ) as run:
            log_record_to_run(run, path, record)
            for name, entry in record.metrics.items():
                if entry.per_frame:
                    log_curve_to_run(
                        run, f"{record.split}/{record.task['name']}/{name}_per_frame", name, entry.per_frame
                    )
    except (wandb.errors.Error, OSError) as error:
        raise UserError(
            f"W&B cannot be used: {' '.join(str(error).split())[:300]} Log in with `wandb login`, or keep the runs "
            "local with WANDB_MODE=offline."
        ) from error


def run_id(record: Record) -> str:
    """The id of a record's run: a hash of its table, row and seed, so a newer record updates the run."""
    return content_hash([*record.evaluation_key, record.group, record.row, record.seed])[:16]


def run_name(record: Record) -> str:
    """The name of a record's run."""
    words = [record.table, record.group, record.row, f"s{record.seed}", record.task["name"]]
    return "/".join(word for word in words if word)
