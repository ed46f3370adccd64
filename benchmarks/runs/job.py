"""Jobs: one row of a benchmark with one seed; where its files are, and the commands that train and test it."""

import hashlib
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml

from benchmarks.config.resolve import full_class_paths, is_config_file, resolve, short_class_names
from benchmarks.records.provenance import Code, code_of_training
from benchmarks.records.record import Record, read_record
from benchmarks.records.source_tree import learns
from benchmarks.runs.spec import BenchmarkSpec, Row
from benchmarks.utils.errors import UserError, unknown_name_error
from benchmarks.utils.hashing import content_hash, slug
from datamodules.files import write_text

EXPERIMENTS = Path("configs/experiment")


@dataclass(frozen=True)
class Job:
    """One row with one seed. Two jobs with the same training share a folder, so the training runs once.

    Args:
        spec: the benchmark.
        row: one of its rows.
        seed: of data order, weights and noise.
        runs: folder of checkpoints and logs.
        results: folder of committed records.
    """

    spec: BenchmarkSpec
    row: Row
    seed: int
    runs: Path
    results: Path

    @property
    def name(self) -> str:
        """The name in messages."""
        return f"{self.row.name}, seed {self.seed}"

    @property
    def experiment(self) -> Path:
        """The row's config file."""
        return EXPERIMENTS / f"{self._experiment}.yaml"

    @property
    def stages(self) -> dict[str, "Job"]:
        """The trainings of a joined row, by name; a row with the same training shares it."""
        rows = {name: Row(f"{self.row.name} ({name})", **vars(stage)) for name, stage in self.row.join.items()}
        return {name: replace(self, row=row) for name, row in rows.items()}

    @property
    def joined(self) -> Path:
        """The file of the joined network."""
        return self.evaluation_folder / "joined.safetensors"

    @property
    def checkpoint(self) -> Path | None:
        """The checkpoint that is tested without training: the row's own, or the joined one."""
        if self.row.join:
            return self.joined
        return None if self.row.checkpoint is None else Path(self.row.checkpoint.format(seed=self.seed))

    @property
    def folder(self) -> Path:
        """`runs/<experiment>/<seed>`; overrides are part of the experiment's name."""
        name = self._experiment
        if self.row.overrides:
            words = slug("_".join(_short(override) for override in self.row.overrides))
            name += f"+{words[:40]}-{content_hash(self.row.overrides)[:8]}"
        return self.runs / name / str(self.seed)

    @property
    def evaluation_folder(self) -> Path:
        """Where the test run of this table and row writes its records."""
        return self.folder / self.spec.name / slug(self.row.name)

    def check(self) -> None:
        """Check the files that the row names.

        Raises:
            UserError: if one does not exist.
        """
        if not self.experiment.is_file():
            known = [path.relative_to(EXPERIMENTS).with_suffix("").as_posix() for path in EXPERIMENTS.rglob("*.yaml")]
            raise unknown_name_error(f"experiment for the row '{self.row.label}':", self._experiment, known)
        for override in self.row.overrides:
            file = override.rpartition("=")[2]
            if is_config_file(file) and not Path(file).is_file():
                known = [str(path) for path in Path("configs").rglob("*.yaml")]
                raise unknown_name_error(f"override for the row '{self.row.label}':", file, known)
        for stage in self.stages.values():
            stage.check()
        if self.checkpoint is not None and not self.row.join and not self.checkpoint.is_file():
            raise UserError(f"The checkpoint of the row '{self.row.label}', {self.checkpoint}, does not exist.")

    @cached_property
    def settings(self) -> dict[str, Any]:
        """What is trained: the experiment with its overrides, and with every file that they name read in its place."""
        settings: dict[str, Any] = full_class_paths(resolve([self.experiment], self.row.overrides))
        return settings

    @property
    def trains(self) -> bool:
        """Whether there is anything to learn: no checkpoint is given and the model has a `training_step`."""
        model = self.settings.get("model") or ""
        return self.checkpoint is None and learns(model if isinstance(model, str) else model.get("class_path", ""))

    @property
    def training_code(self) -> Code:
        """What the training is made of: model, data, and the callbacks that can change it."""
        return code_of_training([self.settings])

    @property
    def training_request(self) -> str:
        """A hash of what is trained. How it is evaluated does not matter for that, nor which files say it."""
        trained = {key: value for key, value in self.settings.items() if key != "evaluation"}
        return content_hash(short_class_names(trained))

    @property
    def request(self) -> str:
        """A hash of what is asked for: training, weights, evaluation. Not the seed, so a row's records share it."""
        weights: Any = None
        if self.row.join:
            weights = {name: stage.training_request for name, stage in self.stages.items()}
        elif self.checkpoint:
            weights = hashlib.sha256(self.checkpoint.read_bytes()).hexdigest()
        asked = {"settings": self.settings, "evaluation": self.evaluation, "weights": weights}
        if self.spec.test_overrides:
            asked["test_overrides"] = self.spec.test_overrides
        return content_hash(short_class_names(asked))

    @property
    def evaluation(self) -> dict[str, Any]:
        """What the benchmark asks of every row, over the experiment's own `evaluation` settings."""
        return {**self.spec.evaluation, **({"tasks": self.spec.tasks} if self.spec.tasks else {})}

    @property
    def options(self) -> list[str]:
        """What `lightning fit` and `lightning test` are both told."""
        words = [f"--config={self.experiment}"]
        words += [f"--config={word}" if is_config_file(word) else f"--{word}" for word in self.row.overrides]
        return [*words, f"--seed_everything={self.seed}", f"--trainer.default_root_dir={self.folder}"]

    def fit_command(self) -> list[str]:
        """The words after `lightning` that train the row, from its last checkpoint if there is one."""
        last = self.trained_checkpoint("last")
        return ["fit", *self.options, *([f"--ckpt_path={last}"] if last else [])]

    def test_command(self) -> list[str]:
        """The words after `lightning` that evaluate the row; writes the config that they name."""
        config = self.evaluation_folder / "evaluation.yaml"
        filing = {
            "table": self.spec.name,
            "row": self.row.label,
            "folder": str(self.evaluation_folder),
            "request": self.request,
            **({"group": self.row.group} if self.row.group else {}),
        }
        write_text(
            config, yaml.safe_dump({"evaluation": {**self.evaluation, **filing}}, sort_keys=False, allow_unicode=True)
        )
        weights = self.selected
        other_data = [f"--{override}" for override in self.spec.test_overrides]
        checkpoint = [f"--ckpt_path={weights}"] if weights else []
        return ["test", *self.options, f"--config={config}", *other_data, *checkpoint]

    def filed(self) -> dict[Path, Record]:
        """The row's records among the results, also of earlier requests."""
        paths = sorted((self.results / self.spec.name).glob(f"{slug(self.row.label)}-s{self.seed}-*.json"))
        found = {path: read_record(path) for path in paths}
        place = self.row.group, self.row.label
        return {path: record for path, record in found.items() if (record.group, record.row) == place}

    def trained_checkpoint(self, which: str) -> Path | None:
        """`last.ckpt` or `best.ckpt` of the training, the newest if several sessions left one."""
        found = sorted(self.folder.rglob(f"{which}.ckpt"), key=lambda path: path.stat().st_mtime_ns)
        return found[-1] if found else None

    @property
    def _experiment(self) -> str:
        if self.row.experiment is None:
            raise UserError(f"The row '{self.row.name}' has no experiment: the project has no such model.")
        return self.row.experiment.removesuffix(".yaml")

    @property
    def selected(self) -> Path | None:
        """The weights that are evaluated: given, joined or trained; None if there is nothing to learn, or not yet."""
        return self.checkpoint or (self.trained_checkpoint(self._selection) if self.trains else None)

    @property
    def _selection(self) -> str:
        chosen = self.evaluation.get("selection") or self.settings.get("evaluation", {}).get("selection") or "last"
        return "best" if chosen.startswith("best") else "last"


def _short(override: str) -> str:
    """An override in the name of a folder: of a file its name, of an option the last key and the value."""
    key, _, value = override.rpartition("=")
    name = Path(value).stem if is_config_file(value) else value
    return f"{key.rpartition('.')[2]}-{name}" if key else name
