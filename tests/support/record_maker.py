"""A record with everything in it, for the tests of records, leaderboard and runs."""

import dataclasses
from pathlib import Path
from typing import Any

from benchmarks.records.parts import Measurement, Protocol, RunInfo, TaskResult
from benchmarks.records.record import Record
from lightning_modules.training_cost import TrainingCost


def make_record(**changes: Any) -> Record:
    settings = {"task": {"name": "predict", "context": 5}, "n": 50, "frames": 10, "fps": 25.0, "num_samples": 1}
    arguments: dict[str, Any] = {
        "table": "demo",
        "row": "Vid-ODE",
        "task": {"name": "predict", "context": 5},
        "data": "bouncing_balls-32px-1c-0123abcd",
        "split": "test",
        "class_path": "lightning_modules.vid_ode.VidODE",
        "config": {"model": {"lr": 1e-3}, "data": {"root": Path.cwd() / "data"}},
        "seed": 0,
        "protocol": Protocol.create("predict-5to5", settings),
        "metrics": {
            "mse": Measurement(0.1 + 0.2, 50, (0.25, 0.35), [0.1, 0.2], higher_is_better=False),
            "lpips": Measurement.missing("the AlexNet weights are not on this machine", higher_is_better=False),
        },
        "budget": TrainingCost(1234, 300.5, "CPU, 2 threads"),
        "parameters": 5_000,
        "function_evaluations": 40,
        "deterministic": True,
        "checkpoint_sha256": "c" * 64,
        "training_finished": True,
    }
    arguments |= changes
    run, result = (_taken(arguments, kind) for kind in (RunInfo, TaskResult))
    return dataclasses.replace(Record.create(RunInfo(**run), TaskResult(**result)), **arguments)


def _taken(arguments: dict[str, Any], kind: type) -> dict[str, Any]:
    """The arguments of the class, taken out of the others."""
    return {field.name: arguments.pop(field.name) for field in dataclasses.fields(kind) if field.name in arguments}
