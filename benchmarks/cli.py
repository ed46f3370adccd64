"""The commands `lightning` and `benchmarks`; imports no torch, so that help and error messages appear at once."""

import argparse
import ctypes
import os
import re
import signal
import sys
from collections.abc import Sequence
from importlib import import_module
from itertools import pairwise
from pathlib import Path
from typing import Any, NoReturn

from benchmarks.utils.errors import UserError, run_with_user_errors, unknown_name_error

COMMANDS = {
    "run": ("benchmarks.commands.run", "train and test every row of a benchmark, and keep the records"),
    "leaderboard": ("benchmarks.commands.leaderboard", "make LEADERBOARD.md, CSV, LaTeX and a page from the records"),
    "evaluate": (
        "benchmarks.commands.evaluate",
        "score any folder of videos, made by any model, against reference videos",
    ),
    "compare": ("benchmarks.commands.compare", "test whether two records of the same clips differ by more than chance"),
    "sample": (
        "benchmarks.commands.sample.cli",
        "generate, continue or slow down a clip with a trained model",
    ),
    "export": (
        "benchmarks.commands.export",
        "make a checkpoint a folder of safetensors, configuration and card, and share it",
    ),
    "sync": ("benchmarks.commands.sync", "send the records of past runs to Weights & Biases"),
    "dashboard": ("benchmarks.commands.dashboard", "lay out a W&B workspace and report for the records"),
    "prepare": ("benchmarks.commands.prepare", "download, decode and check a data set"),
    "inspect": (
        "benchmarks.commands.inspect",
        "show what a model gets as input: a contact sheet, a GIF, keypoints, times, motion",
    ),
    "list": (
        "benchmarks.commands.list",
        "list experiments, benchmarks, data, models, metrics, baselines",
    ),
    "weights": ("benchmarks.commands.weights", "list, fetch and verify the pretrained networks of the metrics"),
    "speed": ("benchmarks.commands.speed", "time the training step, sampling and loading of a config"),
}
"""Each command's module, with `add_arguments(parser)` and `main(args) -> exit code`; it imports torch inside `main`."""

LIGHTNING = {
    "fit": ("", "train a model; `--ckpt_path last` resumes an interrupted run"),
    "validate": ("", "evaluate a model on the validation clips"),
    "test": ("", "evaluate a model on the test clips and write a record"),
    "predict": ("", "write a model's predictions for the test clips"),
}


def benchmarks(arguments: Sequence[str] | None = None) -> NoReturn:
    """The `benchmarks` command."""
    arguments = sys.argv[1:] if arguments is None else list(arguments)
    try:
        sys.exit(run_with_user_errors("benchmarks", lambda: _benchmarks(arguments)))
    except BrokenPipeError:  # `benchmarks list | head`: the reader has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except KeyboardInterrupt:
        print("\nbenchmarks: stopped.", file=sys.stderr)
        sys.exit(130)


def lightning(arguments: Sequence[str] | None = None) -> NoReturn:
    """The `lightning` command: LightningCLI with our systems and data."""
    arguments = sys.argv[1:] if arguments is None else list(arguments)
    if not arguments or arguments[0] in ("-h", "--help"):
        print(_overview("lightning", LIGHTNING))
        sys.exit(0)
    if code := run_with_user_errors("lightning", lambda: _check_lightning(arguments)):
        sys.exit(code)
    from benchmarks.lightning_cli import main  # five seconds of torch

    sys.exit(main(arguments))


def child() -> None:
    """The `benchmarks` command of a worker; on Linux the system ends it (SIGTERM) when the worker dies."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGTERM)  # PR_SET_PDEATHSIG
    benchmarks()


def _benchmarks(arguments: list[str]) -> int:
    if not arguments or arguments[0] in ("-h", "--help"):
        print(_overview("benchmarks", COMMANDS))
        return 0
    name, *rest = arguments
    if name not in COMMANDS:
        raise unknown_name_error(
            "option" if name.startswith("-") else "command", name, ["--help"] if name.startswith("-") else COMMANDS
        )
    module_name, summary = COMMANDS[name]
    module = import_module(module_name)
    parser = Parser(prog=f"benchmarks {name}", description=f"{summary[:1].upper()}{summary[1:]}.", allow_abbrev=False)
    module.add_arguments(parser)
    return int(module.main(parser.parse(rest)) or 0)


def _overview(program: str, known: dict[str, tuple[str, str]]) -> str:
    lines = [f"usage: {program} COMMAND [options]", ""]
    lines += [f"  {name:12} {summary}" for name, (_, summary) in known.items()]
    return "\n".join([*lines, "", f"`{program} COMMAND --help` shows the options of a command."])


class Parser(argparse.ArgumentParser):
    """An ArgumentParser that reports a mistake in one line with the nearest valid name.

    Negative times, `-0.5s`, are values of options, as argparse treats negative numbers.
    """

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._negative_number_matcher = re.compile(r"-(\d+(\.\d*)?|\.\d+)(s|ms)?$")

    def parse(self, arguments: Sequence[str]) -> argparse.Namespace:
        """The options; raises UserError for an unknown option or an unexpected argument."""
        parsed, extra = self.parse_known_args(arguments)
        if extra and extra[0].startswith("-"):
            options = [option for option in self._option_string_actions if option.startswith("--")]
            raise unknown_name_error("option", extra[0].partition("=")[0], options)
        if extra:
            raise UserError(f"'{extra[0]}' is an unexpected argument. See `{self.prog} --help`.")
        return parsed

    def error(self, message: str) -> NoReturn:
        """Argparse's own errors (a missing argument, a wrong type) in one line."""
        raise UserError(f"{message[:1].upper()}{message[1:]}. See `{self.prog} --help`.")


def _check_lightning(arguments: Sequence[str]) -> None:
    """Check the command and the config files before torch is imported."""
    command = arguments[0]
    if not command.startswith("-") and command not in LIGHTNING:
        raise unknown_name_error("command", command, LIGHTNING)
    for option, value in _pairs(arguments):
        if option in ("--config", "-c") and not Path(value).is_file() and "\n" not in value and "{" not in value:
            raise unknown_name_error("config file", value, map(str, Path("configs").rglob("*.yaml")))


def _pairs(arguments: Sequence[str]) -> list[tuple[str, str]]:
    """Options with their values, written `--a=b` or `--a b`."""
    joined = [
        (word.partition("=")[0], word.partition("=")[2]) for word in arguments if word.startswith("-") and "=" in word
    ]
    apart = [(word, value) for word, value in pairwise(arguments) if "=" not in word]
    return [*joined, *apart]


if __name__ == "__main__":
    benchmarks()
