"""Run information: what a record says of the run besides its numbers, read from trainer, system and evaluation."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import torch
from lightning import Trainer

from benchmarks.evaluation.task_evaluator import TaskEvaluator
from benchmarks.records.parts import Protocol, RunInfo
from datamodules.base.rng import seed_of_run
from lightning_modules.callbacks.budget import Budget, updates_of
from lightning_modules.training_cost import TrainingCost

if TYPE_CHECKING:
    from benchmarks.evaluation.callback import Evaluation


def run_info(trainer: Trainer, system: Any, evaluation: "Evaluation") -> RunInfo:
    """What all records of a test share."""
    model = system.config or {"class_path": f"{type(system).__module__}.{type(system).__qualname__}"}
    config = evaluation.run_config or {"model": model}
    data = trainer.datamodule  # type: ignore[attr-defined]
    return RunInfo(
        table=evaluation.table,
        row=evaluation.row,
        group=evaluation.group,
        request=evaluation.request,
        class_path=model["class_path"],
        mode=getattr(system, "mode", None),
        config=_with_train_seed(config, data),
        seed=int(config.get("seed_everything", seed_of_run()) or 0),
        data=str(data.data_id("test")) if hasattr(data, "data_id") else type(data).__name__,
        split=getattr(data, "test_split", "test"),
        budget=system.trained or _cost_of(trainer, system),
        parameters=sum(parameter.numel() for parameter in getattr(system, "generator", system).parameters()),
        deterministic=torch.are_deterministic_algorithms_enabled(),
    )


def protocol_of(evaluator: TaskEvaluator, evaluation: "Evaluation") -> Protocol:
    """Everything that must agree before two numbers may be compared."""
    count = evaluation.num_samples
    extractors = {metric.name: metric.protocol for metric in evaluation.metrics if metric.protocol}
    settings = {
        **evaluator.settings,
        "n": evaluator.clips,
        "task": {"name": evaluator.task.name, **evaluator.task.settings},
        "num_samples": count,
        "sample_seed": evaluation.seed,
        "selection": evaluation.selection,
        **({"metrics": extractors} if extractors else {}),
    }
    if evaluator.own is not None:
        settings |= {"n": evaluator.own.count, "n_reference": evaluator.clips}
    name = f"{evaluator.label}-{settings['context_frames']}to{settings['target_frames']}"
    name += "" if evaluator.own is None else f"-{evaluator.own.count}vs{evaluator.clips}"
    return Protocol.create(name + (f"-gen{count}" if count > 1 else ""), settings)


def device_name(device: torch.device, processes: int = 1) -> str:
    """The device in words, without the machine's name: `cpu`, `2 x NVIDIA H100`."""
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else device.type
    return f"{processes} x {name}" if processes > 1 else name


def _with_train_seed(config: Mapping[str, Any], data: Any) -> Mapping[str, Any]:
    """The configuration with the seed of the training samples: its own, or that of the run the weights come from."""
    if not hasattr(data, "train_seed") or "data" not in config:
        return config
    arguments = {**(config["data"].get("init_args") or {}), "seed": data.train_seed}
    return {**config, "data": {**config["data"], "init_args": arguments}}


def _cost_of(trainer: Trainer, system: Any) -> TrainingCost:
    budget = next((one for one in trainer.callbacks if isinstance(one, Budget)), None)  # type: ignore[attr-defined]
    return TrainingCost(updates_of(trainer, system), budget.elapsed if budget else 0.0, device_name(system.device))
