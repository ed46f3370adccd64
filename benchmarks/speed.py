"""`benchmarks speed`: what a training step, sampling and loading cost; in time, FLOP, memory and function evaluations.

Each model is measured in a process of its own, so that its peak memory is its own. Two are measured step by step in
turn, so that a busy machine slows both. Imports no torch.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.canonical import write_text
from benchmarks.errors import UserError
from benchmarks.plan import read_yaml

Report = dict[str, Any]


class Pipe:
    """A process that measures when it is told to."""

    def __init__(self, process: "subprocess.Popen[str]", errors: Any) -> None:
        assert process.stdin is not None
        assert process.stdout is not None
        self.process, self.stdin, self.stdout, self.errors = process, process.stdin, process.stdout, errors

    def send(self, line: str) -> None:
        """Tell it something."""
        try:
            self.stdin.write(line + "\n")
            self.stdin.flush()
        except BrokenPipeError as error:
            raise self._failure() from error

    def ask(self, word: str) -> Report:
        """Send the word; the answer."""
        self.send(word)
        line = self.stdout.readline()
        if not line:
            raise self._failure()
        answer: Report = json.loads(line)
        if "error" in answer:
            raise UserError(answer["error"])
        return answer

    def _failure(self) -> UserError:
        self.process.wait()
        self.errors.seek(0)
        tail = "\n".join(self.errors.read().splitlines()[-15:])
        return UserError(
            f"The measuring process ended early (exit code {self.process.returncode}). Its last words:\n{tail}"
        )


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of the command."""
    parser.add_argument("config", type=Path, nargs="?", help="a model or an experiment: a .yaml file")
    parser.add_argument(
        "--metrics",
        action="store_true",
        help="time the metrics instead, each beside another implementation, on the CPU",
    )
    parser.add_argument(
        "--dimension", type=int, default=2048, help="width of the features of the Fréchet distance (default: 2048)"
    )
    parser.add_argument("--size", type=int, help="height and width (default: the data's, or 64)")
    parser.add_argument(
        "--frames", type=int, help="frames of a clip, shown and asked together (default: the data's, or 10)"
    )
    parser.add_argument("--batch-size", type=int, help="clips of a batch (default: the data's, or 8)")
    parser.add_argument("--channels", type=int, help="1 or 3 (default: the data's, or the model's)")
    parser.add_argument("--fps", type=float, help="frames per second of the clips (default: the data's, or 25)")
    parser.add_argument("--steps", type=int, default=5, help="timed steps, after a warm-up (default: 5)")
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1, help="CPU threads (default: all)")
    parser.add_argument("--device", default="cpu", help="cpu or cuda (default: cpu)")
    parser.add_argument("--precision", default="32-true", help="the trainer's, such as bf16-mixed (default: 32-true)")
    parser.add_argument("--channels-last", action="store_true", help="networks in channels_last layout")
    parser.add_argument("--compile", action="store_true", help="networks compiled")
    parser.add_argument("--no-data", action="store_true", help="do not time the loading, even if the file names data")
    parser.add_argument("--no-sampling", action="store_true", help="do not time the verbs")
    parser.add_argument(
        "--against", type=Path, metavar="DIR", help="a checkout of github.com/psh01087/Vid-ODE to compare with"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the numbers here")


def main(args: argparse.Namespace) -> int:
    """Measure, print a table, and write the numbers if asked."""
    for option in ("size", "frames", "batch_size", "channels", "fps", "steps", "threads"):
        value = getattr(args, option)
        if value is not None and value < 1:
            raise UserError(f"--{option.replace('_', '-')} must be at least 1; got {value:g}.")
    if args.metrics:
        from benchmarks.timing.metrics import main as time_metrics

        if args.config is not None or args.device != "cpu":
            raise UserError("--metrics times the metrics on the CPU: leave the config and --device out.")
        return time_metrics(args)
    if args.config is None:
        raise UserError("Name a model, like configs/model/vid_ode.yaml, or an experiment; or give --metrics.")
    model, data = read_config(args.config)
    if args.against is not None and not (args.against / "models" / "conv_odegru.py").is_file():
        raise UserError(
            f"{args.against} is no checkout of github.com/psh01087/Vid-ODE: it has no models/conv_odegru.py."
        )
    apart = ("config", "against", "json", "no_data", "metrics", "dimension")
    settings = {key: value for key, value in vars(args).items() if key not in apart}
    data = None if args.no_data else data
    report: Report = {"config": str(args.config)}
    with _process("benchmarks.timing.worker", {**settings, "model": model, "data": data}, args.threads) as ours:
        report.update(ours.ask("open"))
        if args.against is not None:
            report["against"] = _against(args, report, ours)
        elif report["trains"]:
            report["train"] = _steps([ours], args.steps)[0]
        report.update(ours.ask("rest"))
    print("\n".join(table(report)))
    if args.json is not None:
        write_text(args.json, json.dumps(report, indent=1) + "\n")
    return 0


def read_config(path: Path) -> tuple[dict[str, Any], dict[str, Any] | None]:
    """The model and the data (or None) of an experiment, or of a file that is the model alone."""
    if not path.is_file():
        raise UserError(f"There is no file {path}. Name a model, like configs/model/vid_ode.yaml, or an experiment.")
    content = read_yaml(path)
    if "class_path" in content:
        if content["class_path"].startswith("datamodules."):
            raise UserError(f"{path} describes data. Name a model, like configs/model/vid_ode.yaml, or an experiment.")
        return content, None
    if "model" not in content:
        raise UserError(f"{path} has neither a `model:` nor a `class_path:`, so there is nothing to measure.")
    found = [content["model"], content.get("data")]
    for index, value in enumerate(found):
        if isinstance(value, str) and value.endswith((".yaml", ".yml")):
            found[index] = read_yaml(path.parent / value)
        elif isinstance(value, str):
            found[index] = {"class_path": value}
    return found[0], found[1]


def _against(args: argparse.Namespace, ours_report: Report, ours: Pipe) -> Report:
    """Both models' steps in turn, and the ratios of ours to theirs."""
    if not ours_report["trains"]:
        raise UserError(f"{args.config} has nothing to train, so its step cannot be compared.")
    spec = {**ours_report["batch"], "device": args.device, "threads": args.threads, "mode": ours_report["mode"]}
    with _process("benchmarks.timing.vid_ode", spec, args.threads, str(args.against.resolve())) as theirs:
        opened = theirs.ask("open")
        train, their_train = _steps([ours, theirs], args.steps)
        their_memory = theirs.ask("rest")
    ours_report["train"] = train
    return {**opened, **their_memory, "train": their_train, "ratios": ratios(train, their_train)}


def ratios(ours: Report, theirs: Report) -> dict[str, float]:
    """Ours by theirs: what a step takes at best and at the median, its peak memory and its FLOP."""
    pairs = {
        **{
            f"{clock} {name}": (ours[clock][name], theirs[clock][name])
            for clock in ("wall", "cpu")
            for name in ("min", "median")
        },
        "memory": (ours["memory"], theirs["memory"]),
        "flop": (ours["flop"], theirs["flop"]),
    }
    return {name: our / their for name, (our, their) in pairs.items() if their}


def _steps(models: list[Pipe], count: int) -> list[Report]:
    """Warm each model up by a step, then time theirs in turn, then count the FLOP of one more."""
    for model in models:
        model.ask("step")
    times: list[list[Report]] = [[] for _ in models]
    for _ in _progress(count):
        for model, measured in zip(models, times, strict=True):
            measured.append(model.ask("step"))
    counted = [model.ask("count") for model in models]
    return [
        {
            **{clock: _best([step[clock] for step in measured]) for clock in ("wall", "cpu")},
            "matmul_flop_per_second": max(step["matmul"] for step in measured),
            "memory": last["memory"],
            "flop": last["flop"],
            "function_evaluations": last["evaluations"],
        }
        for measured, last in zip(times, counted, strict=True)
    ]


def _best(seconds: list[float]) -> dict[str, Any]:
    return {"min": min(seconds), "median": median(seconds), "all": seconds}


def _progress(count: int) -> Iterator[int]:
    from rich.console import Console
    from rich.progress import track

    yield from track(range(count), description="Timing steps", console=Console(stderr=True), transient=True)


@contextmanager
def _process(module: str, spec: Mapping[str, Any], threads: int, path: str | None = None) -> Iterator[Pipe]:
    """A fresh python that answers over its pipes; what it prints is shown only if it fails."""
    environment = {**os.environ, "OMP_NUM_THREADS": str(threads)}
    folders = [path, os.environ.get("PYTHONPATH")]
    environment["PYTHONPATH"] = os.pathsep.join(folder for folder in folders if folder)
    with (
        tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as errors,
        subprocess.Popen(
            [sys.executable, "-m", module],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            env=environment,
        ) as process,
    ):
        pipe = Pipe(process, errors)
        try:
            pipe.send(json.dumps(dict(spec), default=str))
            yield pipe
        finally:
            process.kill()
            with suppress(BrokenPipeError):  # it ended by itself, with a word still under way
                pipe.stdin.close()


def table(report: Report) -> Iterator[str]:
    """The lines that are printed."""
    batch = report["batch"]
    yield (
        f"{report['model']}: {report['parameters']:,} parameters; batches of {batch['batch_size']} clips of "
        f"{batch['frames']} frames, {batch['channels']} x {batch['size']} x {batch['size']}; {report['device']}"
    )
    yield f"{'':26}{'wall min':>12}{'wall median':>12}{'CPU min':>12}{'CPU median':>12}"
    if "train" in report:
        yield _times("training step", report["train"])
    for name, row in report["sample"].items():
        yield _times(name, row) + f"   {row['function_evaluations']} function evaluations"
    if not report["sample"]:
        yield "sampling: not timed (the model has no verb, or --no-sampling)"
    yield f"loading: {report['loading']}"
    if "train" in report:
        yield from _training(report["train"])
    if "against" in report:
        theirs = report["against"]
        yield f"against {theirs['model']}: {theirs['parameters']:,} parameters, measured step by step in turn"
        yield _times("its training step", theirs["train"])
        yield from _training(theirs["train"])
        named = ", ".join(f"{name} {value:.3f}" for name, value in theirs["ratios"].items())
        yield f"ours by theirs: {named}"


def _training(train: Report) -> Iterator[str]:
    rate, peak = train["flop"] / train["wall"]["min"], train["matmul_flop_per_second"]
    yield f"  FLOP per step            {train['flop'] / 1e9:10.3f} G"
    share = f"{rate / peak:.0%} of the {peak / 1e9:.0f} G of a matrix product in the same run"
    yield f"  FLOP/s                   {rate / 1e9:10.3f} G, {share}"
    yield f"  peak memory              {train['memory'] / 2**30:10.3f} GiB"
    if train["function_evaluations"] is not None:
        yield f"  function evaluations     {train['function_evaluations']:10d}"


def _times(name: str, row: Report) -> str:
    values = [row[clock][which] for clock in ("wall", "cpu") for which in ("min", "median")]
    return f"{name:26}" + "".join(f"{1000 * value:9.1f} ms" for value in values)
