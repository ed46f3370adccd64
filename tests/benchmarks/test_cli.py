"""The command line answers help and mistakes at once, in one line, without torch."""

import os
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

from benchmarks.cli import COMMANDS, Parser, benchmarks, lightning
from benchmarks.records import provenance
from benchmarks.records.source_tree import descendants, find, lineage


def fresh(*arguments: str) -> subprocess.CompletedProcess[str]:
    """The command in a process of its own, which fails if it knows torch."""
    code = (
        "import sys\n"
        "from benchmarks.cli import benchmarks\n"
        "try: benchmarks()\n"
        "except SystemExit as end: code = end.code\n"
        "heavy = {'torch', 'numpy', 'lightning', 'scipy', 'av'} & set(sys.modules)\n"
        "if heavy: sys.exit(f'imported {heavy}')\n"
        "sys.exit(code)\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(provenance.ROOT)}
    command = [sys.executable, "-c", code, *arguments]
    return subprocess.run(command, capture_output=True, text=True, env=environment, cwd=provenance.ROOT)


@pytest.mark.parametrize("arguments", [[], ["--help"], *([name, "--help"] for name in COMMANDS)], ids=" ".join)
def test_help_needs_no_torch(arguments: list[str]) -> None:
    done = fresh(*arguments)
    assert done.returncode == 0, done.stderr
    assert "usage: benchmarks" in done.stdout


def test_overview_names_what_exists_and_only_that() -> None:
    out = fresh().stdout
    assert all(f"  {name} " in out for name in COMMANDS)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_a_module_with_its_options_and_a_main(name: str) -> None:
    module = import_module(COMMANDS[name][0])
    parser = Parser(prog=name)
    module.add_arguments(parser)
    assert callable(module.main)


def test_list_needs_no_torch_and_finds_the_classes() -> None:
    done = fresh("list")
    assert done.returncode == 0, done.stderr
    for name in (
        "baselines.repeat_last.RepeatLast",
        "lightning_modules.vid_ode.VidODE",
        "benchmarks.metrics.reference.MSE",
    ):
        assert name in done.stdout
    assert "ClipDataModule" not in done.stdout  # a contract is nothing to choose
    assert fresh("list", "data").stdout.startswith("data:\n")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["lst"], "Unknown command 'lst'. Did you mean 'list'?"),
        (["frobnicate"], "Unknown command 'frobnicate'. Available:"),
        (["--hepl"], "Unknown option '--hepl'. Did you mean '--help'?"),
        (["list", "metrix"], "Unknown kind 'metrix'. Did you mean 'metrics'?"),
        (["list", "data", "now"], "'now' is an unexpected argument. See `benchmarks list --help`."),
        (["leaderboard", "--chck"], "Unknown option '--chck'. Did you mean '--check'?"),
        (["leaderboard", "--output"], "Argument --output: expected one argument. See `benchmarks leaderboard --help`."),
        (["run"], "The following arguments are required: benchmark. See `benchmarks run --help`."),
        (["run", "configs/benchmark/dmo.yaml"], "Unknown benchmark file 'configs/benchmark/dmo.yaml'"),
    ],
)
def test_mistakes_get_one_line(arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        benchmarks(arguments)
    heard = capsys.readouterr()
    assert caught.value.code == 2
    assert heard.out == ""
    assert heard.err.startswith(f"benchmarks: {message}")
    assert heard.err.count("\n") == 1


def test_a_mistyped_benchmark_gets_the_nearest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "configs/benchmark").mkdir(parents=True)
    (tmp_path / "configs/benchmark/demo.yaml").touch()
    for name in ("dmo", "configs/benchmark/dmo.yaml"):
        with pytest.raises(SystemExit):
            benchmarks(["run", name])
        assert "Did you mean 'configs/benchmark/demo.yaml'?" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["fti"], "Unknown command 'fti'. Did you mean 'fit'?"),
        (["fit", "--config", "confgs/x.yaml"], "Unknown config file 'confgs/x.yaml'"),
        (["fit", "--config=confgs/x.yaml"], "Unknown config file 'confgs/x.yaml'"),
    ],
)
def test_lightning_catches_slips_before_torch(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        lightning(arguments)
    assert caught.value.code == 2
    assert capsys.readouterr().err.startswith(f"lightning: {message}")


SOURCES = {
    "lightning_modules/__init__.py": "from lightning_modules.parts import Public as Public",
    "lightning_modules/parts.py": (
        "import abc\nfrom abc import ABC\nfrom . import helpers\n"
        "class Base(ABC):\n  '''A contract.'''\n  def training_step(self): ...\n"
        "class Public(Base):\n  '''Does\n  much. And more.\n\n  Args: none'''\n"
        "class _Hidden(Base): ...\n"
        "class Other(helpers.Mixin): ...\n"
    ),
    "lightning_modules/helpers.py": "def late():\n  from datamodules import clip\nclass Mixin: ...",
    "datamodules/__init__.py": "",
    "datamodules/clip.py": "from lightning_modules import parts",
    "datamodules/alone.py": "",
}


def test_source_is_read_as_python_would(tmp_path: Path) -> None:
    for name, text in SOURCES.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    public = find("lightning_modules.Public", tmp_path)  # through the re-export
    assert public is not None
    assert public == find("Public", tmp_path)
    assert (public.path, public.summary) == ("lightning_modules.parts.Public", "Does much. And more.")
    assert [link.path.rpartition(".")[2] for link in lineage(public.path, tmp_path)] == ["Public", "Base"]
    assert [entry.path for entry in descendants("lightning_modules.parts.Base", tmp_path)] == [public.path]
    assert [link.path for link in lineage("lightning_modules.parts.Other", tmp_path)][-1:] == [
        "lightning_modules.helpers.Mixin"
    ]
    assert find("lightning_modules.Absent", tmp_path) is None
    assert find("elsewhere.Public", tmp_path) is None


def test_a_reader_that_has_seen_enough_is_no_error() -> None:
    code = "from benchmarks.cli import benchmarks; benchmarks()"
    environment = {**os.environ, "PYTHONPATH": str(provenance.ROOT)}
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(
        [sys.executable, "-c", code, "list"],
        stdout=writer,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
        check=False,
    )
    os.close(writer)
    assert (done.returncode, done.stderr) == (1, "")


def test_a_plan_that_is_not_there_shows_those_that_are() -> None:
    done = fresh("run", "nope.yaml")
    assert done.returncode == 2
    assert "Unknown benchmark file 'nope.yaml'. Available: configs/benchmark/demo.yaml" in done.stderr
