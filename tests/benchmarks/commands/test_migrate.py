"""Old names resolve, old records are read, and a migration carries over what is proven and nothing else."""

import dataclasses
import json
import subprocess
from pathlib import Path

import pytest
from safetensors import safe_open
from safetensors.numpy import save_file

from benchmarks.commands import migrate
from benchmarks.commands.migrate import Migration
from benchmarks.records import provenance, renamed
from benchmarks.records.definitions import Definitions
from benchmarks.records.proof import Proof
from benchmarks.records.provenance import code_of_record
from benchmarks.records.record import Record, read_record
from benchmarks.records.upgrade import upgraded
from benchmarks.runs.filing import valid_records
from benchmarks.runs.job import Job
from benchmarks.runs.spec import read_benchmark
from benchmarks.utils.hashing import content_hash
from lightning_modules.checkpoints import renamed as models
from lightning_modules.checkpoints.build import load
from support.record_maker import make_record

ROOT = provenance.ROOT
DEMO = ROOT / "benchmarks/results/demo"
CODE = """from lightning_modules.parts import help_out


class Model:
    def mark(self, draws=1):
        self.total = help_out(draws, shown=2)
        if self.total < 0:
            raise ValueError("negative")
        return {"draws": self.total}
"""
PARTS = "def help_out(value, shown):\n    return value * shown\n"
FILES = {"lightning_modules/__init__.py": "", "lightning_modules/model.py": CODE, "lightning_modules/parts.py": PARTS}


@pytest.mark.parametrize(
    ("changes", "table", "proven"),
    [
        ([], {}, True),
        ([("mark", "update")], {"mark": "update"}, True),
        ([("mark", "update")], {"Model:mark": "update"}, True),
        ([("mark", "update")], {"Other:mark": "update"}, False),
        ([("mark", "update")], {}, False),
        ([("draws", "num_samples")], {"draws": "num_samples"}, True),
        ([('"draws"', '"num_samples"')], {"draws": "num_samples"}, True),
        ([("shown", "observed")], {"shown": ("context", "observed")}, True),
        ([("mark", "total")], {"mark": "total"}, False),
        ([("help_out", "assist")], {}, True),
        ([("Model", "System")], {}, False),
        ([("Model", "System")], {"Model": "System"}, True),
        ([("value * shown", "shown * value")], {}, False),
        ([("shown=2", "shown=3")], {"2": "3"}, False),
        ([("ValueError", "KeyError")], {}, True),
        ([("negative", "below zero")], {}, True),
    ],
)
def test_code_is_equal_up_to_the_table_of_names(
    changes: list[tuple[str, str]], table: dict[str, str], proven: bool
) -> None:
    files = dict(FILES)
    for old, new in changes:
        files = {name: text.replace(old, new) for name, text in files.items()}
    name = "System" if any(new == "System" for _, new in changes) else "Model"
    pair = ("lightning_modules.model", "Model"), ("lightning_modules.model", name)
    assert (Proof(Definitions(FILES), Definitions(files), table).difference([pair]) == []) is proven


def test_another_kind_of_error_counts_where_it_is_caught() -> None:
    handled = PARTS + "def run(x):\n    try:\n        return fail(x)\n    except ValueError:\n        return 0\n"
    before = {"lightning_modules/a.py": handled + "def fail(x):\n    raise ValueError('no')\n"}
    pair = ("lightning_modules.a", "run"), ("lightning_modules.a", "run")
    for error, proven in (("UnicodeError", True), ("KeyError", False)):
        after = {
            "lightning_modules/a.py": before["lightning_modules/a.py"].replace("raise ValueError", f"raise {error}")
        }
        assert (Proof(Definitions(before), Definitions(after), {}).difference([pair]) == []) is proven


def test_old_names_in_a_configuration_resolve() -> None:
    names = models.Names(
        {"baselines.old": "baselines.new"},
        {"baselines.old.Fade": "baselines.new.Blend"},
        {("baselines.new.Blend", "still"): "copy_last_init", ("*", "examined"): "test_split"},
        {("baselines.new.Blend", "sees", "jet"): "all_derivatives"},
    )
    config = {"class_path": "baselines.old.Fade", "init_args": {"still": 1, "sees": "jet", "examined": "val"}}
    new = {"copy_last_init": 1, "sees": "all_derivatives", "test_split": "val"}
    assert names.of_config([config]) == [{"class_path": "baselines.new.Blend", "init_args": new}]
    assert names.of_config(names.of_config(config)) == names.of_config(config)
    assert names.class_path("baselines.old.Other") == "baselines.new.Other"
    with pytest.raises(ValueError, match="`copy_last_init` twice"):
        names.of_config({**config, "init_args": {"still": 1, "copy_last_init": 2}})


def test_a_checkpoint_with_old_names_is_loaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with safe_open(DEMO / "vid_ode_small.safetensors", framework="numpy") as file:
        metadata, weights = dict(file.metadata()), {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
    old = metadata["config"].replace('.vid_ode.VidODE"', '.continuous.VideoODE"').replace('"observe"', '"given"')
    assert old != metadata["config"]
    save_file(weights, tmp_path / "old.safetensors", metadata={**metadata, "config": old})
    monkeypatch.setitem(models.CLASSES, "lightning_modules.continuous.VideoODE", "lightning_modules.vid_ode.VidODE")
    monkeypatch.setitem(models.ARGUMENTS, ("lightning_modules.vid_ode.VidODE", "given"), "observe")
    assert load(tmp_path / "old.safetensors").config == load(DEMO / "vid_ode_small.safetensors").config


def test_committed_records_of_both_versions_are_read_by_new_names(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(renamed.SETTINGS, "num_samples", "answers")
    monkeypatch.setitem(renamed.SETTINGS, "task.stride", "step")
    path = next(path for path in sorted(DEMO.glob("*.json")) if "stride" in json.loads(path.read_text())["task"])
    content = json.loads(path.read_text())
    record = read_record(path)
    assert (record.version, record.protocol.settings["answers"]) == (2, content["protocol"]["settings"]["num_samples"])
    assert record.task["step"] == record.protocol.settings["task"]["step"] == content["task"]["stride"]
    assert record.protocol.id != content["protocol"]["id"]
    assert record.metrics.keys() == content["metrics"].keys()
    assert record.checkpoint_sha256 is record.training_finished is None or content["version"] == 2
    assert Record.from_json(record.to_json()) == record
    assert content == json.loads(path.read_text())
    if content["version"] == 1:
        assert "migrate" in (record.stale_reason or "")


def test_a_label_of_a_protocol_follows_its_arguments(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(renamed.SETTINGS, "task.given", "context")
    content = make_record().to_json()
    content["protocol"]["id"] = "predict-given5-5to5-00000000"
    assert upgraded(content)["protocol"]["id"].startswith("predict-context5-5to5-")


PROJECT = {
    **FILES,
    "lightning_modules/callbacks/budget.py": "class Budget:\n    limit = 1\n",
    "benchmarks/evaluation/callback.py": "class Evaluation:\n    seed = 0\n",
    "benchmarks/lightning_cli.py": "from lightning_modules.callbacks.budget import Budget\n",
    "configs/experiment/shapes/model.yaml": "model: {class_path: lightning_modules.model.Model}\n",
    "configs/benchmark/tiny.yaml": "title: Tiny\nrows: [{label: Ours, experiment: shapes/model}]\n",
}


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project with one benchmark and its fresh record, committed."""
    for name, text in PROJECT.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(provenance, "ROOT", tmp_path)
    monkeypatch.setattr(migrate, "ROOT", tmp_path)
    config = {"model": {"class_path": "lightning_modules.model.Model"}}
    # what requests were hashed from when records had version 1
    request = content_hash({"configs": [config], "options": [], "exam": {}, "weights": None})
    code = code_of_record(config, "lightning_modules.model.Model", Definitions.of_folder(tmp_path))
    made = make_record(table="tiny", row="Ours", class_path="lightning_modules.model.Model", config=config)
    record = dataclasses.replace(made, code=code.modules, code_sha256=code.sha256, request=request)
    record.write(Path("benchmarks/results/tiny") / record.file_name)
    for words in (["init", "-q"], ["add", "."], ["-c", "user.name=a", "-c", "user.email=a@b", "commit", "-qm", "a"]):
        subprocess.run(["git", *words], check=True)
    provenance.definitions_of.cache_clear()
    return tmp_path


def carried(project: Path) -> Record:
    provenance.definitions_of.cache_clear()
    [path] = Path("benchmarks/results/tiny").glob("*.json")
    configs = project / "old"
    configs.mkdir()
    migration = Migration(project, "HEAD", configs, Definitions.of_folder(project))
    return migration.carried(json.loads(path.read_text()), Path("benchmarks/results"))


def test_what_is_proven_is_carried_over_and_then_found(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (project / "lightning_modules/model.py").write_text(CODE.replace("mark", "update"))
    (project / "lightning_modules/__init__.py").write_text("from lightning_modules.model import Model as Model\n")
    experiment = project / "configs/experiment/shapes/model.yaml"
    experiment.write_text(experiment.read_text().replace(".model.Model", ".Model"))  # through the re-export
    monkeypatch.setitem(renamed.IDENTIFIERS, "mark", "update")
    assert read_record(next(Path("benchmarks/results/tiny").glob("*.json"))).stale
    assert migrate.main(["--from", "HEAD", "--write"]) == 0
    provenance.definitions_of.cache_clear()
    spec = read_benchmark(Path("configs/benchmark/tiny.yaml"))
    job = Job(spec, spec.rows[0], 0, Path("runs"), Path("benchmarks/results"))
    assert len(valid_records(job, False)) == 1


@pytest.mark.parametrize(
    ("file", "old", "new", "reason"),
    [
        ("lightning_modules/parts.py", "value * shown", "value + shown", "help_out"),
        ("lightning_modules/callbacks/budget.py", "limit = 1", "limit = 2", "Budget"),
        ("benchmarks/evaluation/callback.py", "seed = 0", "seed = 1", "Evaluation"),
        (
            "configs/experiment/shapes/model.yaml",
            "model.Model",
            "model.Model, init_args: {lr: 1}",
            "something else now",
        ),
    ],
)
def test_what_is_not_proven_stays_stale_with_the_reason(
    project: Path, file: str, old: str, new: str, reason: str
) -> None:
    assert old in PROJECT[file]
    (project / file).write_text(PROJECT[file].replace(old, new))
    assert reason in (carried(project).stale_because or "")


def test_what_was_stale_already_is_never_stamped(project: Path) -> None:
    [path] = Path("benchmarks/results/tiny").glob("*.json")
    dataclasses.replace(read_record(path), code_sha256="0" * 64).write(path)
    assert carried(project).stale_because == "it was stale already"
