"""`benchmarks speed`: cost of a training step, sampling and loading, in time, FLOP, memory and function evaluations.

Each model runs in its own process, so that peak memory is measured per model. Several models, and public code beside
ours, are measured step by step in turn, so that other load on the machine slows all equally. Imports no torch.
"""

import argparse
import json
import os
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.config.resolve import full_class_paths, read_config
from benchmarks.profiling.pipe import Pipe, Report, process
from benchmarks.profiling.table import relative_to_first, table
from benchmarks.utils.errors import UserError
from datamodules.files import write_text

PUBLIC = {
    "models/conv_odegru.py": "benchmarks.profiling.vid_ode",
    "models/mocogan_ode.py": "benchmarks.profiling.latent_dynamics",
}
"""The module that runs each public code base, by a file that identifies it."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of the command."""
    parser.add_argument(
        "configs", metavar="config", type=Path, nargs="*", help="models or experiments: .yaml files, timed in turn"
    )
    parser.add_argument(
        "--metrics",
        action="store_true",
        help="time the metrics instead, each with a reference implementation, on the CPU",
    )
    parser.add_argument(
        "--dimension", type=int, default=2048, help="width of the features of the Fréchet distance (default: 2048)"
    )
    parser.add_argument("--size", type=int, help="height and width (default: the data's, or 64)")
    parser.add_argument(
        "--frames", type=int, help="frames of a clip, observed and target together (default: the data's, or 10)"
    )
    parser.add_argument("--batch-size", type=int, help="clips per batch (default: the data's, or 8)")
    parser.add_argument("--channels", type=int, help="1 or 3 (default: the data's, or the model's)")
    parser.add_argument("--fps", type=float, help="frames per second of the clips (default: the data's, or 25)")
    parser.add_argument("--steps", type=int, default=5, help="timed steps, after a warm-up (default: 5)")
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1, help="CPU threads (default: all)")
    parser.add_argument("--device", default="cpu", help="cpu or cuda (default: cpu)")
    parser.add_argument("--precision", default="32-true", help="the trainer's, such as bf16-mixed (default: 32-true)")
    parser.add_argument("--channels-last", action="store_true", help="networks in the channels_last memory format")
    parser.add_argument("--compile", action="store_true", help="compile the networks")
    parser.add_argument("--no-data", action="store_true", help="do not time data loading, even if the file names data")
    parser.add_argument("--no-sampling", action="store_true", help="do not time sampling")
    parser.add_argument("--dynamics", action="store_true", help="time a LatentDynamicsGAN's temporal generator alone")
    parser.add_argument(
        "--against",
        type=Path,
        metavar="DIR",
        help="a checkout of github.com/psh01087/Vid-ODE, or of "
        "github.com/Zasder3/Latent-Neural-Differential-Equations-for-Video-Generation, to compare with ours",
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the numbers here")


def main(args: argparse.Namespace) -> int:
    """Measure, print a table, and write the numbers to --json."""
    for option in ("size", "frames", "batch_size", "channels", "fps", "steps", "threads"):
        value = getattr(args, option)
        if value is not None and value < 1:
            raise UserError(f"--{option.replace('_', '-')} must be at least 1; got {value:g}.")
    if args.metrics:
        from benchmarks.profiling.metrics import main as time_metrics

        if args.configs or args.device != "cpu":
            raise UserError("--metrics times the metrics on the CPU: leave the config and --device out.")
        return time_metrics(args)
    if not args.configs:
        raise UserError("Name a model, like configs/model/vid_ode.yaml, or an experiment; or give --metrics.")
    reports = _measured(args, None if args.against is None else _public(args.against))
    for report in reports:
        print("\n".join(table(report)))
    if len(reports) > 1:
        print("\n".join(relative_to_first(reports)))
    if args.json is not None:
        write_text(args.json, json.dumps(reports if len(reports) > 1 else reports[0], indent=1) + "\n")
    return 0


def _measured(args: argparse.Namespace, public: str | None) -> list[Report]:
    """One report per configuration; steps are taken in turn, the public code's right after ours."""
    parts = [model_and_data(path) for path in args.configs]
    excluded = ("configs", "against", "json", "no_data", "metrics", "dimension")
    settings = {key: value for key, value in vars(args).items() if key not in excluded}
    reports: list[Report] = []
    pipes: list[Pipe] = []
    timed: list[tuple[Report, Pipe]] = []
    with ExitStack() as stack:
        for path, (model, data) in zip(args.configs, parts, strict=True):
            given = {**settings, "model": model, "data": data, "loading": not args.no_data}
            pipe = stack.enter_context(process("benchmarks.profiling.worker", given, args.threads))
            report: Report = {"config": str(path), **pipe.call("open")}
            pipes.append(pipe)
            reports.append(report)
            if report["trains"]:
                timed.append((report, pipe))
            if public is not None:
                timed.append(_opened(stack, public, args, model, report))
        trained = _steps([pipe for _, pipe in timed], args.steps)
        for (report, _), train in zip(timed, trained, strict=True):
            report["train"] = train
        for report, pipe in zip(reports, pipes, strict=True):
            if "against" in report:
                report["against"]["ratios"] = ratios(report["train"], report["against"]["train"])
            if "train" in report and "train" in reports[0]:
                report["by_the_first"] = ratios(report["train"], reports[0]["train"])
            report.update(pipe.call("rest"))
            if report["dynamics"]:
                report["dynamics"]["share"] = report["dynamics"]["alone"]["cpu"] / report["train"]["cpu"]["min"]
    return reports


def model_and_data(path: Path) -> tuple[dict[str, Any], dict[str, Any] | None]:
    """The model and the data (or None) of an experiment or of a model file."""
    content = full_class_paths(read_config(path))
    if "class_path" in content:
        if content["class_path"].startswith("datamodules."):
            raise UserError(f"{path} describes data. Name a model, like configs/model/vid_ode.yaml, or an experiment.")
        return content, None
    if "model" not in content:
        raise UserError(f"{path} has neither a `model:` nor a `class_path:`, so there is nothing to measure.")
    model, data = content["model"], content.get("data")
    model = {"class_path": model} if isinstance(model, str) else model
    data = {"class_path": data} if isinstance(data, str) else data
    for name, part in (("model", model), ("data", data)):
        if part is not None and "class_path" not in part:
            raise UserError(
                f"The `{name}:` of {path} has no class_path; a file of overrides alone cannot be measured. "
                "Name a model, like configs/model/vid_ode.yaml, or an experiment."
            )
    return model, data


def _public(folder: Path) -> str:
    """The module that measures the public code in this folder."""
    for file, module in PUBLIC.items():
        if (folder / file).is_file():
            return module
    raise UserError(
        f"{folder} is not a checkout of supported public code: it has no {' and no '.join(PUBLIC)}. See --help."
    )


def _opened(
    stack: ExitStack, module: str, args: argparse.Namespace, model: dict[str, Any], report: Report
) -> tuple[Report, Pipe]:
    """Start the public code beside one of our models; its report becomes part of ours."""
    if not report["trains"]:
        raise UserError(f"{report['config']} has no training step, so there is nothing to compare.")
    given = {**report["batch"], "device": args.device, "threads": args.threads, "mode": report["mode"], "model": model}
    pipe = stack.enter_context(process(module, given, args.threads, str(args.against.resolve())))
    report["against"] = pipe.call("open")
    return report["against"], pipe


def ratios(ours: Report, theirs: Report) -> dict[str, float]:
    """Ours divided by theirs: minimum and median seconds of a step, peak memory and FLOP."""
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
    """Warm each model up with a step, time the steps in turn, then count the FLOP of one more."""
    for model in models:
        model.call("step")
    times: list[list[Report]] = [[] for _ in models]
    for _ in _progress(count):
        for model, measured in zip(models, times, strict=True):
            measured.append(model.call("step"))
    counted = [model.call("count") for model in models]
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
