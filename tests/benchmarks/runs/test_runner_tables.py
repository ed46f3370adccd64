"""`benchmarks run` on the tables and figures of papers: groups of rows, joined rows, rows without a model, figures."""

import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
import torch

from benchmarks.config.resolve import full_class_paths, read_config
from benchmarks.figures.base import Figure, Trained, build_figure, trained
from benchmarks.records.record import read_records
from benchmarks.runs import runner
from benchmarks.runs.job import Job
from benchmarks.runs.join_stages import main as join_main
from benchmarks.runs.spec import read_benchmark
from benchmarks.utils.errors import UserError
from lightning_modules.checkpoints.build import build, load, save
from lightning_modules.training_cost import TrainingCost
from support.tiny_project import BENCHMARK, Run, calls

HEAD = "title: Tiny\nseeds: [0, 1]\ntasks: [{class_path: benchmarks.evaluation.tasks.Predict}]\n"
GROUPS = f"""{HEAD}rows:
  - {{label: Learns, group: KTH, experiment: shapes/learns}}
  - {{label: Learns, group: Penn, experiment: shapes/learns, overrides: [configs/smoke/learns.yaml]}}
  - {{label: Secret, group: KTH}}
"""
JOINED = f"""{HEAD}rows:
  - label: Both
    experiment: shapes/repeats
    join: {{motion: shapes/learns, video: {{experiment: shapes/learns, overrides: [configs/smoke/learns.yaml]}}}}
  - {{label: Learns, experiment: shapes/learns}}
"""


class Names(Figure):
    """A figure for the tests: the names of its rows."""

    def __init__(self, ending: str = "txt") -> None:
        self.ending = ending

    def draw(self, rows: Sequence[Trained], folder: Path) -> list[Path]:
        path = folder / f"names.{self.ending}"
        path.write_text("\n".join(f"{r.label} {r.seed} {len(r.records)} {r.checkpoint}" for r in rows))
        return [path]


def write(text: str) -> Path:
    path = Path("configs/benchmark/tiny.yaml")
    path.write_text(text)
    return path


def test_groups_hold_rows_of_one_label(run: Run, capfd: pytest.CaptureFixture[str]) -> None:
    write(GROUPS)
    assert run("--seeds=0") == 0
    records = read_records(Path("benchmarks/results"))
    assert [(r.group, r.row) for r in records.values()] in ([("KTH", "Learns"), ("Penn", "Learns")],
                                                            [("Penn", "Learns"), ("KTH", "Learns")])  # fmt: skip
    assert "tiny: 2 done." in capfd.readouterr().out
    calls()
    assert run("--seeds=0", "--only=Penn") == 0
    assert calls() == []
    assert run("--seeds=1", "--only=Penn") == 0
    assert [line.split()[0] for line in calls()] == ["fit", "test"]
    assert run("--only=Pen") == 2
    assert "Did you mean 'Penn'?" in capfd.readouterr().err


def test_a_row_without_a_model_is_never_run_and_takes_no_settings(run: Run) -> None:
    write(GROUPS)
    assert run("--dry-run", "--only=Secret") == 2
    spec = write(GROUPS.replace("{label: Secret, group: KTH}", "{label: Secret, checkpoint: a.ckpt}"))
    with pytest.raises(UserError, match="'Secret' names no `experiment`"):
        read_benchmark(spec)


@pytest.fixture
def joins(monkeypatch: pytest.MonkeyPatch) -> None:
    """A stand-in for the joining of networks: their texts, one after the other."""
    code = "import sys; from pathlib import Path as P; a, b, o = map(P, sys.argv[1:]); o.parent.mkdir(parents=True, \
exist_ok=True); o.write_bytes(a.read_bytes() + b.read_bytes())"
    monkeypatch.setattr(runner, "JOIN", (sys.executable, "-c", code))


@pytest.mark.usefixtures("joins")
def test_a_joined_row_trains_its_stages_once_and_tests_what_they_make(
    run: Run,
    capfd: pytest.CaptureFixture[str],
) -> None:
    write(JOINED)
    assert run("--seeds=0", "--dry-run") == 0
    assert "shapes/learns.yaml --seed_everything=0" in (said := capfd.readouterr().out)
    assert "then join, then test on test" in said
    assert run("--seeds=0") == 0
    joined = Path("runs/shapes/repeats/0/tiny/both/joined.safetensors")
    asked = calls()
    assert [line.split()[0] for line in asked] == ["fit", "fit", "test", "test"]  # the last row shares a training
    assert asked[2].endswith(f" {joined}")
    assert joined.read_bytes().count(b"step") == 2
    assert run("--seeds=0") == 0
    assert calls() == []
    Path("configs/smoke/learns.yaml").write_text("trainer: {max_epochs: 2}")
    assert run("--seeds=0", "--only=Both") == 0
    assert [line.split()[0] for line in calls()] == ["fit", "test"]  # the stage that changed, and the exam


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("video:", "vdeo:", "Did you mean 'video'"),
        ("{motion: shapes/learns, ", "{", "The key 'motion' is missing"),
        ("    experiment: shapes/repeats\n", "", "names no `experiment`"),
        ("    join", "    checkpoint: a.ckpt\n    join", "`join` and `checkpoint`; give one"),
    ],
)
def test_a_wrong_join_is_refused(run: Run, old: str, new: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        read_benchmark(write(JOINED.replace(old, new)))


def test_figures_are_drawn_when_the_rows_are_done(run: Run, capfd: pytest.CaptureFixture[str]) -> None:
    figure = f"kind: gallery\nfigure: {{class_path: {__name__}.Names, init_args: {{ending: md}}}}\n"
    write(BENCHMARK + figure)
    assert run("--only=Repeats") == 0
    drawn = Path("runs/figures/tiny/names.md")
    assert not drawn.exists()
    assert run() == 0
    assert f"Look at {drawn}" in capfd.readouterr().out
    assert drawn.read_text().splitlines()[:2] == [
        "Learns 0 2 runs/shapes/learns/0/checkpoints/last.ckpt",
        "Repeats 0 2 None",
    ]


def test_a_gallery_needs_a_figure_and_a_figure_must_be_one(run: Run) -> None:
    with pytest.raises(UserError, match="A gallery needs the key 'figure'"):
        read_benchmark(write(BENCHMARK + "kind: gallery\n"))
    with pytest.raises(UserError, match="Predict is no Figure"):
        build_figure({"class_path": "benchmarks.evaluation.tasks.Predict"})
    assert isinstance(build_figure({"class_path": f"{__name__}.Names"}), Names)


def test_a_figures_rows_know_their_configuration(run: Run) -> None:
    write(
        BENCHMARK.replace(
            "shapes/learns}", "shapes/learns, overrides: [configs/smoke/learns.yaml, trainer.max_steps=3]}"
        )
    )
    spec = read_benchmark(Path("configs/benchmark/tiny.yaml"))
    row = trained(Job(spec, spec.rows[0], 0, Path("runs"), Path("benchmarks/results")))
    assert row.config == {
        "model": {"class_path": "baselines.constant.Constant", "init_args": {"value": "mean"}},
        "trainer": {"max_epochs": 1, "max_steps": 3},
    }
    assert row.records == []
    other = trained(Job(spec, spec.rows[1], 0, Path("runs"), Path("benchmarks/results")))
    assert type(other.system()).__name__ == "RepeatLast"


def test_two_trained_stages_become_one_file_that_knows_their_cost(tmp_path: Path) -> None:
    paths = []
    for name in ("motion_gan", "motion_to_video_gan"):
        system = build(full_class_paths(read_config(Path(f"configs/model/{name}.yaml"))))
        system.trained = TrainingCost(10, 1.5, "cpu")
        paths.append(tmp_path / f"{name}.safetensors")
        save(system, paths[-1])
    out = tmp_path / "joined.safetensors"
    assert join_main(*map(str, paths), str(out)) == 0
    joined = load(out)
    assert type(joined).__name__ == "ModeGAN"
    assert joined.trained == TrainingCost(20, 3.0, "cpu")
    first = torch.cat([p.flatten() for p in load(paths[0]).generator.parameters()])
    assert torch.equal(first, torch.cat([p.flatten() for p in joined.motion.generator.parameters()]))


def test_stages_that_do_not_fit_say_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    system = build({"class_path": "baselines.repeat_last.RepeatLast"})
    save(system, tmp_path / "a.safetensors")
    assert join_main(*[str(tmp_path / "a.safetensors")] * 2, str(tmp_path / "out.safetensors")) == 1
    assert "A ModeGAN is a MotionGAN and a MotionToVideoGAN" in capsys.readouterr().err
    assert not (tmp_path / "out.safetensors").exists()
