"""Records and curves in W&B runs, for trainings and `benchmarks sync`. Imports no torch."""

import glob
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.records.clip_scores import beside
from benchmarks.records.record import Record
from benchmarks.utils.hashing import slug


def wait_for_a_free_name(folder: Path, run_id: str) -> None:
    """Wait until the folder's name is free: W&B names a session's folder by the second and the run's id."""
    while any((folder / "wandb").glob(f"*run-{time.strftime('%Y%m%d_%H%M%S')}-{glob.escape(run_id)}")):
        time.sleep(0.05)


def log_record_to_run(run: Any, path: Path, record: Record) -> None:
    """Log a record as summary (value, interval, number of clips, or the reason for n/a) and artifact of a W&B run."""
    import wandb

    protocol = record.protocol.id.rpartition("-")[0]
    found: dict[str, Any] = {"protocol": record.protocol.id, "data": record.data, "parameters": record.parameters}
    found |= {"budget": record.budget._asdict(), "commit": record.commit, "code_sha256": record.code_sha256}
    if record.throughput:
        found["throughput"] = vars(record.throughput)
    for name, entry in record.metrics.items():
        if entry.value is None:
            found[f"{name}_missing"] = entry.reason
            continue
        found |= {name: entry.value, f"{name}_n": entry.n}
        if entry.interval is not None:
            found |= {f"{name}_low": entry.interval[0], f"{name}_high": entry.interval[1]}
    run.summary.update({f"record/{protocol}/{key}": value for key, value in found.items()})
    label = slug(f"{record.table} {record.row} s{record.seed}") + f"-{record.protocol.id}"
    artifact = wandb.Artifact(label[:120], type="record", metadata={"table": record.table, "row": record.row})
    artifact.add_file(str(path), name=path.name)
    if beside(path).is_file():
        artifact.add_file(str(beside(path)), name=beside(path).name)
    run.log_artifact(artifact)


def log_curve_to_run(run: Any, key: str, metric: str, curve: Sequence[float | int], **axis: int) -> None:
    """Log a curve per frame as a chart of a W&B run, with its table."""
    import wandb

    table = wandb.Table(columns=["frame", metric], data=[[f, float(v)] for f, v in enumerate(curve, start=1)])
    run.log({key: wandb.plot.line(table, "frame", metric, title=key), **axis})
