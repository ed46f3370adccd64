"""What a benchmark file of an earlier commit asked of a row, read from that commit's own files. Imports no torch."""

import hashlib
import io
import subprocess
import tarfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from benchmarks.config.resolve import full_class_paths, is_config_file, merge, read_config, resolve
from benchmarks.runs.job import Job
from benchmarks.utils.hashing import content_hash


class EarlierBenchmarks:
    """The benchmarks of a commit.

    Args:
        root: the checkout.
        commit: of which the configs are read.
        folder: where they are put, an empty one.
    """

    def __init__(self, root: Path, commit: str, folder: Path) -> None:
        self.root, self.commit, self.folder = root, commit, folder
        with tarfile.open(fileobj=io.BytesIO(self._git("archive", commit, "configs"))) as archive:
            archive.extractall(folder, filter="data")

    def asked(self, table: str, group: str, label: str, seed: int) -> tuple[str, dict[str, Any]] | None:
        """The hash of what was asked of a row, and its configuration; None if the commit has no such row."""
        path = self.folder / "configs" / "benchmark" / f"{table}.yaml"
        plan = yaml.safe_load(path.read_text(encoding="utf-8")) if path.is_file() else {"rows": []}
        row = next((r for r in plan["rows"] if (r.get("group", ""), r["label"]) == (group, label)), None)
        if row is None or row.get("experiment") is None:
            return None
        tasks = [plan["task"]] if "task" in plan else plan.get("tasks", [])
        asked = {**plan.get("evaluation", {}), **({"tasks": tasks} if tasks else {})}
        settings = self._settings(row)
        weights: Any = None
        if "join" in row:
            stages = {name: s if isinstance(s, dict) else {"experiment": s} for name, s in row["join"].items()}
            weights = {name: self._training(stage) for name, stage in stages.items()}
        elif row.get("checkpoint"):
            file = row["checkpoint"].format(seed=seed)
            weights = hashlib.sha256(self._git("show", f"{self.commit}:{file}")).hexdigest()
        config = merge(resolve(settings["configs"], settings["options"]), {"evaluation": asked})
        return content_hash({**settings, "exam": asked, "weights": weights}), config

    def _settings(self, row: Mapping[str, Any]) -> dict[str, Any]:
        overlays = row.get("overlays", [])
        files = [
            f"configs/experiment/{row['experiment'].removesuffix('.yaml')}.yaml",
            *filter(is_config_file, overlays),
        ]
        options = [overlay for overlay in overlays if not is_config_file(overlay)]
        return {"configs": [read_config(self.folder / file) for file in files], "options": options}

    def _training(self, row: Mapping[str, Any]) -> str:
        settings = self._settings(row)
        configs = [{key: value for key, value in c.items() if key != "evaluation"} for c in settings["configs"]]
        return content_hash({**settings, "configs": configs})

    def _git(self, *arguments: str) -> bytes:
        return subprocess.run(["git", "-C", str(self.root), *arguments], capture_output=True, check=True).stdout


def config_of(job: Job) -> dict[str, Any]:
    """The configuration that a row asks for now, with full class paths."""
    asked = merge(job.settings, {"evaluation": job.evaluation})
    found: dict[str, Any] = full_class_paths(asked)
    return found
